use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# Redis by TLS: its certificate is verified, and its name, and large pictures
# get through.

my $days = '-days 2 -nodes -newkey rsa:2048';

sub openssl {
    system("cd $dir && openssl $_[0] 2> openssl.log") == 0
        or die "openssl: " . file_read('openssl.log');
}

openssl("req -x509 $days -keyout $_.key -out $_.crt -subj /CN=$_")
    for 'ca', 'nobody';

our %redis;

for (['good', 'DNS:localhost,IP:127.0.0.1', 'ca'],
     ['named', 'DNS:other.example', 'ca'],
     ['unknown', 'DNS:localhost', 'nobody'])
{
    my ($name, $names, $ca) = @$_;

    file_write("$name.ext", "subjectAltName=$names\n");
    openssl("req -nodes -newkey rsa:2048 -keyout $name.key -out $name.csr"
            . " -subj /CN=test");
    openssl("x509 -req -in $name.csr -CA $ca.crt -CAkey $ca.key"
            . " -CAcreateserial -out $name.crt -days 2 -extfile $name.ext");

    my $tls = $port + 1 + keys(%redis);

    $redis{$name} = redis_server('--tls-port', $tls, '--tls-cert-file',
        "$dir/$name.crt", '--tls-key-file', "$dir/$name.key",
        '--tls-ca-cert-file', "$dir/ca.crt", '--tls-auth-clients', 'no');
    $ENV{'TEST_NGINX_' . uc $name} = $tls;
}

$ENV{TEST_NGINX_PLAIN} = $redis{good}{port};

# the system's bundle
$ENV{SSL_CERT_FILE} = "$dir/ca.crt";

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone binarize:80m;
CONFIG

our $config = <<'CONFIG';
    location /l1/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis rediss://localhost:$TEST_NGINX_GOOD timeout=2s;
    }
    location /l2/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis rediss://127.0.0.1:$TEST_NGINX_GOOD timeout=2s;
        binarize_cache off;
    }
CONFIG

sub key {
    return "binarize:binarizeimage:$_[0]";
}

sub stored {
    my ($id) = @_;
    return until_true(sub { $redis{good}->cmd('EXISTS', key($id)) });
}

run_file();

__DATA__

=== there and back, of all sizes
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $size (300, 16_384, 65_536, 300_000, 9_000_000) {
    for my $at ('l1', 'l2') {
        my $id = task(size => $size);
        my $png = cloud->result($id);

        get("/$at/$id");
        ok(main::stored($id), "$at, $size: stored");
        ok($::redis{good}->cmd('HGET', main::key($id), 'png') eq $png,
           "$at, $size: as it is");
        answer_is(get("/l2/$id"), [200, body => $png,
                  'Cache-Status' => qr/detail=redis/], "$at, $size: a hit");
        $::redis{good}->cmd('DEL', main::key($id));
    }
}

my @ids = map { task(size => 200_000 + $_) } 1 .. 16;

is_deeply(tally(status => crowd([map { { uri => "/l1/$_" } } @ids])->answers()),
          { 200 => 16 }, 'many at once');

for my $id (@ids) {
    main::stored($id);
    ok($::redis{good}->cmd('HGET', main::key($id), 'png') eq cloud->result($id),
       'each is what it is');
}


=== Redis stops in the middle
--- http_config eval: $::http
--- config eval: $::config
--- perl
get('/l2/' . task(size => 300)) for 1 .. 4;
$::redis{good}->freeze();

my $id = task(size => 9_000_000);
answer_is(get("/l2/$id"), [200, body => cloud->result($id)], 'answered');

$::redis{good}->thaw();

ok(until_true(sub {
       my $id = task(size => 300);
       get("/l2/$id");
       $::redis{good}->cmd('EXISTS', main::key($id));
   }), 'it is used again');


=== another's certificate, and one nobody knows
--- http_config eval: $::http
--- config
location /named/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis rediss://localhost:$TEST_NGINX_NAMED timeout=10s
                   connect_timeout=10s;
}
location /unknown/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis rediss://localhost:$TEST_NGINX_UNKNOWN prefix=other:
                   timeout=10s connect_timeout=10s;
}
--- perl
for my $at ('named', 'unknown') {
    my $id = task(size => 300);
    answer_is(get("/$at/$id"), [200, body => cloud->result($id)],
              "$at: a miss");
    logged(qr/:$ENV{'TEST_NGINX_' . uc $at}.*not usable: TLS certificate: /);
    is_deeply([$::redis{$at}->keys()], [], "$at: it is told nothing");
}


=== one side without TLS
--- http_config eval: $::http
--- config
location /tls/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis rediss://localhost:$TEST_NGINX_PLAIN;
}
location /plain/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://localhost:$TEST_NGINX_GOOD prefix=other:;
}
--- perl
for my $at ('tls', 'plain') {
    for (1 .. 3) {
        my $id = task(size => 300);
        my $answer = get("/$at/$id");

        answer_is($answer, [200, body => cloud->result($id)], "$at: a miss");
        cmp_ok($answer->{seconds}, '<', 2 + lag(), "$at: in bounded time");
    }
}
