use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;

use Binarize;

our $password = secret('r3dis-p4ssword&=/+');
our $redis = redis_server('--requirepass', $password);

$redis->cmd('AUTH', $password);
$redis->cmd('ACL', 'SETUSER', 'gate', 'on', '>' . secret('url-p4ss'), '~*',
            '&*', '+@all');

$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
file_write('redis-password', "$password\n");
our $bearer = secret(cloud->post('mint'));
file_write('bearer', "$bearer\n");

our $http = <<'CONFIG';
    log_format all '$request $request_headers';
    binarize_max_size 256k;
    binarize_zone one:1m;
    binarize_zone two:1m;
CONFIG
$http =~ s/ \$request_headers//;

our $locations = <<'CONFIG';
    location /b/ {
        binarize_cache one;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret;
        binarize_redis redis://$TEST_NGINX_REDIS password_file=$TEST_NGINX_DIR/redis-password
                       timeout=10s connect_timeout=10s;
    }
    location /file/ {
        binarize_cache two;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_bearer_file $TEST_NGINX_DIR/bearer;
        binarize_redis redis://gate:url-p4ss@$TEST_NGINX_REDIS prefix=two:
                       timeout=10s connect_timeout=10s;
    }
CONFIG

# A secret as it is, escaped for a form, in base64 at any alignment, in hex.
sub forms {
    my ($secret) = @_;
    my @forms = ($secret);

    for my $safe ('A-Za-z0-9._~-', 'A-Za-z0-9._*-', 'A-Za-z0-9') {
        (my $text = $secret) =~ s/([^$safe])/sprintf('%%%02X', ord($1))/ge;
        push @forms, $text, lc($text);
        $text =~ s/%20/+/g;
        push @forms, $text;
    }

    for my $skip (0 .. 2) {
        my $text = encode_base64('x' x $skip . $secret, '');
        $text = substr($text, 4 * ($skip > 0), -4);
        push @forms, $text if length($text) >= 8;
    }

    push @forms, unpack('H*', $secret), uc(unpack('H*', $secret));

    return do { my %seen; grep { !$seen{$_}++ } @forms };
}

# One test: none of the secrets, in no form, nor anything like a token.
sub tells_nothing {
    my ($text, $name) = @_;
    my @told = grep { index($text, $_) >= 0 }
               map { forms($_) } cloud->{secret}, $password, 'url-p4ss',
                                 $bearer;

    push @told, $1 if $text =~ /(eyJ[\w-]{8,}\.[\w-]*)/;
    push @told, $1 if $text =~ /(ZXlK[\w+\/]{8,})/;     # "eyJ" in base64

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is("@told", '', $name);
}

run_file();

__DATA__

=== no secret and no token, neither in logs nor answers nor Redis
--- log_level: debug
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $told = '';

sub seen {
    my ($answer) = @_;
    $told .= $answer->{head} . $answer->{body};
    return $answer;
}

for my $at ('/b', '/file') {
    my $id = task(size => 2000);

    for my $suffix ('', '.json', '.png') {
        is(seen(get("$at/$id$suffix"))->{status}, 200, "$at$suffix");
    }

    for my $fault ([http => 401], [http => 500], [http => 429], [http => 302],
                   [close => 'start'], [close => 'body'], [garbage => 200],
                   [payload => 'notpng'], [text => 'cut'], [gzip => 'on'],
                   [huge_header => 100_000])
    {
        my $bad = task(size => 300);
        cloud->fault($bad, { @$fault });
        seen(get("$at/$bad$_")) for '', '.json';
    }

    seen(get("$at/x"));
    seen(get("$at/" . guid()));
    seen(get("$at/$id", -method => 'POST', -body => 'x'));
}

# tokens in trouble, while the old one is refused
cloud->post('revoke');

for my $fault ([http => 400], [http => 500], [text => 'trailing'],
               [token => '"eyJhbGciOiJSUzI1NiJ9.eyJhbGciOiJ9.a b"'],
               [token_type => 'mac'], [close => 'body'],
               [http => 401, body => 'eyJhbGciOiJSUzI1NiJ9.eyJhbGciOiJ9.ab'])
{
    cloud->fault('token', { @$fault });
    nginx_restart();
    seen(get('/b/' . task(size => 300)));
}

cloud->delete('faults/token');
nginx_restart();

# a rotation that is bad holds one as well
file_write('bearer', "$main::bearer and more\n");
seen(get('/file/' . task(size => 300)));

# Redis goes and comes
seen(get('/b/' . task(size => 300))) for 1 .. 4;
$main::redis->stop();
seen(get("/$_/" . task(size => 300))) for 'b', 'file', 'b';
$main::redis->start();
$main::redis->cmd('AUTH', $main::password);
$main::redis->cmd('ACL', 'SETUSER', 'gate', 'on', '>other', '~*', '&*',
                  '+@all');
until_true {
    seen(get("/$_/" . task(size => 300))) for 'b', 'file';
    $main::redis->cmd('DBSIZE') > 0;
};

main::tells_nothing($told, 'the answers');
main::tells_nothing(file_read("$dir/root/logs/access.log"), 'the access log');

my $kept = join("\n", map {
    my $key = $_;
    my $type = $main::redis->cmd('TYPE', $key);
    ($key, $type eq 'hash' ? %{ $main::redis->hash($key) }
           : $type eq 'string' ? $main::redis->cmd('GET', $key) : $type);
} $main::redis->keys());

cmp_ok(length($kept), '>', 100, 'Redis has something');
main::tells_nothing($kept, 'Redis');

my $conf = `$nginx -p $dir/root/ -e $dir/dump.log -c $dir/root/conf/nginx.conf -T 2>&1`;
like($conf, qr/test is successful/, 'nginx -T');

# it shows the configuration as it is: a password in a URL is one's own fault
$conf =~ s/url-p4ss\@//;
main::tells_nothing($conf, 'nginx -T');

nginx_signal('HUP');
seen(get('/b/' . task(size => 300)));
ok(nginx_stop(), 'nginx ended');

main::tells_nothing($Binarize::log, 'the error log');
like($Binarize::log, qr/\[debug\].*http upstream/, 'it is at debug level');
main::tells_nothing(file_read("$dir/dump.log"), "the log of nginx -T");
nginx_start();


=== no argument and no environment of a process
--- http_config eval: $::http
--- config eval: $::locations
--- perl
get('/b/' . task(size => 300));

for my $pid (nginx_pid(), nginx_workers()) {
    main::tells_nothing(file_read("/proc/$pid/cmdline"), 'the command line');
    main::tells_nothing(file_read("/proc/$pid/environ"), 'the environment');
}


=== errors of the configuration
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $conf = file_read("$dir/root/conf/nginx.conf");

for (['client_secret_file=\S+', "client_secret=s3cr3t-in-the-open"],
     ['client_secret_file=\S+;', "s3cr3t-in-the-open;"],
     ['redis://gate:url-p4ss@\S+', 'redis://u:s3cr3t-in-the-open@h:99999999'],
     ['redis://gate:url-p4ss@\S+', 'redis://u:s3cr3t-in-the-open@'],
     ['redis://gate:url-p4ss@\S+', 'redis://u:s3cr3t-in-the-open@h/x'],
     ['redis://gate:url-p4ss@\S+', 'redis://u:s3cr3t-in-the-open%zz@h'],
     ['password_file=', 'password=s3cr3t-in-the-open'],
     ['http://(?=\S+binarizeimage)', 'http://u:s3cr3t-in-the-open@'])
{
    my ($from, $to) = @$_;

    (my $broken = $conf) =~ s/$from/$to/ or die $from;
    file_write('broken.conf', $broken);

    my $out = `nginx -p $dir/root/ -e $dir/x.log -c $dir/broken.conf -t 2>&1`;
    isnt($?, 0, "refused: $to");

    unlike($out, qr/s3cr3t-in-the-open/, 'it is not repeated');
}
