use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $locations = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
    }
    location /l1/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /none/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
        binarize_cache off;
    }
CONFIG

# The cloud's document but for the escapes inside of the payload.
sub plain {
    my ($document) = @_;
    $document =~ s/\\u002B/+/gi;
    return $document;
}

sub etag_of {
    return '"' . substr(sha256_hex($_[0]), 0, 32) . '"';
}

sub parts_of {
    my ($answer) = @_;
    my ($boundary) = $answer->header('Content-Type')
                     =~ m{^multipart/byteranges; boundary=(.+)$} or return;
    my (@parts, $body);

    $body = $answer->{body};
    $body =~ s/\r\n--\Q$boundary\E--\r\n\z// or return;

    for (split /\r\n--\Q$boundary\E\r\n/, $body, -1) {
        next if $_ eq '';
        my ($head, $data) = /\A(.*?)\r\n\r\n(.*)\z/s;
        push @parts, [$head, $data];
    }

    return @parts;
}

run_file();

__DATA__

=== a miss, then a hit
--- config eval: $::locations
--- perl
for my $size (200, 4000, 300_000, 5_000_000) {
    my $id = task(size => $size);
    my $png = cloud->result($id);
    my @same = (body => $png, 'Content-Type' => 'image/png',
                'Content-Length' => $size, 'ETag' => main::etag_of($png),
                'Accept-Ranges' => 'bytes', 'X-Content-Type-Options' => 'nosniff',
                'Cache-Control' => 'public, max-age=31536000, immutable',
                'Last-Modified' => qr/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/,
                'Vary' => 'Accept', 'Age' => undef, 'Retry-After' => undef);
    my $answer = get("/b/$id");

    answer_is($answer, [200, @same,
                        'Cache-Status' => 'binarize; fwd=uri-miss; stored'],
              "miss, $size bytes");

    my $at = $answer->header('Last-Modified');

    for (1 .. 4) {
        answer_is(get("/b/$id"), [200, @same, 'Last-Modified' => $at,
                  'Cache-Status' =>
                      qr/^binarize; hit; ttl=(2592000|25919\d\d); detail=l1$/],
                  "hit, $size bytes");
    }

    answer_is(get("/b/\U$id"), [200, @same], 'the same in upper case');
    is(fetches($id), 1, 'one cloud call');
}


=== JSON is the cloud's own document
--- config eval: $::locations
--- perl
for my $size (200, 201, 202, 70_000, 3_000_001) {
    my $id = task(size => $size, messages => 'a|b\\"c', warnings => "\xc3\xa4");
    my $document = main::plain(cloud->document($id));
    my @same = (body => $document, 'Content-Type' => 'application/json',
                'Content-Length' => length($document), 'Vary' => undef,
                'ETag' => qr/^"[0-9a-f]{32}"$/, 'Accept-Ranges' => 'bytes',
                'X-Content-Type-Options' => 'nosniff',
                'Cache-Control' => 'public, max-age=31536000, immutable');

    cloud->post('reset');

    my $fresh = get("/b/$id.json");
    $fresh->{body} = main::plain($fresh->{body});
    answer_is($fresh, [200, @same, 'Content-Length' => qr/./,
              'Cache-Status' => 'binarize; fwd=uri-miss; stored'],
              "fresh, $size bytes");

    my $etag = $fresh->header('ETag');

    answer_is(get("/b/$id.json"), [200, @same, 'ETag' => $etag,
              'Cache-Status' => qr/detail=l1$/], 'from L1');
    answer_is(get("/b/$id.png"), [200, body => cloud->result($id)],
              'the PNG of the same');
    isnt(get("/b/$id.png")->header('ETag'), $etag, 'it has another ETag');
    answer_is(get("/redis/$id.json"), [200, @same, 'ETag' => $etag,
              'Cache-Status' => qr/detail=redis$/], 'from Redis');
    is(fetches($id), 1, 'one cloud call');
}


=== HEAD
--- config eval: $::locations
--- perl
for my $suffix ('.png', '.json') {
    my $id = task(size => 5000);
    my $url = "/b/$id$suffix";
    my $miss = get($url, -method => 'HEAD');
    my $get = get($url);
    my @same = (body => '', map {
        $_ => $get->header($_)
    } qw(Content-Type Content-Length ETag Last-Modified Cache-Control
         Accept-Ranges X-Content-Type-Options));

    is($miss->source, 'stored', "a HEAD can be a miss, $suffix");
    is($get->source, 'l1', 'it was stored');
    answer_is($miss, [200, @same], 'what GET has but the body, on a miss');
    answer_is(get($url, -method => 'HEAD'), [200, @same], 'on a hit');
    answer_is(get("/redis/$id$suffix", -method => 'HEAD'), [200, @same],
              'from Redis');
    is(fetches($id), 1, 'one cloud call');
}


=== ranges, RFC 9110 14
--- config eval: $::locations
--- perl
for my $case (['/b', 1000], ['/l1', 400_000], ['/redis', 400_000]) {
    my ($at, $n) = @$case;
    my $id = task(size => $n);
    my $png = cloud->result($id);
    my $last = $n - 1;

    get("$at/$id");

    for (['0-0', 0, 1], ['0-', 0, $n], ["$last-", $last, 1],
         ['-1', $last, 1], ['-200', $n - 200, 200], ['5-99', 5, 95],
         ["500-$last", 500, $n - 500], ['500-99999999', 500, $n - 500],
         ['-99999999', 0, $n])
    {
        my ($range, $first, $length) = @$_;
        my $end = $first + $length - 1;

        answer_is(get("$at/$id", Range => "bytes=$range"), [206,
                  body => substr($png, $first, $length),
                  'Content-Range' => "bytes $first-$end/$n",
                  'Content-Length' => $length, 'Content-Type' => 'image/png',
                  'ETag' => main::etag_of($png)], "$at $range of $n");
    }

    for my $range ("$n-", '9999999-99999999', '-0') {
        answer_is(get("$at/$id", Range => "bytes=$range"), [416,
                  'Content-Range' => "bytes */$n"], "$at $range of $n: 416");
    }

    my $answer = get("$at/$id", Range => "bytes=0-9,100-199,-50");
    my @parts = main::parts_of($answer);

    is($answer->{status}, 206, "$at: several ranges");
    is(scalar(@parts), 3, 'three parts');

    for ([0, 10], [100, 100], [$n - 50, 50]) {
        my ($first, $length) = @$_;
        my $part = shift(@parts) // ['', ''];
        my $end = $first + $length - 1;

        is($part->[1], substr($png, $first, $length), "its part at $first");
        like($part->[0], qr{Content-Type: image/png}, 'it has a type');
        like($part->[0], qr{Content-Range: bytes $first-$end/$n}, 'and a range');
    }

    # one piece of memory ends, and the next begins, somewhere in between
    if ($n > 300_000) {
        my @at = map { $_ * 10_001 } 0 .. 38;

        $answer = get("$at/$id", Range => 'bytes='
                      . join(',', map { $_ . '-' . ($_ + 9_000) } @at));
        @parts = main::parts_of($answer);
        is(join('', map { $_->[1] } @parts),
           join('', map { substr($png, $_, 9001) } @at), 'many ranges');
    }

    # 14.2: range handling is defined for GET only
    answer_is(get("$at/$id", Range => 'bytes=0-9', -method => 'HEAD'), [200,
              'Content-Length' => $n, 'Content-Range' => undef,
              'Accept-Ranges' => 'bytes', body => ''], 'a HEAD with a range');
}


=== ranges of JSON are single ones
--- config eval: $::locations
--- perl
my $id = task(size => 100_000);
my $document = get("/b/$id.json")->{body};
my $n = length($document);

for (['0-9', 0, 10], ['-7', $n - 7, 7], ['60-70000', 60, 69_941],
     ['-100000', $n - 100_000, 100_000])
{
    my ($range, $first, $length) = @$_;

    answer_is(get("/b/$id.json", Range => "bytes=$range"), [206,
              body => substr($document, $first, $length),
              'Content-Range' => qr{^bytes $first-\d+/$n$},
              'Content-Type' => 'application/json'], "JSON $range");
}

answer_is(get("/b/$id.json", Range => 'bytes=0-1,5-6'), [200,
          body => $document], 'two ranges: all of it');


=== conditional requests, RFC 9110 13
--- config eval: $::locations
--- perl
for my $at ('/b', '/redis') {
    for my $suffix ('.png', '.json', '') {
        my $id = task(size => 900);
        my $url = "$at/$id$suffix";
        my $full = get($url);
        my $etag = $full->header('ETag');
        my $date = $full->header('Last-Modified');
        my $other = '"00000000000000000000000000000000"';
        my @same = ('ETag' => $etag, 'Cache-Control' =>
                    $full->header('Cache-Control'), body => '',
                    'Last-Modified' => $date, 'Content-Length' => undef,
                    'Vary' => $suffix ? undef : 'Accept');

        for ($etag, "W/$etag", "$other, $etag", "\"x\",$etag ,\"y\"", '*') {
            answer_is(get($url, 'If-None-Match' => $_), [304, @same],
                      "$url: If-None-Match: $_");
        }

        answer_is(get($url, 'If-None-Match' => $etag, -method => 'HEAD'),
                  [304, @same], 'HEAD with If-None-Match');

        for ($other, substr($etag, 1, -1), 'W/"x"') {
            answer_is(get($url, 'If-None-Match' => $_),
                      [200, body => $full->{body}], "If-None-Match: $_");
        }

        answer_is(get($url, 'If-Modified-Since' => $date), [304, @same],
                  'If-Modified-Since');
        answer_is(get($url, 'If-Modified-Since' =>
                      'Thu, 01 Jan 1970 00:00:10 GMT'),
                  [200, body => $full->{body}], 'If-Modified-Since long ago');
        answer_is(get($url, 'If-Modified-Since' => $date,
                      'If-None-Match' => $other),
                  [200], 'If-None-Match goes before If-Modified-Since');

        answer_is(get($url, 'If-Match' => $other), [412], 'If-Match');
        answer_is(get($url, 'If-Match' => $etag), [200], 'If-Match, the same');

        answer_is(get($url, Range => 'bytes=1-3', 'If-Range' => $etag),
                  [206, body => substr($full->{body}, 1, 3)], 'If-Range');
        answer_is(get($url, Range => 'bytes=1-3', 'If-Range' => $date),
                  [206], 'If-Range by date');
        answer_is(get($url, Range => 'bytes=1-3', 'If-Range' => $other),
                  [200, body => $full->{body}], 'If-Range, another');
        answer_is(get($url, Range => 'bytes=1-3', 'If-Range' => "W/$etag"),
                  [200], 'If-Range, a weak one');
        is(fetches($id), 1, 'one cloud call');
    }
}


=== conditional requests and ranges on a miss
--- config eval: $::locations
--- perl
my $id = task(size => 900);
my $png = cloud->result($id);

answer_is(get("/b/$id", 'If-None-Match' => main::etag_of($png)),
          [304, 'Cache-Status' => qr/uri-miss/, body => ''], 'a 304 of a miss');

$id = task(size => 900);
$png = cloud->result($id);

answer_is(get("/b/$id", Range => 'bytes=-9'),
          [206, 'Cache-Status' => qr/uri-miss/, body => substr($png, -9)],
          'a range of a miss');

$id = task(size => 900);
$png = cloud->result($id);

my $answer = get("/none/$id", Range => 'bytes=1-2,5-6');
is(join('|', map { $_->[1] } main::parts_of($answer)),
   substr($png, 1, 2) . '|' . substr($png, 5, 2), 'ranges of a miss, no cache');


=== nginx is restarted, Redis remembers
--- config eval: $::locations
--- perl
my $id = task(size => 250_000);
my $png = get("/b/$id");
my $json = get("/b/$id.json");

for my $how ('QUIT', 'KILL') {
    nginx_stop($how);
    nginx_start();

    my @urls = ("/b/$id.png", "/b/$id.json");
    @urls = reverse @urls if $how eq 'KILL';

    for my $url (@urls) {
        my $was = $url =~ /json/ ? $json : $png;
        my $from = $url eq $urls[0] ? 'redis' : 'l1';

        answer_is(get($url), [200, body => $was->{body},
                  (map { $_ => $was->header($_) }
                   qw(ETag Last-Modified Content-Type Cache-Control)),
                  'Cache-Status' => qr/ttl=(2592000|25919\d\d); detail=$from$/],
                  "$url after $how");
    }
}

is(fetches($id), 1, 'one cloud call');


=== each worker serves what another has fetched
--- config eval: $::locations
--- perl
for my $at ('/l1', '/b', '/redis') {
    my $id = task(size => 20_000);

    get("$at/$id");

    is(join(' ', grep { !$_ } map { get("$at/$id")->{status} == 200 } 1 .. 10),
       '', "$at: ten hits");
    is(fetches($id), 1, "$at: one cloud call");
}


=== without any cache each request is a cloud call
--- config eval: $::locations
--- perl
my $id = task();

for (1 .. 3) {
    answer_is(get("/none/$id"), [200, 'Cache-Status' => 'binarize; fwd=bypass',
              body => cloud->result($id)], 'bypass');
}

is(fetches($id), 3, 'three calls');


=== HTTP/1.0, keep-alive, pipelining
--- config eval: $::locations
--- perl
my $id = task(size => 700);
my $png = cloud->result($id);

for (1 .. 2) {
    answer_is(get("/b/$id", -version => '1.0'), [200, body => $png,
              'Content-Length' => 700, 'Transfer-Encoding' => undef],
              'HTTP/1.0');
}

answer_is(get("/b/$id.json", -version => '1.0'),
          [200, 'Transfer-Encoding' => undef,
           'Content-Length' => length(get("/b/$id.json")->{body})],
          'HTTP/1.0, JSON');

# a miss, a hit, a 404 and a bad id on one connection
my ($new, $gone) = (task(size => 30_000), guid());
my @urls = ("/b/$new", "/b/$id.json", "/b/$gone", "/b/x", "/b/$new", "/b/$id");
my $bytes = begin(undef, -raw => join('', map {
    "GET $urls[$_] HTTP/1.1\r\nHost: a\r\n"
    . ($_ == $#urls ? "Connection: close\r\n" : '') . "\r\n"
} 0 .. $#urls))->drain();

my @got;

while (length($bytes)) {
    my $answer = Binarize::Client::parse($bytes);
    push @got, "$answer->{status} " . ($answer->{wrong} // length($answer->{body}));
    $bytes = $answer->{rest};
}

is($got[0], '200 30000', 'pipelined: a miss');
like($got[1], qr/^200 /, 'JSON');
like($got[2], qr/^404 /, 'a task that is none');
like($got[3], qr/^400 /, 'a bad id');
is($got[4], '200 30000', 'a hit');
is($got[5], '200 700', 'another hit');
is(scalar(@got), 6, 'six answers');
