use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_base64);
use IO::Uncompress::Gunzip qw(gunzip);
use MIME::Base64 qw(decode_base64);

use Binarize;

# The gateway among nginx's other modules.

our $other = $port + 2;

file_write('pending.png', cloud->result(task(size => 311)));
mkdir("$dir/files");
file_write('files/static.txt', "static\n");

our $http = <<"CONFIG";
    binarize_zone one:8m;
    binarize_zone two:8m;
    binarize_cache one;
    binarize_max_size 2m;
    binarize_credentials \$TEST_NGINX_CREDENTIALS;
    limit_req_zone \$binary_remote_addr zone=strict:1m rate=1r/m;

    server {
        listen 127.0.0.1:$other;
        location /app/ {
            add_header X-Accel-Redirect /internal/\$arg_id.png;
            return 200 "not this\\n";
        }
    }
CONFIG

our $pass = 'binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage';

our $config = <<"CONFIG";
    location /b/ {
        $pass;
    }
    location /limited/ {
        limit_req zone=strict burst=2 nodelay;
        $pass;
    }
    location /asked/ {
        auth_request /ask;
        auth_request_set \$who \$upstream_http_x_who;
        $pass;
    }
    location = /ask {
        internal;
        if (\$arg_let != yes) {
            return 401;
        }
        return 204;
    }
    location = /asked-too {
        set \$the_id \$arg_id;
        auth_request /exists;
        try_files /static.txt =404;
        root $dir/files;
    }
    location = /exists {
        internal;
        binarize_id \$the_id;
        $pass;
    }
    location /signed/ {
        secure_link \$arg_md5,\$arg_expires;
        secure_link_md5 "\$secure_link_expires\$uri a-secret";
        if (\$secure_link = "") {
            return 403;
        }
        if (\$secure_link = "0") {
            return 410;
        }
        $pass;
    }
    location /headers/ {
        add_header X-Both both always;
        add_header X-Ok ok;
        add_header Access-Control-Allow-Origin *;
        $pass;
    }
    location /expires/ {
        expires 1h;
        $pass;
    }
    location /gzip/ {
        gzip on;
        gzip_types application/json application/problem+json;
        gzip_min_length 1;
        gzip_vary on;
        $pass;
    }
    location /scans/ {
        rewrite ^/scans/(.*)\$ /b/\$1 last;
    }
    location /here/ {
        rewrite ^/here/(.*)\$ /elsewhere/\$1 break;
        $pass;
    }
    location /files/ {
        root $dir;
        try_files \$uri \@gateway;
    }
    location \@gateway {
        $pass;
    }
    location /pages/ {
        binarize_intercept_errors on;
        error_page 404 /404.html;
        error_page 400 405 406 = /plain;
        error_page 502 503 504 = \@sorry;
        $pass;
    }
    location = /404.html {
        return 200 "no picture\\n";
    }
    location = /plain {
        return 200 "plain\\n";
    }
    location \@sorry {
        return 503 "sorry\\n";
    }
    location /fallback/ {
        binarize_intercept_errors on;
        error_page 404 = \@deskewed;
        $pass;
    }
    location /document/ {
        binarize_intercept_errors on;
        error_page 404 =200 /b/\$binarize_id.json;
        $pass;
    }
    location \@deskewed {
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
    }
    location /instead/ {
        error_page 403 /b/\$arg_instead.png;
        return 403;
    }
    location = /page.shtml {
        ssi on;
        ssi_types *;
        default_type text/html;
        return 200 '<!--# include virtual="/b/\$arg_a.json" -->|<!--# include virtual="/waiting/\$arg_b.json" -->|<!--# include virtual="/b/\$arg_a.json" -->|<!--# include virtual="/b/bad" -->|end';
    }
    location /waiting/ {
        binarize_wait 10s;
        binarize_poll 100ms;
        $pass;
    }
    location = /added {
        set \$the_id \$arg_a.json;
        add_before_body /ahead;
        add_after_body /ahead;
        addition_types *;
        try_files /static.txt =404;
        root $dir/files;
    }
    location = /mirrored {
        set \$the_id \$arg_id;
        mirror /ahead;
        try_files /static.txt =404;
        root $dir/files;
    }
    location = /ahead {
        internal;
        binarize_id \$the_id;
        binarize_wait 10s;
        binarize_poll 100ms;
        $pass;
    }
    location /internal/ {
        internal;
        $pass;
    }
    location /app/ {
        proxy_pass http://127.0.0.1:$other;
    }
    location /if/ {
        if (\$arg_json) {
            $pass;
            break;
        }
        if (\$http_x_wait) {
            $pass;
            break;
        }
        return 404;
    }
    location /changed/ {
        sub_filter_types *;
        sub_filter_once off;
        sub_filter '"data"' '"DATA"';
        sub_filter 'access_token' 'no_token';
        sub_filter 'Completed' 'Incomplete';
        addition_types *;
        add_after_body /tail;
        ssi on;
        ssi_types *;
        gzip on;
        charset utf-8;
        override_charset on;
        $pass;
    }
    location = /tail {
        return 200 "tail";
    }
    location /limited-rate/ {
        limit_rate 200k;
        $pass;
    }
CONFIG

sub signed {
    my ($uri, $until) = @_;
    my $md5 = md5_base64("$until$uri a-secret");

    $md5 =~ tr{+/}{-_};

    return "$uri?md5=$md5&expires=$until";
}

run_file();

__DATA__

=== limit_req, hits count like misses
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task();

answer_is(get("/limited/$id"), [200], 'the first') for 1 .. 3;

my $miss = task();
answer_is(get("/limited/$miss"), [503, 'Vary' => 'Accept',
          'Cache-Status' => undef], 'too many');
is(fetches($miss), 0, 'the cloud is not asked');


=== auth_request
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);

answer_is(get("/asked/$id"), [401, 'Vary' => 'Accept'], 'refused');
is(fetches($id), 0, 'the cloud is not asked');
answer_is(get("/asked/$id?let=yes"), [401], 'arguments are not passed on');
answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'elsewhere');
answer_is(get("/asked/$id"), [401, body => qr/^(?!.*PNG)/s],
          'refused, though it is in L1');

# a picture decides about something else; its subrequest may be a miss
my $new = task();
answer_is(get("/asked-too?id=$new"), [200, body => "static\n"], 'a miss');
answer_is(get("/asked-too?id=$new"), [200, body => "static\n"], 'a hit');
is(fetches($new), 1, 'one cloud call');
unlike(get('/asked-too?id=' . guid())->{body}, qr/static/, 'no picture');


=== secure_link
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);
my $uri = "/signed/$id.png";
my ($soon, $later, $past) = (time() + 60, time() + 600, time() - 60);
my $good = main::signed($uri, int($soon));

answer_is(get($uri), [403], 'no signature');
answer_is(get(main::signed($uri, int($past))), [410], 'an old one');
answer_is(get($good =~ s/\.png/.json/r), [403], 'of another URL');
is(fetches($id), 0, 'the cloud is not asked');

answer_is(get($good), [200, body => cloud->result($id)], 'a good one');
answer_is(get(main::signed($uri, int($later))), [200,
          'Cache-Status' => qr/detail=l1/], 'another, the same picture');
is(fetches($id), 1, 'one cloud call');


=== add_header, expires
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);
my @ours = ('Vary' => 'Accept', 'X-Content-Type-Options' => 'nosniff');

for my $case ([200], [206, Range => 'bytes=0-1'], [304, 'If-None-Match' => '*'])
{
    my ($status, @more) = @$case;

    answer_is(get("/headers/$id", @more), [$status, @ours, 'X-Both' => 'both',
              'X-Ok' => 'ok', 'Access-Control-Allow-Origin' => '*'],
              "add_header, $status");
}

answer_is(get('/headers/' . guid()), [404, @ours, 'X-Both' => 'both',
          'X-Ok' => undef], 'add_header, 404');
answer_is(get("/headers/$id", 'If-Match' => '"x"'), [412, 'Vary' => 'Accept',
          'X-Both' => 'both'], 'add_header, 412');
answer_is(get("/expires/$id"), [200, 'Cache-Control' => 'max-age=3600',
          'Expires' => qr/GMT$/], 'expires');
answer_is(get('/expires/' . task(status => 'Pending')), [202,
          'Cache-Control' => 'no-store', 'Expires' => undef],
          'expires leaves a 202 alone');


=== gzip of JSON, never of a PNG (RFC 9110 8.8.3, 8.4)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 40_000);
my @gzip = ('Accept-Encoding' => 'gzip');
my $plain = get("/gzip/$id.json");
my $etag = $plain->header('ETag');

like($etag, qr/^"/, 'a strong ETag without gzip');
is($plain->header('Vary'), 'Accept-Encoding', 'gzip_vary');

my $answer = get("/gzip/$id.json", @gzip);
answer_is($answer, [200, 'Content-Encoding' => 'gzip', 'ETag' => "W/$etag",
          'Accept-Ranges' => undef, 'Vary' => 'Accept-Encoding'], 'JSON');

my $body;
gunzip(\$answer->{body}, \$body);
is($body, $plain->{body}, 'the same document');

answer_is(get("/gzip/$id.json", @gzip, 'If-None-Match' => "W/$etag"), [304],
          'its weak ETag serves');
answer_is(get("/gzip/$id.json", @gzip, Range => 'bytes=0-9'), [200,
          'Content-Encoding' => 'gzip', 'Content-Range' => undef],
          'no range of what is made up as it goes');
answer_is(get("/gzip/$id.json", Range => 'bytes=0-9'), [206,
          body => substr($plain->{body}, 0, 10), 'Content-Encoding' => undef],
          'a range of the plain document');
answer_is(get("/gzip/$id", @gzip), [200, 'Content-Encoding' => undef,
          'ETag' => qr/^"/, body => cloud->result($id),
          'Content-Length' => 40_000], 'a PNG');
like(get("/gzip/$id", @gzip)->header('Vary'), qr/\bAccept(,|$)/, 'it varies');
answer_is(get('/gzip/' . guid(), @gzip), [404, 'Content-Encoding' => 'gzip',
          'Content-Type' => 'application/problem+json'], 'a problem');


=== rewrite, try_files
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);
my $png = cloud->result($id);

answer_is(get("/scans/$id.png"), [200, body => $png], 'rewrite ... last');
answer_is(get("/scans/$id"), [200, body => $png, 'Vary' => 'Accept'],
          'it varies');

# the prefix is gone from the URI then
answer_is(get("/here/$id"), [400], 'rewrite ... break');

answer_is(get('/files/static.txt'), [200, body => "static\n"], 'a file');
answer_is(get("/files/$id.png"), [200, body => $png, 'Vary' => undef],
          'no file: the gateway');
answer_is(get("/files/$id"), [200, body => $png, 'Vary' => 'Accept'],
          'a named location takes the last segment');
answer_is(get("/files/deep/$id.json"), [200, body => qr/"Completed"/],
          'of any depth');
is(fetches($id), 1, 'one cloud call');


=== error_page
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);
my $gone = guid();

answer_is(get("/pages/$id"), [200, body => cloud->result($id)], 'a picture');
answer_is(get("/pages/$gone"), [404, body => "no picture\n",
          'Vary' => 'Accept', 'Cache-Control' => qr/^public, max-age=\d+$/],
          '404 to a page');
answer_is(get("/pages/$gone.json"), [200, body => qr/"NotExist"/],
          'JSON has no 404');
answer_is(get('/pages/x'), [200, body => "plain\n", 'Vary' => 'Accept'],
          '400 to another status');
answer_is(get("/pages/$id", Accept => 'text/html'), [200, body => "plain\n"],
          'a 406');
answer_is(get("/pages/$id", -method => 'DELETE'), [200, body => "plain\n"],
          'a 405');
answer_is(get('/pages/' . task(status => 'Error')), [503, body => "sorry\n",
          'Cache-Control' => 'no-store'], '502 to a named location');
answer_is(get('/pages/' . task(status => 'Pending')), [202,
          'Retry-After' => qr/^\d+$/], '202 is no error');

# another gateway answers in place of this one, once
my $deskewed = task(size => 500, op => 'deskewimage');

answer_is(get("/fallback/$deskewed"), [200,
          body => cloud->result($deskewed, 'deskewimage'),
          'Vary' => 'Accept', 'X-Content-Type-Options' => 'nosniff',
          'Cache-Control' => 'public, max-age=31536000, immutable',
          'Cache-Status' => 'binarize; fwd=uri-miss; stored',
          'ETag' => qr/^"[0-9a-f]{32}"$/], 'a second gateway');
answer_is(get("/fallback/$deskewed", 'If-None-Match' => '*'), [304],
          'its validators serve');
answer_is(get('/fallback/' . guid()), [404, 'Vary' => 'Accept',
          'X-Content-Type-Options' => 'nosniff',
          'Content-Type' => 'application/problem+json'], 'neither has it');

# what the client asked for has no suffix
answer_is(get("/document/$gone"), [200, body => qr/"NotExist"/,
          'Vary' => 'Accept'], 'the document in place of a 404');
answer_is(get("/document/$gone.png"), [200, body => qr/"NotExist"/,
          'Vary' => undef], 'the same by suffix');

answer_is(get("/instead/x?instead=$id"), [403, body => cloud->result($id),
          'Content-Type' => 'image/png'], 'a picture for a page of errors');


=== subrequests: SSI, addition, mirror
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $version ('1.1', '1.0') {
    my ($a, $b) = (task(size => 300), task(size => 40_000, pending => 2));
    my $answer = get("/page.shtml?a=$a&b=$b", -version => $version);
    my @parts = split /\|/, $answer->{body}, -1;

    is($answer->{status}, 200, "SSI, HTTP/$version");
    is(scalar(@parts), 5, 'all its parts');
    is($parts[0], get("/b/$a.json")->{body}, 'a miss');
    is($parts[1], get("/b/$b.json")->{body}, 'one that waits');
    is($parts[2], $parts[0], 'the first again');
    like($parts[3], qr/urn:binarize:bad-id/, 'a problem');
    is($parts[4], 'end', 'the end');
    is(fetches($a), 1, 'one cloud call');
}

my $id = task(size => 20_000, pending => 1);
my $answer = get("/added?a=$id");
my $json = get("/b/$id.json")->{body};

ok($answer->{body} eq "${json}static\n$json", 'before and after a body')
    or diag(join(' ', map { length } $answer->{body}, $json));
is(fetches($id), 2, 'one flight');

$id = task(pending => 2);
answer_is(get("/mirrored?id=$id"), [200, body => "static\n"], 'mirror');
until_true { get("/b/$id")->source() eq 'l1' };
is(fetches($id), 3, 'it was fetched ahead');


=== internal, X-Accel-Redirect
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);

answer_is(get("/internal/$id.png"), [404, body => qr/nginx/], 'not outside');
is(fetches($id), 0, 'the cloud is not asked');
answer_is(get("/app/?id=$id"), [200, body => cloud->result($id),
          'Content-Type' => 'image/png', 'ETag' => qr/^"/,
          'Content-Length' => 400, 'X-Accel-Redirect' => undef],
          'an application has decided');
answer_is(get("/app/?id=$id", 'If-None-Match' => '*'), [304],
          'conditions are the client\'s');
answer_is(get("/app/?id=$id", Range => 'bytes=0-9'), [206,
          'Content-Length' => 10], 'ranges, too');


=== if
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 400);

answer_is(get("/if/$id"), [404, body => qr/nginx/], 'neither');
answer_is(get("/if/$id?json=1"), [200, body => cloud->result($id)], 'one');
answer_is(get("/if/$id", 'X-Wait' => 1), [200,
          'Cache-Status' => qr/detail=l1/], 'the other');


=== filters of the location change the client's answer, not the cloud's
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 30_000);
my $png = cloud->result($id);

cloud->post('revoke');

my $changed = get("/changed/$id.json");

like($changed->{body}, qr/"Incomplete".*tail$/s, 'what the client gets');
unlike($changed->{body}, qr/"data"/, 'all of it');

my $answer = get("/b/$id.json");
like($answer->{body}, qr/"taskStatus":"Completed"/, 'what was stored');
is(decode_base64($answer->json()->{results}[0]{data}), $png, 'its picture');
answer_is(get("/b/$id"), [200, body => $png], 'the PNG');
is(fetches($id), 2, 'a refused token, then one call');


=== limit_rate
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 300_000);
my $answer = get("/limited-rate/$id");

answer_is($answer, [200, body => cloud->result($id)], 'a slow one');

# nginx counts by seconds since the request came: one that had to wait for the
# cloud may send more at once
ok(until_true { get("/limited-rate/$id")->{seconds} > 0.4 }, 'it is slow');
