use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# two authorities, and a certificate of the first for cloud.test
sub openssl {
    my (@args) = @_;
    system("cd $dir && openssl $_ > openssl.out 2>&1") == 0
        or die "openssl $_: " . Binarize::file_read('openssl.out') for @args;
}

openssl(
    map({
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        . "-keyout $_.key -out $_.crt -subj '/CN=test $_'"
    } 'ca', 'other-ca'),
    "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
    . "-keyout cloud.key -out cloud.csr -subj /CN=cloud.test");

file_write('san', "subjectAltName=DNS:cloud.test\n");
openssl("x509 -req -in cloud.csr -CA ca.crt -CAkey ca.key -days 2 "
        . "-set_serial 77 -extfile san -out cloud.crt");

# a list that revokes it, and one that does not
file_write('ca.conf', "[ca]\ndefault_ca=a\n[a]\ndatabase=$dir/index\n"
           . "default_md=sha256\ndefault_crl_days=2\n");
file_write('index', '');
openssl('ca -config ca.conf -gencrl -cert ca.crt -keyfile ca.key -out good.crl',
        'ca -config ca.conf -revoke cloud.crt -cert ca.crt -keyfile ca.key',
        'ca -config ca.conf -gencrl -cert ca.crt -keyfile ca.key -out bad.crl');

# a certificate with two authorities between it and the one that is trusted
file_write('ca-san', "basicConstraints=critical,CA:TRUE\n");
openssl(
    map({
        my ($by, $name, $ext) = @$_;
        ("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
         . "-keyout $name.key -out $name.csr -subj /CN=$name.test",
         "x509 -req -in $name.csr -CA $by.crt -CAkey $by.key -days 2 "
         . "-set_serial 78 -extfile $ext -out $name.crt")
    } ['ca', 'upper', 'ca-san'], ['upper', 'lower', 'ca-san'],
      ['lower', 'deep', 'san']));
file_write('deep-chain.crt', join '', map { file_read("$_.crt") }
           'deep', 'lower', 'upper');

our $deep = Binarize::Cloud->new($dir, '--tls-cert', "$dir/deep-chain.crt",
                                 '--tls-key', "$dir/deep.key");
our $tls = Binarize::Cloud->new($dir, '--tls-cert', "$dir/cloud.crt",
                                '--tls-key', "$dir/cloud.key");
our $mutual = Binarize::Cloud->new($dir, '--tls-cert', "$dir/cloud.crt",
                                   '--tls-key', "$dir/cloud.key",
                                   '--tls-client-ca', "$dir/ca.crt");

$mutual->{curl} = ['--cert', "$dir/cloud.crt", '--key', "$dir/cloud.key"];

$ENV{TEST_NGINX_DEEP} = "127.0.0.1:$deep->{port}";

# a token by file, so that it is the fetch that meets TLS first
file_write('bearer', secret($tls->post('mint')));
file_write('deep-bearer', secret($deep->post('mint')));
file_write('mutual-bearer', secret($mutual->post('mint')));

$ENV{TEST_NGINX_TLS} = "127.0.0.1:$tls->{port}";
$ENV{TEST_NGINX_MUTUAL} = "127.0.0.1:$mutual->{port}";

# each location has a name for itself of the same cloud, and a zone

our @locations = (
    ['untrusting', 'cloud.test', ''],
    ['wrongca', 'cloud.test',
     'binarize_ssl_trusted_certificate $TEST_NGINX_DIR/other-ca.crt;'],
    ['good', 'cloud.test', '$TRUST'],
    ['wrong', 'wrong.test', '$TRUST'],
    ['named', 'wrong.test', '$TRUST binarize_ssl_name cloud.test;'],
    ['misnamed', 'cloud.test', '$TRUST binarize_ssl_name wrong.test;'],
    ['host', 'wrong.test', '$TRUST binarize_set_header Host cloud.test;'],
    ['hostport', 'wrong.test',
     '$TRUST binarize_set_header Host cloud.test:443;'],
    ['mishost', 'cloud.test', '$TRUST binarize_set_header Host wrong.test;'],
    ['both', 'wrong.test', '$TRUST binarize_set_header Host wrong.test; '
                           . 'binarize_ssl_name cloud.test;'],
    ['variable', 'wrong.test', '$TRUST binarize_ssl_name $arg_name;'],
    ['nosni', 'cloud.test', '$TRUST binarize_ssl_server_name off;'],
    ['unverified', 'wrong.test', 'binarize_ssl_verify off;'],
    ['noreuse', 'cloud.test', '$TRUST binarize_ssl_session_reuse off;'],
    ['tls12', 'cloud.test', '$TRUST binarize_ssl_protocols TLSv1.2;'],
    ['crl', 'cloud.test',
     '$TRUST binarize_ssl_crl $TEST_NGINX_DIR/good.crl;'],
    ['revoked', 'cloud.test',
     '$TRUST binarize_ssl_crl $TEST_NGINX_DIR/bad.crl;'],
    ['anonymous', 'mutual', '$TRUST binarize_ssl_name cloud.test; '
     . 'binarize_bearer_file $TEST_NGINX_DIR/mutual-bearer;'],
    ['certified', 'mutual', '$TRUST binarize_ssl_name cloud.test; '
     . 'binarize_bearer_file $TEST_NGINX_DIR/mutual-bearer; binarize_ssl_certificate $TEST_NGINX_DIR/cloud.crt; '
     . 'binarize_ssl_certificate_key $TEST_NGINX_DIR/cloud.key;'],
    ['small', 'cloud.test', '$TRUST binarize_buffer_size 1k;'],
    ['deep', 'deep', '$TRUST binarize_ssl_name cloud.test; '
     . 'binarize_bearer_file $TEST_NGINX_DIR/deep-bearer;'],
    ['deeper', 'deep', '$TRUST binarize_ssl_name cloud.test; '
     . 'binarize_ssl_verify_depth 2; '
     . 'binarize_bearer_file $TEST_NGINX_DIR/deep-bearer;'],
);

our $http = join("\n", 'binarize_max_size 256k;',
    'binarize_bearer_file $TEST_NGINX_DIR/bearer;',
    map({ "upstream $_ { server \$TEST_NGINX_TLS; keepalive 8; }" }
        'cloud.test', 'wrong.test'),
    'upstream mutual { server $TEST_NGINX_MUTUAL; }',
    'upstream deep { server $TEST_NGINX_DEEP; }',
    map({ "binarize_zone $_->[0]:1m;" } @locations));

our $locations = join("\n", map {
    my ($name, $host, $more) = @$_;
    $more =~ s{\$TRUST}
              {binarize_ssl_trusted_certificate \$TEST_NGINX_DIR/ca.crt;};
    "location /$name/ { binarize_cache $name; $more binarize_pass "
    . "https://$host/v5.0/ocr/binarizeimage; }"
} @locations);

sub sni {
    my ($name) = @_;
    return $tls->calls()->{connections}{sni}{$name} // 0;
}

run_file();

__DATA__

=== who is trusted
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::tls;

for (['untrusting', 0, qr/unable to (?:get local|verify the first)/],
     ['wrongca', 0, qr/unable to (?:get local|verify the first)|self.signed/],
     ['good', 1], ['wrong', 0, qr/does not match "wrong\.test"/],
     ['named', 1], ['misnamed', 0, qr/does not match "wrong\.test"/],
     ['host', 1], ['hostport', 1],
     ['mishost', 0, qr/does not match "wrong\.test"/], ['both', 1],
     ['nosni', 1], ['unverified', 1], ['noreuse', 1], ['tls12', 1],
     ['crl', 1], ['revoked', 0, qr/certificate revoked/])
{
    my ($at, $ok, $message) = @$_;

    # again, so that kept sessions and connections take part
    for my $round (1 .. 3) {
        my $id = task(size => 300, -cloud => $cloud);
        my $answer = get("/$at/$id");

        if ($ok) {
            answer_is($answer, [200, body => $cloud->result($id)], "$at: ok");
            is(fetches($id, $cloud), 1, 'a call');

        } else {
            is($answer->{status}, 502, "$at: not ok");
            is(fetches($id, $cloud), 0, 'no call');
        }
    }

    logged($message, "$at: the log says why") if $message;
}


=== how long a chain of authorities may be
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::deep;

for (['deep', 502, 0], ['deeper', 200, 1]) {
    my ($at, $status, $calls) = @$_;
    my $id = task(size => 300, -cloud => $cloud);

    is(get("/$at/$id")->{status}, $status, "$at: $status");
    is(fetches($id, $cloud), $calls, 'as many calls');
}

logged(qr/chain too long|unable to (?:get|verify)/, 'the log says why');


=== connections and sessions are not shared between names
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::tls;

for my $round (1 .. 4) {
    for my $at ('good', 'misnamed', 'unverified', 'wrong', 'revoked',
                'untrusting', 'good')
    {
        my $id = task(size => 300, -cloud => $cloud);
        my $want = $at =~ /good|unverified/ ? 200 : 502;

        # one that is idle, a session that can be taken up, or neither
        $cloud->post('close-idle') if $round % 2;

        is(get("/$at/$id")->{status}, $want, "$at: $want");
        is(fetches($id, $cloud), $want == 200 ? 1 : 0, 'as many calls');
    }
}


=== nor between the values of a variable
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::tls;

for my $round (1 .. 3) {
    for my $name ('cloud.test', 'cloud.test', 'wrong.test') {
        my $id = task(size => 300, -cloud => $cloud);
        my $want = $name eq 'cloud.test' ? 200 : 502;

        is(get("/variable/$id?name=$name")->{status}, $want, "$name: $want");
        is(fetches($id, $cloud), $want == 200 ? 1 : 0, 'as many calls');
    }
}


=== SNI
--- http_config eval: $::http
--- config eval: $::locations
--- perl
for (['good', 'cloud.test'], ['named', 'cloud.test'], ['host', 'cloud.test'],
     ['hostport', 'cloud.test'], ['misnamed', 'wrong.test'],
     ['unverified', 'wrong.test'], ['nosni', undef])
{
    my ($at, $name) = @$_;
    my $cloud = $main::tls;

    $cloud->post('reset');
    $cloud->post('close-idle');

    my $id = task(size => 300, -cloud => $cloud);
    get("/$at/$id");

    my $sni = $cloud->calls()->{connections}{sni};

    delete $sni->{$_} for '', 'none', '-';

    is(join(' ', sort keys %$sni), $name // '', "$at: "
       . ($name // 'no name'));
}


=== sessions are taken up again
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::tls;

for (['good', 1], ['tls12', 1], ['noreuse', 0]) {
    my ($at, $reuse) = @$_;

    $cloud->post('reset');

    for (1 .. 8) {
        my $id = task(size => 300, -cloud => $cloud);

        $cloud->post('close-idle');
        is(get("/$at/$id")->{status}, 200, $at);
    }

    my $n = $cloud->calls()->{connections}{tls_resumed};

    $reuse ? cmp_ok($n, '>=', 1, "$at: taken up")
           : is($n, 0, "$at: not taken up");
}


=== a connection is kept
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::tls;
my @ids = map { task(size => 300, -cloud => $cloud) } 1 .. 10;

get("/good/$_") for splice(@ids, 0, 5);
$cloud->post('reset');

my $before = $cloud->calls()->{connections}{tls_handshakes};
get("/good/$_") for @ids;
my $after = $cloud->calls()->{connections}{tls_handshakes};

# the control call itself is one
cmp_ok($after - $before, '<=', 2, 'hardly a handshake');


=== the client's certificate
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::mutual;
my $id = task(size => 300, -cloud => $cloud);

is(get("/anonymous/$id")->{status}, 502, 'without one');
is(fetches($id, $cloud), 0, 'no call');
is(get("/certified/$id")->{status}, 200, 'with one');
is(fetches($id, $cloud), 1, 'a call');


=== what is decrypted already is no answer to the next request
--- http_config eval: $::http
--- config eval: $::locations
--- processes: 1
--- perl
my $cloud = $main::tls;

# a head that fills the buffer, and behind it what nobody has asked for yet
for my $status ('404 Not Found', '204 No Content') {
    my ($first, $next, $foreign) = map {
        task(size => 300, -cloud => $cloud)
    } 1 .. 3;
    my $head = "HTTP/1.1 $status\r\nContent-Length: 0\r\nX-Pad: ";
    my $document = $cloud->document($foreign);

    $document =~ s/\Q$foreign\E/$next/;
    $head .= 'x' x (1024 - length($head) - 4) . "\r\n\r\n";

    $cloud->fault($first, { raw => 'on', hang => 'end' },
                  $head . "HTTP/1.1 200 OK\r\nContent-Length: "
                  . length($document) . "\r\n\r\n" . $document);

    is(get("/small/$first")->{status}, 502, "a $status") for 1 .. 2;
    answer_is(get("/small/$next"), [200, body => $cloud->result($next)],
              'the next id has its own picture');
    is(fetches($next, $cloud), 1, 'from a call');
}


=== faults, over TLS
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $cloud = $main::tls;

for (['length', 200], ['chunked', 200], ['close', 200], ['http10', 200]) {
    my ($framing, $status) = @$_;

    for my $size (300, 200_000) {
        my $id = task(size => $size, framing => $framing, -cloud => $cloud);
        answer_is(get("/good/$id"), [200, body => $cloud->result($id)],
                  "$framing, $size bytes");
    }

    for my $close ('start', 'midhead', 'head', 'body') {
        my $id = task(size => 100_000, framing => $framing, close => $close,
                      -cloud => $cloud);
        is(get("/good/$id")->{status}, 502, "$framing: closed at $close");
    }
}

my $id = task(size => 300, dribble => 50, dribble_head => 'on',
              -cloud => $cloud);
answer_is(get("/good/$id"), [200, body => $cloud->result($id)], 'slowly');


=== the token's URL by itself
--- http_config
    upstream cloud.test { server $TEST_NGINX_TLS; }
    binarize_max_size 8m;
--- config
location /good/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_ssl_trusted_certificate $TEST_NGINX_DIR/ca.crt;
    binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret token_url=https://cloud.test/connect/token;
}
--- perl
my $before = $main::tls->calls()->{token}{calls};

# its tokens are none of the other cloud's, so that they are refused
my $id = task(size => 300);
problem_is(get("/good/$id"), 502, 'cloud-unauthorized', 'the wrong tokens');
is($main::tls->calls()->{token}{calls} - $before, 2, 'two tokens, by TLS');


=== the token's URL is verified, too
--- http_config
    upstream cloud.test { server $TEST_NGINX_TLS; }
    binarize_max_size 8m;
--- config
location /bad/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret token_url=https://cloud.test/connect/token;
}
--- perl
my $before = $main::tls->calls()->{token}{calls};

problem_is(get('/bad/' . guid()), 502, 'cloud-unreachable', 'not trusted');
is($main::tls->calls()->{token}{calls}, $before, 'the secret was not sent');
