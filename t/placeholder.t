use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# A PNG of so many bytes, as the stand-in makes one.
sub picture {
    return cloud->result(task(size => $_[0]));
}

our %picture = map { $_->[0] => main::picture($_->[1]) }
               ['pending', 311], ['missing', 312], ['error', 313],
               ['other', 314];

file_write("$_.png", $picture{$_}) for keys %picture;
file_write('text.png', "GIF89a\n");
file_write('cut.png', substr($picture{other}, 0, -12));
file_write('tail.png', $picture{other} . "\n");
file_write('empty.png', '');
mkdir("$dir/directory.png");

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_placeholder pending=$TEST_NGINX_DIR/pending.png
                         missing=$TEST_NGINX_DIR/missing.png
                         error=$TEST_NGINX_DIR/error.png;
    binarize_negative_valid 20s;
    gzip on;
    gzip_types *;
    gzip_min_length 1;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 10s;
        binarize_poll 100ms;
    }
    location /off/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_placeholder off;
    }
    location /one/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_placeholder missing=$TEST_NGINX_DIR/other.png;
    }
    location /if/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        if ($arg_other) {
            binarize_placeholder pending=$TEST_NGINX_DIR/other.png;
        }
    }
    location /page/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_intercept_errors on;
        error_page 404 502 /own.html;
    }
    location = /own.html {
        return 200 "own\n";
    }
CONFIG

# What every placeholder has, and has not.
sub placeholder_is {
    my ($answer, $status, $which, $name, @more) = @_;
    my $bytes = $main::picture{$which};

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %want = (body => $bytes,
        'Content-Type' => 'image/png', 'Content-Length' => length($bytes),
        'Cache-Control' => 'no-store', 'ETag' => undef,
        'Last-Modified' => undef, 'Accept-Ranges' => undef,
        'Content-Encoding' => undef, 'X-Content-Type-Options' => 'nosniff',
        @more);

    return answer_is($answer, [$status, %want], $name);
}

# nginx -t with that directive; its standard error.
sub nginx_test {
    my ($directive) = @_;

    file_write('try.conf', <<"CONF");
$modules
pid $dir/try.pid;
error_log stderr;
events { }
http {
    access_log off;
    server {
        listen 127.0.0.1:1;
        location /b/ {
            binarize_pass http://127.0.0.1:2/v5.0/ocr/binarizeimage;
            binarize_credentials client_id=x client_secret_file=$dir/secret;
            $directive
        }
    }
}
CONF

    return `$nginx -t -e stderr -p $dir -c $dir/try.conf 2>&1`;
}

run_file();

__DATA__

=== a pending picture (RFC 9110 15.3.3: 202)
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $status ('Pending', 'Processing') {
    my $id = task(status => $status);

    main::placeholder_is(get("/b/$id"), 202, 'pending', $status,
                         'Retry-After' => qr/^[1-9]\d*$/, 'Vary' => 'Accept',
                         'Cache-Status' => qr/^binarize; fwd=uri-miss/);
    main::placeholder_is(get("/b/$id.png"), 202, 'pending', 'by suffix',
                         'Retry-After' => qr/^[1-9]\d*$/, 'Vary' => undef,
                         'Cache-Status' => qr/hit; .*detail=pending/);
    main::placeholder_is(get("/b/$id.png", 'Accept-Encoding' => 'gzip'),
                         202, 'pending', 'never gzipped');
    main::placeholder_is(get("/b/$id.png", Range => 'bytes=0-9',
                             'If-None-Match' => '*'),
                         202, 'pending', 'neither ranges nor conditions');

    answer_is(get("/b/$id.png", -method => 'HEAD'), [202, body => '',
              'Content-Type' => 'image/png', 'Content-Length' => 311,
              'Retry-After' => qr/^\d+$/, 'Cache-Control' => 'no-store'],
              'HEAD');
    answer_is(get("/b/$id.json"), [200, 'Content-Type' => 'application/json',
              'Retry-After' => undef, body => qr/"taskStatus":"$status"/],
              'JSON keeps the contract of the cloud');
}


=== it gives way to the picture
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 900, pending => 2);
my $answer = get("/b/$id");

main::placeholder_is($answer, 202, 'pending', 'first');
answer_is(get("/wait/$id"), [200, body => cloud->result($id),
          'ETag' => qr/^"/, 'Retry-After' => undef], 'who waits gets the PNG');
answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'then all do');

$id = task(pending => 99);
$answer = get("/wait/$id", Prefer => 'wait=1');
main::placeholder_is($answer, 202, 'pending', 'after the wait',
                     'Preference-Applied' => 'wait=1');
cmp_ok($answer->{seconds}, '>', 0.9, 'it waited');


=== a missing picture may be kept for a while
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();

main::placeholder_is(get("/b/$id"), 404, 'missing', 'NotExist',
                     'Cache-Control' => qr/^public, max-age=(1[5-9]|20)$/,
                     'Vary' => 'Accept', 'Retry-After' => undef);
sleep(2);
main::placeholder_is(get("/b/$id.png"), 404, 'missing', 'again',
                     'Cache-Control' => qr/^public, max-age=1[0-8]$/,
                     'Cache-Status' => qr/detail=negative/);
answer_is(get("/b/$id.png", -method => 'HEAD'), [404, body => '',
          'Content-Type' => 'image/png', 'Content-Length' => 312], 'HEAD');
answer_is(get("/b/$id.json"), [200, body => qr/"NotExist"/], 'JSON');
is(fetches($id), 1, 'one cloud call');


=== errors of the task and of the gateway
--- http_config eval: $::http
--- config eval: $::config
--- perl
main::placeholder_is(get('/b/' . task(status => 'Error', messages => 'x')),
                     502, 'error', 'a failed task');
main::placeholder_is(get('/b/' . task(results => 'empty')),
                     502, 'error', 'no result');
main::placeholder_is(get('/b/' . task(payload => 'notpng')),
                     502, 'error', 'not a PNG');
main::placeholder_is(get('/b/' . task(http => 500)), 502, 'error',
                     'the cloud fails');
main::placeholder_is(get('/b/' . task(text => 'cut')), 502, 'error',
                     'garbage');

my $id = task();
cloud->fault($id, { http => 503, retry_after => 7 });
main::placeholder_is(get("/b/$id"), 503, 'error', 'the cloud is busy',
                     'Retry-After' => qr/^[67]$/);

problem_is(get("/b/$id.json"), 503, 'cloud-busy', 'JSON has its problem');


=== the errors of a client stay problems (RFC 9457)
--- http_config eval: $::http
--- config eval: $::config
--- perl
problem_is(get('/b/x.png'), 400, 'bad-id', 'a bad id');
problem_is(get('/b/' . guid() . '?format=gif'), 400, 'bad-format', 'format');
problem_is(get('/b/' . guid(), Accept => 'text/html'), 406, 'not-acceptable',
           'Accept');
problem_is(get('/b/' . guid() . '.png', -method => 'POST', -body => 'x'), 405,
           'bad-method', 'POST');


=== inherited as a whole, "off" cancels
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(status => 'Pending');

answer_is(get("/off/$id"), [202, 'Content-Type' => 'application/json',
          body => qr/"Pending"/], 'off: pending');
answer_is(get('/off/' . guid()), [404, body => qr/urn:binarize:not-found/,
          'Content-Type' => 'application/problem+json'], 'off: missing');

answer_is(get("/one/$id"), [202, 'Content-Type' => 'application/json'],
          'only missing: pending');
main::placeholder_is(get('/one/' . guid()), 404, 'other',
                     'only missing: missing', 'Cache-Control' => qr/^public/);

main::placeholder_is(get("/if/$id"), 202, 'pending', 'beside "if"');
main::placeholder_is(get("/if/$id?other=1"), 202, 'other', 'inside "if"');


=== error_page wins
--- http_config eval: $::http
--- config eval: $::config
--- perl
answer_is(get('/page/' . guid()), [404, body => "own\n",
          'Vary' => 'Accept'], 'error_page 404');
answer_is(get('/page/' . task(status => 'Error')), [502, body => "own\n"],
          'error_page 502');

my $id = task();
cloud->fault($id, { http => 503 });
main::placeholder_is(get("/page/$id"), 503, 'error', 'no error_page for it');
main::placeholder_is(get('/page/' . task(status => 'Pending')), 202,
                     'pending', 'pending is no error');


=== a reload reads them anew
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();
my $answer = get("/b/$id");
my $is = $main::picture{missing};

is($answer->{body}, $is, 'before');
file_write('missing.png', $main::picture{other});
is(get("/b/$id")->{body}, $is, 'before the reload, still');

nginx_reload();
is(get("/b/$id")->{body}, $main::picture{other}, 'after the reload');
file_write('missing.png', $is);


=== what is wrong is told in one line
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @wrong = (
    ["pending=$dir/none.png", qr/open\(\) "\Q$dir\E\/none.png" failed \(2:/],
    ["missing=$dir/text.png", qr/"\Q$dir\E\/text.png" is not a PNG: \w/],
    ["error=$dir/cut.png", qr/"\Q$dir\E\/cut.png" is not a PNG: \w/],
    ["error=$dir/tail.png", qr/"\Q$dir\E\/tail.png" is not a PNG: \w/],
    ["error=$dir/empty.png", qr/"\Q$dir\E\/empty.png" is not a PNG: \w/],
    ["error=$dir/directory.png", qr/"\Q$dir\E\/directory.png" is not a file/],
    ["pending=", qr/a file has no name/],
    ["$dir/other.png", qr/invalid parameter "\Q$dir\E\/other.png"/],
    ["off pending=$dir/other.png", qr/invalid parameter "off"/],
    ["error=$dir/other.png error=$dir/other.png", qr/duplicate parameter/],
);

for (@wrong) {
    my ($arguments, $want) = @$_;
    my @lines = grep { /\[emerg\]/ }
                split /\n/, main::nginx_test("binarize_placeholder $arguments;");

    is(scalar(@lines), 1, "one line: $arguments");
    like($lines[0] // '', qr/binarize_placeholder.*$want.* in .*try\.conf:\d+/,
         'it names directive, file and place');
}

my $twice = main::nginx_test("binarize_placeholder off;\n"
                             . "binarize_placeholder off;");
like($twice, qr/\[emerg\].*"binarize_placeholder" directive is duplicate/,
     'twice');

like(main::nginx_test('binarize_placeholder pending=other.png;'),
     qr/test is successful/, 'relative to the configuration');
