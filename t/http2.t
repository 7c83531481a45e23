use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# The same answers over HTTP/2, with and without TLS, and over HTTPS.

our $h2c = $port + 2;
our $tls = $port + 3;

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
       . "-keyout $dir/key.pem -out $dir/cert.pem > $dir/openssl.log 2>&1") == 0
    or die "openssl: " . file_read('openssl.log');

our $http = <<"CONFIG";
    binarize_credentials \$TEST_NGINX_CREDENTIALS;

    server {
        listen 127.0.0.1:$h2c http2;
        listen 127.0.0.1:$tls ssl http2;
        ssl_certificate $dir/cert.pem;
        ssl_certificate_key $dir/key.pem;

        location /b/ {
            binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        }
        location /wait/ {
            binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
            binarize_wait 10s;
            binarize_poll 100ms;
        }
    }
CONFIG

our @ways = (
    ['HTTP/2', '--http2-prior-knowledge', "http://127.0.0.1:$h2c"],
    ['HTTP/2 over TLS', '--http2', "https://127.0.0.1:$tls"],
    ['HTTPS', '--http1.1', "https://127.0.0.1:$tls"],
);

# An answer as Binarize::Client has it; -args: curl's own.
sub fetch {
    my ($way, $url, @args) = @_;
    my ($name, $option, $base) = @$way;

    open(my $f, '-|', 'curl', '-sk', '-i', '-m', $patience, $option, @args,
         "$base$url") or die "curl: $!\n";
    binmode($f);
    local $/;
    my $bytes = readline($f) // '';
    close($f);

    my $head = grep { $_ eq '-I' } @args;
    my ($version) = $bytes =~ m{^HTTP/(\S+)};

    $bytes =~ s{^HTTP/2 (\d+) *}{HTTP/1.1 $1 OK};

    my $answer = Binarize::Client::parse($bytes, $head ? 'HEAD' : 'GET');

    $answer->{wrong} //= "HTTP/$version"
        if ($version // '') ne ($option eq '--http1.1' ? '1.1' : '2');

    return $answer;
}

run_file();

__DATA__

=== HTTP/2 and TLS (RFC 9113, RFC 9110 4.3)
--- http_config eval: $::http
--- config
location = /none { return 204; }
--- perl
for my $way (@::ways) {
    my $name = $way->[0];
    my $id = task(size => 300_000);
    my $png = cloud->result($id);
    my $url = "/b/$id.png";

    my $answer = main::fetch($way, $url);
    answer_is($answer, [200, body => $png, 'Content-Length' => 300_000,
              'Content-Type' => 'image/png', 'ETag' => qr/^"/,
              'Accept-Ranges' => 'bytes',
              'Cache-Status' => 'binarize; fwd=uri-miss; stored'],
              "$name: a miss");

    my $etag = $answer->header('ETag');

    answer_is(main::fetch($way, $url), [200, body => $png,
              'ETag' => $etag, 'Cache-Status' => qr/detail=l1/],
              "$name: a hit");
    answer_is(main::fetch($way, $url, '-I'), [200, body => '',
              'Content-Length' => 300_000], "$name: HEAD");
    answer_is(main::fetch($way, $url, '-H', "If-None-Match: $etag"),
              [304, body => '', 'ETag' => $etag], "$name: 304");
    answer_is(main::fetch($way, $url, '-r', '10-19'), [206,
              body => substr($png, 10, 10), 'Content-Length' => 10,
              'Content-Range' => 'bytes 10-19/300000'], "$name: a range");
    answer_is(main::fetch($way, $url, '-r', '0-0,299999-299999'), [206,
              'Content-Type' => qr{^multipart/byteranges}], "$name: ranges");
    answer_is(main::fetch($way, $url, '-r', '300000-'), [416,
              'Content-Range' => 'bytes */300000'], "$name: 416");
    answer_is(main::fetch($way, $url, '-H', 'If-Match: "x"'), [412],
              "$name: 412");
    answer_is(main::fetch($way, "/b/$id", '-H', 'Accept: application/json'),
              [200, 'Content-Type' => 'application/json', 'Vary' => 'Accept',
               'Content-Length' => qr/^\d+$/, body => qr/"Completed"/],
              "$name: JSON");
    problem_is(main::fetch($way, '/b/x'), 400, 'bad-id', "$name: 400");
    problem_is(main::fetch($way, $url, '-X', 'PUT'), 405,
               'bad-method', "$name: 405");

    answer_is(main::fetch($way, '/b/' . task(status => 'Pending')), [202,
              'Retry-After' => qr/^\d+$/, body => qr/"Pending"/],
              "$name: pending");

    $id = task(pending => 2, size => 50_000);
    answer_is(main::fetch($way, "/wait/$id"), [200,
              body => cloud->result($id)], "$name: who waits");
}


=== many streams on one connection
--- http_config eval: $::http
--- config
location = /none { return 204; }
--- perl
SKIP: {
    Test::More::skip('no h2load', 4)
        unless grep { -x "$_/h2load" } split(/:/, $ENV{PATH});

    # each worker may lead one flight at most at a time: one call

    my $id = task(size => 100_000, processing => 1);
    my $out = `h2load -n 300 -c 3 -m 50 -T $patience http://127.0.0.1:$::h2c/wait/$id 2>&1`;

    like($out, qr/300 succeeded, 0 failed, 0 errored/, 'a crowd that waits')
        or diag($out);
    is(fetches($id), 2, 'one flight of two calls');

    $out = `h2load -n 2000 -c 4 -m 20 -T $patience https://127.0.0.1:$::tls/b/$id 2>&1`;
    like($out, qr/2000 succeeded, 0 failed, 0 errored/, 'a crowd over TLS')
        or diag($out);
    is(fetches($id), 2, 'no more calls');
}


=== clients that leave
--- http_config eval: $::http
--- config
location = /none { return 204; }
--- perl
for my $way (@::ways) {
    my $id = task(delay_ms => 700, times => 1);

    my $pid = fork() // die;

    if ($pid == 0) {
        open(STDOUT, '>', '/dev/null');
        exec('curl', '-sk', '-m', '0.3', $way->[1], "$way->[2]/b/$id");
    }

    waitpid($pid, 0);

    until_true { get_l1($way, $id) };
    is(fetches($id), 1, "$way->[0]: the flight lands all the same");

    sub get_l1 {
        my ($way, $id) = @_;
        return main::fetch($way, "/b/$id")->source() eq 'l1';
    }
}
