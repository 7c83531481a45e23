use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

$ENV{TEST_NGINX_CLOUD_PORT} = cloud->{port};

# The header of the last fetch of that id, as text.
sub asked {
    my ($id) = @_;
    my ($line, $headers) = Binarize::cloud()->last_fetch($id);
    return join("\n", $line, map { "$_->[0]: $_->[1]" } @$headers) . "\n";
}

run_file();

__DATA__

=== nothing of the client reaches the cloud
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/BinarizeImage;
}
location /arg {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/BinarizeImage;
    binarize_id $arg_id;
}
--- perl
my @headers = ('User-Agent' => 'the-client', Cookie => 'the-client=1',
    Authorization => 'Bearer the-client', Referer => 'http://the-client/',
    'X-Forwarded-For' => 'the-client', 'Accept-Encoding' => 'gzip',
    'Accept-Language' => 'the-client', Range => 'bytes=0-10',
    'If-None-Match' => '"the-client"', 'If-Range' => '"the-client"',
    'If-Modified-Since' => 'Thu, 01 Jan 1970 00:00:10 GMT',
    'Cache-Control' => 'no-cache', Pragma => 'no-cache', Host => 'the-client',
    Via => '1.1 the-client', 'Proxy-Authorization' => 'the-client',
    TE => 'trailers', Accept => 'image/png', 'X-Any' => 'the-client',
    'Content-Type' => 'the/client', Prefer => 'wait=1', Origin => 'the-client');

for (["/b/%s?format=png&x=the-client&id=" . guid()], ["/b/%s.json?the-client"],
     ["/arg?id=%s&the-client=1#x"], ["/b/%s", -body => 'the-client'],
     ["/b/%s", -version => '1.0'], ["/b/%s", -method => 'HEAD'])
{
    my ($url, @more) = @$_;
    my $id = task(size => 300);

    get(sprintf($url, $id), @more, @headers);

    my $asked = main::asked($id);
    my $token = qr/sha256=[0-9a-f]{64}/;

    unlike($asked, qr/the-client/i, "$url: nothing of the client");
    like($asked, qr{^GET /v5\.0/ocr/BinarizeImage\?id=\Q$id\E HTTP/1\.1\n},
         'the line');
    is(join(' ', sort map { /^([^:]+):/ } split /\n/, $asked),
       'Accept Authorization Host', 'these headers and no others');
    like($asked, qr{^Accept: application/json$}m, 'Accept');
    like($asked, qr{^Host: \Q$ENV{TEST_NGINX_CLOUD}\E$}m, 'Host');
    like($asked, qr{^Authorization: $token$}m, 'Authorization');
}


=== nothing of the cloud's header reaches the client
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
--- perl
my @headers = ('Set-Cookie: from-the-cloud=1', 'ETag: "from-the-cloud"',
    'Cache-Control: from-the-cloud', 'X-Any: from-the-cloud', 'Age: 77',
    'Last-Modified: Thu, 01 Jan 1970 00:00:10 GMT', 'Expires: from-the-cloud',
    'Vary: from-the-cloud', 'X-Accel-Redirect: /from-the-cloud',
    'X-Accel-Expires: 1', 'X-Accel-Buffering: no', 'X-Accel-Limit-Rate: 1',
    'Content-Disposition: from-the-cloud', 'Link: from-the-cloud',
    'WWW-Authenticate: from-the-cloud', 'Strict-Transport-Security: x');

for my $fault ([], [status => 'Pending'], [status => 'NotExist'],
               [http => 500], [http => 401, times => 1], [http => 302])
{
    my $id = task(size => 300, @$fault == 2 && $fault->[0] eq 'status'
                               ? @$fault : ());

    cloud->fault($id, { @$fault, header => \@headers,
                        content_type => 'from/the-cloud',
                        location => '/from-the-cloud' });

    for my $suffix ('', '.json', '') {
        my $answer = get("/b/$id$suffix");
        my $head = $answer->{head};

        unlike($head, qr/from.the-cloud/i, "@$fault: nothing of the cloud");
        unlike($head, qr/^(?:Set-Cookie|Age|X-A|Link|Location|WWW|Strict)/mi,
               'no such header');
        unlike($head, qr/1970/, 'the date is our own');
        like($head, qr/^Server: nginx/m, 'Server');
    }
}


=== binarize_set_header
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
    binarize_set_header X-Outer "outer";
--- config
set $one 'uno';

location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_set_header Host "cloud.test";
    binarize_set_header X-Who "$arg_who";
    binarize_set_header X-One "$one, two; \"three\"";
    binarize_set_header X-Id $binarize_id;
    binarize_set_header X-Long $arg_long;
    binarize_set_header User-Agent "gateway/1";
    binarize_set_header Accept "text/plain";
}
location ~ ^/inject/(?<evil>[^/]*)/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_set_header X-Who $evil;
}
location /none/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_set_header accept "";
}
location /outer/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
location /host/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_set_header Host $http_host;
}
--- perl
my $id = task(size => 300);

is(get("/b/$id?who=me")->{status}, 200, 'a call with headers');

my $asked = main::asked($id);

for ("Host: cloud.test", "X-Who: me", 'X-One: uno, two; "three"',
     "X-Id: $id", "User-Agent: gateway/1", "Accept: text/plain")
{
    my $n = () = $asked =~ /^\Q$_\E$/mg;
    is($n, 1, "$_, once");
}

unlike($asked, qr/X-Outer/, 'not those of the level above');
unlike($asked, qr/X-Long/, 'one without a value is not sent');
is(scalar(() = $asked =~ /^Accept:/mg), 1, 'Accept once');
is(scalar(() = $asked =~ /^Host:/mg), 1, 'Host once');

$id = task(size => 300);
is(get("/b/$id?long=" . 'x' x 6000)->{status}, 200, 'a long value');
like(main::asked($id), qr/^X-Long: x{6000}$/m, 'it is whole');

$id = task(size => 300);
get("/none/$id");
unlike(main::asked($id), qr/^Accept:/mi, 'no Accept');

$id = task(size => 300);
get("/outer/$id");
like(main::asked($id), qr{^Accept: application/json$}m, 'the usual Accept');
like(main::asked($id), qr/^X-Outer: outer$/m, 'of the level above');
like(main::asked($id), qr/^Host: \Q$ENV{TEST_NGINX_CLOUD}\E$/m,
     "the URL's host");

$id = task(size => 300);
get("/host/$id", Host => 'who.test:99');
like(main::asked($id), qr/^Host: who.test:99$/m, 'Host of a variable');

# the value of a variable may hold anything: a header can not be injected
for my $evil ("a%0d%0aX-Evil:%20b", "a%0aX-Evil:%20b", "a%0dX-Evil:%20b") {
    $id = task(size => 300);
    is(get("/inject/$evil/$id")->{status}, 200, 'a line break in a value');
    unlike(main::asked($id), qr/X-Evil/, 'no header is injected');
}


=== the path and the port of the URL
--- config
location /b/ {
    binarize_pass http://localhost:$TEST_NGINX_CLOUD_PORT/V5.0/Ocr/BINARIZEIMAGE;
}
--- perl
my $id = task(size => 300);
is(get("/b/$id")->{status}, 200, 'mixed case');
like(main::asked($id), qr{^GET /V5\.0/Ocr/BINARIZEIMAGE\?id=\Q$id\E HTTP/1.1$}m,
     'as configured');
like(main::asked($id), qr/^Host: localhost:\d+$/m, 'Host with the port');


=== Cache-Control of a result
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_cache_control $arg_cc;
}
location /none/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_cache_control "";
}
location /expires/ {
    expires 1h;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_cache_control "";
}
--- perl
my $id = task(size => 300);

for ([b => '?cc=private', 'private'], [b => '', undef], [none => '', undef],
     [expires => '', 'max-age=3600'])
{
    my ($at, $args, $value) = @$_;

    for my $suffix ('png', 'json') {
        answer_is(get("/$at/$id.$suffix$args"),
                  [200, 'Cache-Control' => $value],
                  "$at$args, $suffix: " . ($value // 'none'));
    }
}

# all but a result
answer_is(get('/none/' . task(status => 'Error')),
          [502, 'Cache-Control' => 'no-store'], 'what is not a result');
answer_is(get("/none/$id", Range => 'bytes=999-'),
          [416, 'Cache-Control' => 'no-store'], 'a range that is not there');
