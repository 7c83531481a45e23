use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# What caches and browsers rely on, by the sections of the RFCs; the basic
# cases are in basic.t.

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    limit_req_zone $arg_limit zone=limit:1m rate=1r/m;
    auth_basic_user_file /dev/null;
CONFIG

our $redis = redis_server();
our $shared = $http . "    binarize_redis redis://127.0.0.1:$redis->{port};\n"
              . "    binarize_wait 5s;\n";

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        limit_req zone=limit;
        if ($arg_forbidden) {
            return 403;
        }
    }
    location /uncached/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 5s;
    }
    location /json/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_format json;
    }
    location /private/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        auth_basic private;
    }
    location /get-only/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        limit_except GET {
            deny all;
        }
    }
    location /exact/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        if_modified_since off;
    }
    location /other-page/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        error_page 416 =200 /other-page;
    }
    location = /other-page {
        max_ranges 0;
        return 200 other;
    }
    location ~ ^/by-id {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_id $arg_id;
    }
CONFIG

# "Thu, 01 Jan 1970 00:00:10 GMT"
sub http_date {
    my @t = gmtime($_[0]);
    return sprintf('%s, %02d %s %d %02d:%02d:%02d GMT',
                   (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]], $t[3],
                   (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))
                   [$t[4]], $t[5] + 1900, @t[2, 1, 0]);
}

run_file();

__DATA__

=== Vary: Accept on every answer, whatever its status (RFC 9110 12.5.5)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 500);
my $etag = get("/b/$id")->header('ETag');
my $pending = task(status => 'Pending');
my $gone = guid();
my $failed = task(status => 'Error');

my $busy = task();
cloud->fault($busy, { http => 503 });

for my $case (
    [200, "/b/$id"],
    [200, "/b/$id", Accept => 'application/json'],
    [200, "/b/$id", Accept => 'application/json', -method => 'HEAD'],
    [200, "/b/$id", -version => '1.0'],
    [206, "/b/$id", Range => 'bytes=0-9'],
    [206, "/b/$id", Range => 'bytes=0-9,20-29'],
    [304, "/b/$id", 'If-None-Match' => $etag],
    [412, "/b/$id", 'If-Match' => '"x"'],
    [412, "/b/$id", 'If-Unmodified-Since' => main::http_date(10)],
    [416, "/b/$id", Range => 'bytes=500-'],
    [202, "/b/$pending"],
    [200, "/b/$pending", Accept => 'application/json'],
    [404, "/b/$gone"],
    [502, "/b/$failed"],
    [503, "/b/$busy"],
    [400, "/b/no-guid"],
    [406, "/b/$id", Accept => 'image/webp'],
    [405, "/b/$id", -method => 'POST', -body => 'x'],
    [405, "/b/$id", -method => 'OPTIONS'],
    [403, "/b/$id?forbidden=1"],
    [401, "/private/$id"],
    [403, "/get-only/$id", -method => 'PUT', -body => 'x'],
    [413, "/b/$id", -method => 'POST', 'Content-Length' => 99_000_000],
)
{
    my ($status, $url, @more) = @$case;

    answer_is(get($url, @more), [$status, 'Vary' => 'Accept'],
              "$status: $url @more");

    next if $status == 406 || $status == 413 || $url =~ /no-guid/;

    # what a suffix or an argument has settled varies not

    for my $other ($url =~ s/(\?|$)/.png$1/r,
                   $url =~ /\?/ ? "$url&format=png" : "$url?format=png")
    {
        my $answer = get($other, @more);
        answer_is($answer, [$answer->{status}, 'Vary' => undef],
                  "$answer->{status}: $other @more");
    }
}

answer_is(get("/by-id?id=$id"), [200, 'Vary' => 'Accept'], 'binarize_id');
answer_is(get("/by-id?id=$id.png"), [200, 'Vary' => undef],
          'binarize_id with a suffix');
answer_is(get("/by-id?id=$id.png", 'If-Match' => '"x"'),
          [412, 'Vary' => undef], 'binarize_id with a suffix, 412');
answer_is(get("/by-id?id=$id", 'If-Match' => '"x"'),
          [412, 'Vary' => 'Accept'], 'binarize_id, 412');

get("/b/$id?limit=1");
answer_is(get("/b/$id?limit=1"), [503, 'Vary' => 'Accept'], 'limit_req');
answer_is(get("/b/$id.png?limit=1"), [503, 'Vary' => undef],
          'limit_req, suffix');


=== what nginx answers about a result is not to be stored (RFC 9111 3)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 500);

for my $suffix ('.png', '.json', '') {
    answer_is(get("/b/$id$suffix", Range => 'bytes=9999999-'),
              [416, 'Content-Range' => qr{^bytes \*/\d+$}, 'ETag' => undef,
               'Cache-Control' => 'no-store'], "416, \"$suffix\"");
    answer_is(get("/b/$id$suffix", 'If-Match' => '"x"'),
              [412, 'ETag' => undef, 'Cache-Control' => 'no-store'],
              "412, \"$suffix\"");
}


=== a page in the place of a result has none of its validators
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 500);

for my $suffix ('.png', '.json') {
    answer_is(get("/other-page/$id$suffix", Range => 'bytes=9999999-'),
              [200, 'Content-Length' => 5, 'ETag' => undef,
               'Last-Modified' => undef], "instead of 416, $suffix");
}


=== If-Modified-Since: a later date is as good (RFC 9110 13.1.3)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 500);
my $url = "/b/$id.png";
my $first = get($url);
my $date = $first->header('Last-Modified');

answer_is(get($url, 'If-Modified-Since' => $date), [304], 'the same date');
answer_is(get($url, 'If-Modified-Since' => main::http_date(time() + 100)),
          [304, 'ETag' => $first->header('ETag')], 'a later date');
answer_is(get($url, 'If-Modified-Since' => main::http_date(time() - 1000)),
          [200], 'an earlier date');
answer_is(get($url, 'If-Modified-Since' => 'yesterday'), [200],
          'not a date: ignored');
answer_is(get($url, 'If-Unmodified-Since' => $date), [200],
          'If-Unmodified-Since (13.1.4)');
answer_is(get($url, 'If-Match' => '*'), [200], 'If-Match: * (13.1.1)');
answer_is(get($url, 'If-Match' => 'W/' . $first->header('ETag')), [412],
          'If-Match compares strongly (13.1.1)');
answer_is(get("/exact/$id.png", 'If-Modified-Since' => $date), [200],
          'if_modified_since off');


=== what has no validators (RFC 9110 13.1)
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $status ('Pending', 'NotExist', 'Error') {
    my $id = task(status => $status);
    my $url = "/b/$id.json";

    answer_is(get($url), [200, 'ETag' => undef, 'Last-Modified' => undef,
              'Accept-Ranges' => undef], $status);
    answer_is(get($url, 'If-None-Match' => '*'), [200,
              body => qr/"$status"/], 'If-None-Match: *');
    answer_is(get($url, 'If-Unmodified-Since' => main::http_date(10)), [200],
              '13.1.4: If-Unmodified-Since is ignored');
    answer_is(get($url, 'If-Modified-Since' => main::http_date(time())),
              [200], '13.1.3: If-Modified-Since, too');
    answer_is(get($url, 'If-Match' => '"x"'), [412], '13.1.1: If-Match');
    answer_is(get($url, Range => 'bytes=0-1'), [200], 'no ranges');
}


=== fetched anew after a restart: the same strong ETag (RFC 9110 8.8.1)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 3000);
my @before = map { get("/b/$id.$_") } qw(png json);

nginx_restart();

my @after = map { get("/b/$id.$_", 'If-None-Match' =>
                      $before[0]->header('ETag')) } qw(png json);

is($after[0]->{status}, 304, 'a client has it still');
is($after[1]->header('ETag'), $before[1]->header('ETag'), 'JSON');
is(fetches($id), 2, 'it was fetched again');


=== ranges (RFC 9110 14)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 5000);
my $png = cloud->result($id);
my $url = "/b/$id.png";

answer_is(get($url), [200, 'Accept-Ranges' => 'bytes', body => $png],
          '14.3: Accept-Ranges');
answer_is(get($url, Range => 'bytes=0-9', -method => 'HEAD'),
          [200, 'Content-Length' => 5000, 'Content-Range' => undef, body => ''],
          '14.2: ranges are of GET only');
answer_is(get("/b/$id.json", Range => 'bytes=0-9', -method => 'HEAD'),
          [200, 'Content-Range' => undef, body => ''], '14.2: JSON, too');
answer_is(get($url, Range => 'pages=1-2'), [200, body => $png],
          '14.2: an unknown unit is ignored');

for ('bytes=', 'bytes=5-4', 'bytes=a-b', 'bytes 0-9') {
    my $answer = get($url, Range => $_);
    ok($answer->{status} =~ /^(200|416)$/ && !$answer->{wrong},
       "14.1.1: not a range: \"$_\"") or diag($answer->{head});
}

answer_is(get($url, Range => 'bytes=0-0', 'If-None-Match' =>
              get($url)->header('ETag')), [304, body => ''],
          '13.2.2: If-None-Match goes before Range');
answer_is(get($url, Range => 'bytes=9999-', 'If-Range' => '"x"'),
          [200, body => $png], '13.1.5: Range is ignored');
answer_is(get($url, Range => 'bytes=0-4999,0-4999,0-4999'),
          [200, body => $png],
          '14.2: ranges that come to more than the picture');
answer_is(get("/b/$id.json", Range => 'bytes=0-1,3-4'),
          [200, 'Accept-Ranges' => 'bytes'], 'JSON: single ranges only');

my $answer = get("/b/$id.json", Range => 'bytes=-2');
answer_is($answer, [206, 'Content-Type' => 'application/json'], 'JSON');


=== HEAD tells of a miss what GET would (RFC 9110 9.3.2)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @headers = qw(Content-Type Content-Length Retry-After Cache-Control Vary
                 X-Content-Type-Options);

for my $case (['png', 200], ['json', 200], ['png', 202, status => 'Pending'],
              ['json', 200, status => 'Pending'],
              ['png', 502, status => 'Error', messages => 'x'],
              ['png', 404, status => 'NotExist'],
              ['json', 200, status => 'NotExist'],
              ['png', 502, http => 500])
{
    my ($format, $status, @task) = @$case;
    my ($id, $other) = (task(@task), task(@task));
    my $get = get("/b/$other.$format");

    # all that depends on the id is of the same length
    answer_is(get("/b/$id.$format", -method => 'HEAD'), [$status, body => '',
              map { $_ => $get->header($_) } @headers],
              "HEAD of $format, $status @task");
    is($get->header('Content-Length'), length($get->{body}),
       'Content-Length is true');
}


=== the same validators wherever it comes from (RFC 9110 8.8.3)
--- http_config eval: $::shared
--- config eval: $::config
--- perl
for my $suffix ('.png', '.json') {
    my $id = task(size => 30_001, pending => 1);
    my @crowd = map { begin("/b/$id$suffix") } 1 .. 6;
    my @answers = map { $_->answer() } @crowd;

    push @answers, get("/b/$id$suffix"), get("/uncached/$id$suffix");

    my %sources = map { $_->source() => 1 } @answers;
    is(join(' ', sort keys %sources), 'collapsed l1 redis stored',
       "all sources, $suffix");

    for my $name ('ETag', 'Last-Modified', 'Content-Length') {
        my %values = map { $_->header($name) => 1 } @answers;
        is(scalar(keys %values), 1, "one $name");
    }

    my %bodies = map { $_->{body} => 1 } @answers;
    is(scalar(keys %bodies), 1, 'one body');

    like($answers[0]->header('ETag'), qr/^"[0-9a-f]{32}"$/, 'a strong one');
}


=== Prefer (RFC 7240)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(status => 'Pending');

for (['wait=1', 1], ['wait=0', 0], ['respond-async, wait=1', 1],
     ['wait="1"', 1], ['wait=100', 5, 1])
{
    my ($value, $applied, $slow) = @$_;
    my $answer = get("/wait/$id", Prefer => $value);

    answer_is($answer, [202, 'Preference-Applied' => "wait=$applied"],
              "3: Prefer: $value");
    cmp_ok($answer->{seconds}, '>', $applied - 0.3, 'no less');
    cmp_ok($answer->{seconds}, '<', $applied + 1.5 + lag(), 'no more');
}

answer_is(get("/wait/$id", Prefer => 'wait=x'),
          [202, 'Preference-Applied' => undef], 'malformed: ignored');
answer_is(get("/b/$id", Prefer => 'wait=3'),
          [202, 'Preference-Applied' => 'wait=0'], 'no wait is configured');


=== the gateway is the origin (RFC 9110 7.6.3, 8.2; RFC 9111 5.1)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(header => ['Set-Cookie: a=b', 'X-Powered-By: x', 'Age: 7',
                         'Via: 1.1 x', 'Cache-Control: private']);

for (1 .. 2) {
    my $answer = get("/b/$id", 'Cache-Control' => 'no-cache',
                     'Pragma' => 'no-cache');

    answer_is($answer, [200, map { $_ => undef } qw(Set-Cookie X-Powered-By
              Age Via Content-Encoding)], 'nothing of the cloud');
    is($answer->header('Cache-Control'),
       'public, max-age=31536000, immutable', 'its Cache-Control neither');
}

is(fetches($id), 1, "no-cache does not spend");


=== Cache-Status (RFC 9211)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task();

is(get("/b/$id")->header('Cache-Status'), 'binarize; fwd=uri-miss; stored',
   '2.2, 2.4: a miss');
like(get("/b/$id")->header('Cache-Status'),
     qr/^binarize; hit; ttl=(2592000|2591999|2591998); detail=l1$/,
     '2.1, 2.3, 2.8: a hit');

$id = guid();
get("/b/$id");
my $answer = get("/b/$id");
my ($ttl) = ($answer->header('Cache-Status') // '')
            =~ /^binarize; hit; ttl=(\d+); detail=negative$/;
ok(defined $ttl && $ttl >= 8 && $ttl <= 10, '2.3: what is left');
is($answer->header('Cache-Control'), "public, max-age=$ttl",
   'for its client just as long');

like(get('/b/x')->header('Cache-Status') // 'none', qr/^none$/,
     'no cache was asked');


=== a problem for every failure (RFC 9457)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my %case = (
    'bad-id' => [400, '/b/x'],
    'bad-format' => [400, '/b/' . guid() . '?format='],
    'bad-method' => [405, '/b/' . guid(), -method => 'DELETE'],
    'not-acceptable' => [406, '/b/' . guid(), Accept => 'image/*;q=0'],
    'task-failed' => [502, '/b/' . task(status => 'Error', messages => 'It is blank.')],
    'no-result' => [502, '/b/' . task(results => 'null')],
    'cloud-status' => [502, '/b/' . task(http => 404)],
    'cloud-protocol' => [502, '/b/' . task(garbage => 100)],
    'cloud-truncated' => [502, '/b/' . task(close => 'body', at => 100)],
    'bad-document' => [502, '/b/' . task(text => 'invalid')],
    'not-a-png' => [502, '/b/' . task(payload => 'noiend')],
    'cloud-busy' => [503, '/b/' . task(http => 503)],
    'cloud-unauthorized' => [502, '/b/' . task(http => 401)],
);

for my $slug (sort keys %case) {
    my ($status, $url, @more) = @{ $case{$slug} };
    my $answer = get($url, @more);
    my $doc = $answer->json();

    problem_is($answer, $status, $slug, "3.1: $slug");
    is(!!$doc->{id}, scalar($url =~ m{/b/[0-9a-f-]{36}}), 'an id if it is one');
    unlike($answer->{body}, qr/127\.0\.0\.1|nginx|errno|\.c:/,
           '5: nothing internal');
    like($doc->{detail}, qr/^[A-Z].*\.$/, '3.1.4: a sentence');
    is(join(' ', grep { !/^(type|title|status|detail|id|cloud_status)$/ }
            keys %$doc), '', 'nothing else');
}

my $answer = get('/b/' . task(status => 'Error', messages => "no \"text\"|\x01"));
is($answer->json()->{detail}, 'no "text";  ', "the cloud's own words");
