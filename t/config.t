use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $url = 'http://127.0.0.1:1/v5.0/ocr/binarizeimage';

mkdir("$dir/check");
file_write('secret1', "one\n");
file_write('secret2', "two\n");
file_write('empty', '');
file_write('nul', "\n");
file_write('large', 'x' x 100_000);
file_write('nopng', 'x' x 100);

our $credentials = "binarize_credentials client_id=one "
                   . "client_secret_file=$dir/secret1;";

# Runs "nginx -t": http's contents, then those of a server, then locations.
# PASS stands for a gateway, CRED for its credentials.
sub check {
    my ($http, $server, $location) = @_;
    my $listen = '127.0.0.1:' . ($port + 2);
    my $conf = "$http server { listen $listen; $server $location }";

    $conf =~ s/\bPASS\b/binarize_pass $url;/g;
    $conf =~ s/\bCRED\b/$credentials/g;
    $conf =~ s/\bDIR\b/$dir/g;

    file_write('check/nginx.conf', <<"CONF");
${modules}error_log $dir/check/error.log;
pid $dir/check/nginx.pid;
events { }
http { access_log off;
$conf
}
CONF

    my $said = `$nginx -t -p $dir/check/ -e $dir/check/x.log -c nginx.conf 2>&1`;
    my $status = $? >> 8;

    $said =~ s/^nginx: (?:the )?configuration file .*\n//mg;

    return ($status, $said);
}

# Two tests: it fails, and by one line, which names the directive.
sub refused {
    my ($directive, $http, $server, $location, $name) = @_;
    my ($status, $said) = check($http, $server, $location);
    my @lines = grep { /\[emerg\]/ } split /\n/, $said;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    isnt($status, 0, "$name: refused");
    ok(@lines == 1 && $lines[0] =~ /\b\Q$directive\E\b/,
       "$name: one line names $directive") or diag("it said:\n$said");
    unlike($said, qr/signal|Sanitizer/, 'no crash');
}

sub accepted {
    my ($http, $server, $location, $name) = @_;
    my ($status, $said) = check($http, $server, $location);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($status == 0 && $said !~ /\[emerg\]/, "$name: accepted")
        or diag("it said:\n$said");
}

our $nosuch = "$dir/no-such-file";

run_file();

__DATA__

=== values that are refused
--- config
--- perl
my %bad = (
    binarize_pass => ['', 'x', 'ftp://h/a', '/v5.0/ocr/binarizeimage',
        'http://', 'http:///a', 'http://h', 'http://h/', 'http://h/a/',
        'http://h:0/a', 'http://h:99999/a', 'http://h:x/a', 'http://h:-1/a',
        'http://u@h/a', 'http://u:p@h/a', 'http://h/a?b', 'http://h/a#b',
        'http://$host/a', 'http://h/$a', 'http://h/a%20b', '"http://h/a b"',
        'http://h/a{b}', 'http://h/ä', 'http://unix:/a/b', 'unix:/a', 'off',
        '"http://h/\"a"', '"http://h/a\r\nb"', 'http://no-such-host.invalid/a',
        'http://[::1/a', '"http://h/a;b=1"', 'https://', 'a b'],
    binarize_id => ['', 'a b'],
    binarize_format => ['', 'xml', 'png json', 'on'],
    binarize_valid => ['', '0', '0s', '-1', 'x', '1q', '1d 2d', '1.5h', '5ms'],
    binarize_negative_valid => ['', 'x', '-1s', '10s x=1', '10s max=', '10s '
        . 'max=x', '10s max=5s', '10s max=20s max=30s', 'max=20s', '10s 20s'],
    binarize_wait => ['', 'x', '-1', '1s 2s', '99999999999999999999s'],
    binarize_poll => ['', '0', '0ms', 'x', '1s max=', '1s max=500ms',
        '1s max=2s x', 'max=1s', '1s 2s'],
    binarize_max_size => ['', '0', 'x', '-1', '1t', '1k 2k', '1.5m',
        '99999999999999999999', '2000g'],
    binarize_cache_control => ['', 'a b'],
    binarize_cache => ['nosuch', 'x y', 'off off off', '', 'on off on'],
    binarize_credentials => ['', 'x', 'client_id=one', 'client_id=',
        'client_secret_file=DIR/secret1',
        'client_id= client_secret_file=DIR/secret1',
        'client_id=one client_secret_file=',
        "client_id=one client_secret_file=$main::nosuch",
        'client_id=one client_secret_file=DIR',
        'client_id=one client_secret_file=DIR/empty',
        'client_id=one client_secret_file=DIR/nul',
        'client_id=one client_secret_file=DIR/large',
        'client_id=one client_secret_file=DIR/secret1 x=y',
        'client_id=one client_secret_file=DIR/secret1 token_url=',
        'client_id=one client_secret_file=DIR/secret1 token_url=x',
        'client_id=one client_secret_file=DIR/secret1 token_url=ftp://h/a',
        'client_id=one client_secret_file=DIR/secret1 token_url=http://h:x/a',
        'client_id=one client_secret_file=DIR/secret1 '
        . 'token_url=http://no-such-host.invalid/a', 'on',
        'client_id=one client_secret_file=DIR/secret1 client_id=two',
        'client_id=one client_secret_file=DIR/secret1 '
        . 'client_secret_file=DIR/secret2'],
    binarize_bearer_file => ['', $main::nosuch, 'DIR', 'DIR/empty', 'DIR/nul',
        'DIR/large', 'DIR/secret1 x'],
    binarize_redis => ['', 'x', 'http://h', 'redis:', 'redis://', 'redis://h:0',
        'redis://h:99999', 'redis://h:x', 'redis://h/x', 'redis://h/-1',
        'redis://h/0/1', 'redis://h/99999999999', 'redis://h prefix={a}',
        'redis://h prefix=a}', 'redis://h prefix={', 'redis://h timeout=x',
        'redis://h timeout=', 'redis://h timeout=0', 'redis://h timeout=-1',
        'redis://h connect_timeout=x', 'redis://h connect_timeout=0',
        'redis://h password_file=', "redis://h password_file=$main::nosuch",
        'redis://h password_file=DIR', 'redis://h password_file=DIR/empty',
        'redis://h password_file=DIR/large', 'redis://h x=y', 'redis://h x',
        'redis://h redis://h', 'unix:', 'unix:relative', 'unix:/a?x=1',
        'unix:/a?db=x', 'unix:/a?db=', 'redis://u:p@', 'redis://u@h',
        'redis://h?db=1',
        'redis://no-such-host.invalid', 'redis://h%zz@h', 'rediss://', 'on',
        'off off', 'off prefix=x', 'redis+x://h',
        'redis://127.0.0.1 prefix=a prefix=b',
        'redis://127.0.0.1 timeout=1s connect_timeout=1s timeout=1s',
        'redis://127.0.0.1 password_file=DIR/secret1 '
        . 'password_file=DIR/secret2'],
    binarize_set_header => ['', 'A', 'A b c', '"" b', '"A B" c', '"A:" b',
        '"A\r\nB" c', 'Ä b', 'Authorization b', 'authorization b',
        'AUTHORIZATION b', 'Content-Length 5', 'Transfer-Encoding chunked',
        'transfer-encoding chunked', 'Connection close', 'TE trailers',
        'Upgrade x', 'Trailer x', 'Expect 100-continue', 'Keep-Alive x',
        'Accept-Encoding gzip'],
    binarize_intercept_errors => ['', 'x', 'on off', '1'],
    binarize_placeholder => ['', 'x', 'pending=', "pending=$main::nosuch",
        'pending=DIR', 'pending=DIR/empty', 'pending=DIR/nopng', 'x=DIR/nopng',
        'missing=DIR/nopng', 'error=DIR/nopng'],
    binarize_budget => ['', 'x', 'rate=', 'rate=1', 'rate=0r/s',
        'concurrency=0', 'quota=1', 'quota=1/year', 'burst=0'],
    binarize_socket_keepalive => ['', 'x', 'on off'],
    binarize_buffer_size => ['', '0', 'x', '1', '100', '1k 2k'],
    binarize_bind => ['', 'x', '1.2.3', '127.0.0.1 x', '127.0.0.1 transparent '
        . 'x'],
    binarize_next_upstream => ['', 'x', 'error x', 'http_200'],
    binarize_next_upstream_tries => ['', 'x', '-1', '1 2'],
    binarize_next_upstream_timeout => ['', 'x', '-1', '1s 2s'],
    map({ ($_ => ['', 'x', '-1', '1s 2s']) } qw(binarize_connect_timeout
        binarize_send_timeout binarize_read_timeout)),
    map({ ($_ => ['', 'x', 'on off']) } qw(binarize_ssl_verify
        binarize_ssl_server_name binarize_ssl_session_reuse)),
    binarize_ssl_verify_depth => ['', 'x', '-1', '1 2'],
    binarize_ssl_protocols => ['', 'x', 'TLSv1.2 x', 'TLSv9'],
    binarize_ssl_ciphers => ['', 'a b'],
    binarize_ssl_name => ['', 'a b'],
    binarize_ssl_trusted_certificate => ['', 'a b'],
    binarize_ssl_crl => ['', 'a b'],
    binarize_ssl_certificate => ['', 'a b'],
    binarize_ssl_certificate_key => ['', 'a b'],
    binarize_ssl_password_file => ['', 'a b', $main::nosuch],
    binarize_ssl_conf_command => ['', 'a', 'a b c'],
    binarize_status => ['x', 'json html', 'JSON'],
    binarize_purge => ['', 'x', 'on off'],
);

for my $directive (sort keys %bad) {

    for my $value (@{ $bad{$directive} }) {
        my $pass = $directive eq 'binarize_pass' ? '' : 'PASS';
        my $cred = $directive =~ /credentials|bearer/ ? '' : 'CRED';
        my $line = $value eq '' ? "$directive;" : "$directive $value;";

        main::refused($directive, $cred, '', "location /a/ { $pass $line }",
                      substr($line, 0, 60));
    }
}


=== values that are accepted
--- config
--- perl
for my $line ('binarize_id $arg_id;', 'binarize_id "";', 'binarize_format json;',
    'binarize_format png;', 'binarize_valid 1s;', 'binarize_valid 10y;',
    'binarize_negative_valid 0;', 'binarize_negative_valid 500ms;',
    'binarize_negative_valid 10s max=10s;', 'binarize_wait 0;',
    'binarize_wait 5m;', 'binarize_poll 100ms;', 'binarize_poll 1s max=1m;',
    'binarize_max_size 1;', 'binarize_max_size 1024m;',
    'binarize_cache_control "no-cache, max-age=$arg_x";',
    'binarize_cache_control "";', 'binarize_cache off;',
    'binarize_cache binarize;', 'binarize_cache binarize off;',
    'binarize_redis off;', 'binarize_redis redis://127.0.0.1;',
    'binarize_redis redis://127.0.0.1:1/15;', 'binarize_redis redis://u@127.1 '
    . 'password_file=DIR/secret1;',
    'binarize_redis redis://:p@127.0.0.1;', 'binarize_redis redis://localhost;',
    'binarize_redis redis://u:p%20%40@127.0.0.1/0 prefix= timeout=1s '
    . 'connect_timeout=10ms;', 'binarize_redis redis://[::1]:7/1;',
    'binarize_redis unix:/a/b;', 'binarize_redis unix:/a/b?db=3 prefix=x;',
    'binarize_redis redis://127.0.0.1 password_file=DIR/secret1;',
    'binarize_set_header Host $host;', 'binarize_set_header X-A "";',
    'binarize_set_header User-Agent "a b";', 'binarize_set_header Cookie x;',
    'binarize_intercept_errors on;', 'binarize_intercept_errors off;',
    'binarize_purge on;', 'binarize_purge off;',
    'binarize_connect_timeout 1;', 'binarize_send_timeout 5ms;',
    'binarize_read_timeout 1h;', 'binarize_buffer_size 1k;',
    'binarize_buffer_size 64k;', 'binarize_bind 127.0.0.1;',
    'binarize_bind off;', 'binarize_bind $server_addr;',
    'binarize_next_upstream off;', 'binarize_next_upstream error timeout '
    . 'invalid_header http_500 http_502 http_503 http_504 http_403 http_404 '
    . 'http_429 non_idempotent;', 'binarize_next_upstream_tries 0;',
    'binarize_next_upstream_timeout 0;', 'binarize_socket_keepalive on;',
    'binarize_ssl_verify off;', 'binarize_ssl_server_name off;',
    'binarize_ssl_name $arg_x;', 'binarize_ssl_session_reuse off;',
    'binarize_ssl_protocols TLSv1.2 TLSv1.3;', 'binarize_ssl_ciphers HIGH;',
    'binarize_ssl_verify_depth 0;', 'binarize_placeholder off;',
    'binarize_budget off;', 'binarize_budget rate=10r/s burst=5;')
{
    main::accepted('CRED', '', "location /a/ { PASS $line }", $line);
    main::accepted("CRED $line", '', 'location /a/ { PASS }', "http: $line")
        unless $line =~ /\$/;
    main::accepted('CRED', $line, 'location /a/ { PASS }', "server: $line");
}

for my $url ('http://127.0.0.1/a', 'http://127.0.0.1:8080/v5.0/ocr/UpScale',
             'HTTP://127.0.0.1/A-b_c.d', 'http://[::1]:81/a',
             'http://localhost/a', 'https://127.0.0.1/a', 'http://up/a',
             'http://127.0.0.1/A/B/C')
{
    main::accepted('CRED upstream up { server 127.0.0.1:1; }', '',
                   "location /a/ { binarize_pass $url; }", $url);
}

main::accepted('CRED', 'resolver 127.0.0.1;',
               'location /a/ { binarize_pass http://no-such.invalid/a; }',
               'a name for the run time');
main::accepted('', 'binarize_bearer_file DIR/secret1;',
               'location /a/ { PASS }', 'binarize_bearer_file');
main::accepted('CRED', '', 'location /a/ { PASS binarize_bearer_file '
               . 'DIR/secret1; }', 'another token source one level below');
main::accepted('CRED', '', 'location /a/ { binarize_credentials off; }',
               'no gateway, no token');


=== each directive once on a level
--- config
--- perl
for my $line ('PASS', 'binarize_id $arg_a;', 'binarize_format png;',
    'binarize_valid 1d;', 'binarize_negative_valid 1s;', 'binarize_wait 1s;',
    'binarize_poll 1s;', 'binarize_max_size 1m;', 'binarize_cache off;',
    'binarize_cache_control x;', 'binarize_redis redis://127.0.0.1;',
    'binarize_redis off;', 'binarize_intercept_errors on;',
    'binarize_purge on;',
    'binarize_connect_timeout 1s;', 'binarize_send_timeout 1s;',
    'binarize_read_timeout 1s;', 'binarize_buffer_size 8k;',
    'binarize_bind 127.0.0.1;', 'binarize_next_upstream_tries 1;',
    'binarize_next_upstream_timeout 1s;', 'binarize_socket_keepalive on;',
    'binarize_ssl_verify off;', 'binarize_ssl_name a;',
    'binarize_ssl_server_name off;', 'binarize_ssl_session_reuse off;',
    'binarize_ssl_ciphers HIGH;', 'binarize_ssl_verify_depth 1;',
    'binarize_ssl_trusted_certificate a;', 'binarize_ssl_crl a;',
    'binarize_ssl_certificate a;', 'binarize_ssl_certificate_key a;',
    'binarize_placeholder off;', 'binarize_budget off;')
{
    my ($directive) = $line eq 'PASS' ? 'binarize_pass' : $line =~ /(\w+)/;

    main::refused($directive, 'CRED', '', "location /a/ { PASS $line "
                  . ($line eq 'PASS' ? '' : $line) . ' }', "twice: $line");
}


=== contexts
--- config
--- perl
for my $line ('PASS', 'binarize_status;') {
    my ($directive) = $line eq 'PASS' ? 'binarize_pass' : $line =~ /(\w+)/;

    main::refused($directive, "CRED $line", '', '', "$line in http");
    main::refused($directive, 'CRED', $line, '', "$line in server");
}

main::refused('binarize_zone', 'CRED', 'binarize_zone a:1m;', '',
              'binarize_zone in server');
main::refused('binarize_zone', 'CRED', '', 'location /a/ { PASS '
              . 'binarize_zone a:1m; }', 'binarize_zone in location');
main::accepted('CRED', '', 'location /a/ { if ($arg_x) { PASS } }', 'if');
main::accepted('CRED', '', 'location /a/ { limit_except GET { PASS } }',
               'limit_except');

my $inner = 'binarize_id $arg_id; binarize_format json; binarize_cache off; '
    . 'binarize_valid 1d; binarize_negative_valid 1s; binarize_wait 1s; '
    . 'binarize_poll 1s; binarize_max_size 1m; binarize_cache_control x; '
    . 'binarize_placeholder off; binarize_redis off; binarize_budget off; '
    . 'binarize_set_header A b; binarize_intercept_errors on; '
    . 'binarize_purge on; binarize_connect_timeout 1s; binarize_send_timeout 1s; '
    . 'binarize_read_timeout 1s; binarize_buffer_size 8k; '
    . 'binarize_bind off; binarize_next_upstream off; '
    . 'binarize_next_upstream_tries 1; binarize_next_upstream_timeout 1s; '
    . 'binarize_socket_keepalive on; binarize_ssl_verify off; '
    . 'binarize_ssl_verify_depth 2; binarize_ssl_server_name off; '
    . 'binarize_ssl_name a; binarize_ssl_session_reuse off; '
    . 'binarize_ssl_protocols TLSv1.2; binarize_ssl_ciphers HIGH;';

for my $block ('if ($arg_x)', 'limit_except GET') {
    main::accepted('CRED', '', "location /a/ { PASS $block { $inner } }",
                   "directives in $block");
    main::accepted('', '', "location /a/ { $block { PASS CRED } }",
                   "a gateway with its token source in $block");
    main::accepted('', '', "location /a/ { $block { binarize_status; } }",
                   "binarize_status in $block");
    main::refused('binarize_zone', 'CRED', '',
                  "location /a/ { PASS $block { binarize_zone a:1m; } }",
                  "binarize_zone in $block");
}


=== the token source
--- config
--- perl
for my $none ('', 'binarize_credentials off;', 'binarize_bearer_file off;') {
    my ($status, $said) = main::check('', '', "location /a/ { PASS $none }");

    $said =~ s/^.*\[warn\].*\n//mg;

    isnt($status, 0, "no token source: refused; $none");
    like($said, qr/\A[^\n]*\[emerg\][^\n]*binarize_(?:pass|credentials)[^\n]*\n\z/,
         'one line') or diag($said);
}

my ($status, $said) = main::check('CRED', '',
    'location /a/ { PASS binarize_credentials off; }');
isnt($status, 0, '"off" cancels');

for my $two ('CRED binarize_bearer_file DIR/secret1;',
             'binarize_bearer_file DIR/secret1; CRED', 'CRED CRED',
             'CRED binarize_bearer_file off;',
             'binarize_bearer_file DIR/secret1; '
             . 'binarize_bearer_file DIR/secret1;')
{
    my ($directive) = (reverse $two =~ /(binarize_\w+|CRED)/g)[0];
    $directive = 'binarize_credentials' if $directive eq 'CRED';

    main::refused($directive, $two, '', 'location /a/ { PASS }',
                  "two in http: $two");
    main::refused($directive, '', '', "location /a/ { PASS $two }",
                  "two in location: $two");
}


=== zones
--- config
--- perl
for my $value ('', 'x', ':1m', 'a:', 'a:x', 'a:0', 'a:1', 'a:100k', 'a:-1m',
               'a:1m b:1m', 'a', 'off:1m', 'a:1m:2m',
               'a:99999999999999999999m')
{
    main::refused('binarize_zone', 'CRED binarize_zone'
                  . ($value eq '' ? ';' : " $value;"), '', '',
                  "binarize_zone $value");
}

main::refused('binarize_zone', 'CRED binarize_zone a:1m; binarize_zone a:1m;',
              '', '', 'a zone twice');
main::refused('binarize_zone', 'CRED limit_req_zone $uri zone=a:1m rate=1r/s; '
              . 'binarize_zone a:1m;', '', '', 'a zone of another module');

main::accepted('CRED binarize_zone a:1m;', '', 'location /a/ { PASS }',
               'the only zone is taken');
main::accepted('CRED binarize_zone a:1m; binarize_zone b:2m;', '',
               'location /a/ { PASS binarize_cache b; }', 'one of two');
main::refused('binarize_cache', 'CRED binarize_zone a:1m; binarize_zone b:2m;',
              '', 'location /a/ { PASS }', 'none of two is named');
main::refused('binarize_cache', 'CRED binarize_zone a:1m; binarize_zone b:2m;',
              '', 'location /a/ { PASS binarize_cache off; }',
              'none of two is named, "off"');
main::refused('binarize_cache', 'CRED binarize_zone a:1m;', '',
              'location /a/ { PASS binarize_cache binarize; }',
              'no implicit zone besides another one');


=== gateways that would read each other's pictures
--- config
--- perl
my $cred2 = 'binarize_credentials client_id=two '
            . 'client_secret_file=DIR/secret1;';
my $secret2 = 'binarize_credentials client_id=one '
              . 'client_secret_file=DIR/secret2;';
my $token2 = 'binarize_credentials client_id=one client_secret_file='
             . 'DIR/secret1 token_url=http://127.0.0.1:5/t;';
my $other = 'binarize_pass http://127.0.0.1:2/v5.0/ocr/binarizeimage;';
my $path = 'binarize_pass http://127.0.0.1:1/v6.0/ocr/binarizeimage;';
my $sister = 'binarize_pass http://127.0.0.1:2/v5.0/ocr/deskewimage;';
my $redis = 'binarize_redis redis://127.0.0.1:1';
my $zones = 'binarize_zone a:1m; binarize_zone b:1m;';

sub pair {
    my ($http, $one, $two) = @_;
    return ($http, '', "location /1/ { $one } location /2/ { $two }");
}

for (['another cloud', $other], ['another path', $path],
     ['another client', "PASS $cred2"],
     ['another token server', "PASS $token2"],
     ['a bearer file', 'PASS binarize_bearer_file DIR/secret2;'])
{
    my ($name, $two) = @$_;

    main::refused('binarize_pass', pair('CRED', 'PASS', $two),
                  "$name, the same zone");
    main::refused('binarize_pass', pair("CRED $zones $redis;",
                  'PASS binarize_cache a;', "$two binarize_cache b;"),
                  "$name, other zones, the same Redis");
    main::refused('binarize_pass', pair("CRED $zones", "PASS $redis; "
                  . 'binarize_cache a;', "$two $redis timeout=9s; "
                  . 'binarize_cache b;'), "$name, the same Redis twice");
    main::accepted(pair("CRED $zones", 'PASS binarize_cache a;',
                        "$two binarize_cache b;"), "$name, other zones");
    main::accepted(pair("CRED $zones", "PASS $redis; binarize_cache a;",
                        "$two $redis prefix=b:; binarize_cache b;"),
                   "$name, another prefix");
    main::accepted(pair("CRED $zones", "PASS $redis; binarize_cache a;",
                        "$two $redis/1; binarize_cache b;"),
                   "$name, another db");
}

main::accepted(pair('CRED', 'PASS', $sister), 'another namespace');
main::accepted(pair('CRED', 'PASS', 'PASS'), 'the same');
main::accepted(pair('CRED', 'PASS', 'PASS binarize_wait 3s; '
                    . 'binarize_format json;'), 'but for other things');


=== more credentials than a zone has room for
--- config
--- perl
sub gateways {
    return ('', join ' ', map {
        "location /$_/ { binarize_pass http://127.0.0.1:1/v5.0/ocr/op$_; "
        . "binarize_credentials client_id=c$_ client_secret_file=DIR/secret1; }"
    } 1 .. $_[0]);
}

for (['1m', 8], ['8m', 16], ['64m', 32]) {
    my ($size, $n) = @$_;

    main::accepted("binarize_zone z:$size;", gateways($n), "$n in $size");
    main::refused('binarize_credentials', "binarize_zone z:$size;",
                  gateways($n + 1), "one more in $size");
}


=== certificates
--- config
--- perl
for my $line ("binarize_ssl_trusted_certificate $main::nosuch;",
              'binarize_ssl_conf_command Protocol x;',
              'binarize_ssl_trusted_certificate DIR/nopng;',
              "binarize_ssl_crl $main::nosuch;", 'binarize_ssl_ciphers nosuch;',
              "binarize_ssl_certificate $main::nosuch;",
              "binarize_ssl_certificate $main::nosuch; "
              . "binarize_ssl_certificate_key $main::nosuch;",
              'binarize_ssl_conf_command NoSuch x;')
{
    my ($status, $said) = main::check('CRED', '', "location /a/ { $line "
        . 'binarize_pass https://127.0.0.1:1/a; }');
    my @lines = grep { /\[emerg\]/ } split /\n/, $said;

    my ($directive) = $line =~ /(\w+)/;

    isnt($status, 0, "$line refused");
    ok(@lines == 1 && $lines[0] =~ /\b$directive/,
       "by one line, which names $directive") or diag($said);
}


=== warnings
--- config
--- perl
my ($status, $said) = main::check('CRED binarize_zone a:1m;', '',
    'location /a/ { PASS binarize_max_size 1m; }');
is($status, 0, 'accepted');
like($said, qr/\[warn\].*binarize_max_size/, 'a size above a quarter');

($status, $said) = main::check('CRED binarize_zone a:1m;', '', 'location /a/ { '
    . 'PASS binarize_max_size 1m; binarize_redis redis://127.0.0.1; }');
unlike($said, qr/binarize_max_size/, 'with Redis it is fine');
