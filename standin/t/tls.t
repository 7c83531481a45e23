# HTTPS: names, resumption, client certificates, endings.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use File::Temp qw(tempdir);
use Test::More;

use Standin qw(guid);

my $dir = tempdir(CLEANUP => 1);

for my $name (qw(server client)) {
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
           . " -nodes -days 2 -subj /CN=$name.test"
           . " -addext subjectAltName=DNS:cloud.test,DNS:other.test"
           . " -keyout $dir/$name.key -out $dir/$name.crt 2>$dir/err") == 0
        or plan(skip_all => 'openssl(1) cannot make a certificate');
}

system('curl --version >/dev/null 2>&1') == 0
    or plan(skip_all => 'curl is missing');

# curl's output and exit status
sub curl {
    my ($s, $host, @args) = @_;
    my $out = `curl -s -m 5 --cacert $dir/server.crt \\
        --resolve $host:$s->{port}:127.0.0.1 @args 2>&1`;
    return ($out, $? >> 8);
}

# The port is the same for plain control calls, so those go by TLS too.
sub control {
    my ($s, $method, $path, @args) = @_;
    my ($out, $rc) = curl($s, 'cloud.test', "-X $method", @args,
                          "'https://cloud.test:$s->{port}/_standin/$path'");
    die "control $path: $rc $out" if $rc;
    return $out;
}

my $s = Standin->new('--tls-cert', "$dir/server.crt",
                     '--tls-key', "$dir/server.key");
my $id = guid();

control($s, 'PUT', "tasks/$id?size=500000");

my $token = control($s, 'POST', 'mint');
my @auth = ('-H', "'Authorization: Bearer $token'");
my $path = "/v5.0/ocr/binarizeimage?id=$id";

my ($out, $rc) = curl($s, 'other.test', @auth,
                      "'https://other.test:$s->{port}$path'");
is($rc, 0, 'https: whole');
ok(length($out) > 600000, 'https: a large answer');
like($out, qr/"Completed".*"error":null\}\z/s, 'https: the document');

like(control($s, 'GET', 'calls'), qr/"other\.test":\s*1\b/, 'SNI counted');

($out, $rc) = curl($s, 'wrong.test', @auth,
                   "'https://wrong.test:$s->{port}$path'");
is($rc, 60, 'a client that verifies refuses the wrong name');

# s_client tells an end without close_notify from one with it
sub s_client {
    my ($s) = @_;
    open(my $f, '>', "$dir/request") or die;
    print $f $s->request('GET', $path,
                         headers => ["Authorization: Bearer $token"]);
    close($f);
    return scalar `openssl s_client -quiet -ign_eof \\
        -connect 127.0.0.1:$s->{port} -servername cloud.test <$dir/request 2>&1`;
}

control($s, 'PUT', "faults/$id?close=body&framing=close");
like(s_client($s), qr/"Completed".*unexpected eof/s, 'cut: no close_notify');

control($s, 'PUT', "faults/$id?framing=close");
($out, $rc) = curl($s, 'other.test', @auth,
                   "'https://other.test:$s->{port}$path'");
is($rc, 0, 'close-delimited');
like($out, qr/"error":null\}\z/, 'close-delimited: whole');
my $seen = s_client($s);
ok($seen =~ /"error":null\}/ && $seen !~ /unexpected eof/,
   'close-delimited: close_notify');

my $resumed = `{ sleep 1; } | openssl s_client -connect 127.0.0.1:$s->{port} \\
    -tls1_2 -reconnect 2>/dev/null`;
like($resumed, qr/^Reused, TLSv1\.2/m, 'sessions are resumed');
like(control($s, 'GET', 'calls'), qr/"tls_resumed":\s*[1-9]/,
     'resumption counted');

my $plain = $s->connect();
syswrite($plain, "GET / HTTP/1.1\r\n\r\n");
$s->drain($plain);
like(control($s, 'GET', 'calls'), qr/"tls_failed":\s*[1-9]/,
     'failed handshakes counted');
is($s->stop(), 0, 'clean end');

$s = Standin->new('--tls-cert', "$dir/server.crt",
                  '--tls-key', "$dir/server.key",
                  '--tls-client-ca', "$dir/client.crt");
($out, $rc) = curl($s, 'cloud.test',
                   "https://cloud.test:$s->{port}/_standin/calls");
isnt($rc, 0, 'client certificate: needed');
($out, $rc) = curl($s, 'cloud.test', "--cert $dir/client.crt",
                   "--key $dir/client.key",
                   "https://cloud.test:$s->{port}/_standin/calls");
is($rc, 0, 'client certificate: accepted');
is($s->stop(), 0, 'clean end with client certificates');

done_testing();
