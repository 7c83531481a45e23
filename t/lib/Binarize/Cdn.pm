package Binarize::Cdn;

# What a shared cache in front of the gateway does with its answers; the same
# for each of them.  The gateway logs "status method URI" to $dir/gateway.log
# and has the locations of config().

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Binarize;


# The gateway's part of a configuration, for http and for its server.
sub http {
    return <<"CONFIG";
    binarize_credentials \$TEST_NGINX_CREDENTIALS;
    binarize_negative_valid 3s;
    binarize_poll 100ms;
    log_format gateway '\$status \$request_method \$request_uri';
CONFIG
}

sub config {
    file_write('picture.png', cloud->result(task(size => 311)));

    return <<"CONFIG";
    access_log $dir/gateway.log gateway;

    location /b/ {
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /short/ {
        binarize_cache_control "public, max-age=1";
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /shown/ {
        binarize_placeholder pending=$dir/picture.png
                             missing=$dir/picture.png
                             error=$dir/picture.png;
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
CONFIG
}

# The statuses the gateway has answered with for that URI, in order.
sub statuses {
    my ($uri) = @_;
    return join ' ', map { /^(\d+) \w+ \Q$uri\E(?:$|\?)/ ? $1 : () }
                     split /\n/, file_read("$dir/gateway.log");
}

# One test: the gateway has answered so; a request is logged when it is over,
# which may be after its client has all of it.
sub statuses_are {
    my ($uri, $want, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    until_true { statuses($uri) eq $want };
    is(statuses($uri), $want, $name);
}

# All that is asked of a cache that listens on that port.
sub check {
    my ($port) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    check_kept($port);
    check_revalidated($port);
    check_not_kept($port);
    check_missing($port);
    check_representations($port);
}

# RFC 9111 4: fetched once
sub check_kept {
    my ($port) = @_;

    for my $suffix ('.png', '.json') {
        my $id = task(size => 40_000);
        my $url = "/b/$id$suffix";
        my $first = get($url, -port => $port);
        my $etag = $first->header('ETag');

        answer_is($first, [200, 'ETag' => qr/^"/], "$url: the first");

        for (1 .. 3) {
            answer_is(get($url, -port => $port), [200, 'ETag' => $etag,
                      body => $first->{body}, 'Content-Length' =>
                      length($first->{body})], 'from the cache');
        }

        answer_is(get($url, -port => $port, 'If-None-Match' => $etag),
                  [304, body => ''], 'its 304');
        answer_is(get($url, -port => $port, Range => 'bytes=10-19'),
                  [206, body => substr($first->{body}, 10, 10)], 'its 206');
        answer_is(get($url, -port => $port, -method => 'HEAD'),
                  [200, body => '', 'ETag' => $etag], 'its HEAD');
        answer_is(get($url, -port => $port, 'Cache-Control' => 'no-cache',
                      'Pragma' => 'no-cache'), [200], 'a reload');
        statuses_are($url, '200', 'the gateway was asked once');
        is(fetches($id), 1, 'and the cloud');
    }

    my $id = task(size => 5000);
    my @crowd = map { begin("/b/$id.png", -port => $port) } 1 .. 8;
    my @good = grep { $_->answer()->{status} == 200 } @crowd;

    is(scalar(@good), 8, 'a crowd');
    is(fetches($id), 1, 'one cloud call');
}

# RFC 9111 4.3: a 304 freshens what is stale
sub check_revalidated {
    my ($port) = @_;

    for my $suffix ('.png', '.json') {
        my $id = task(size => 3000);
        my $url = "/short/$id$suffix";
        my $first = get($url, -port => $port);

        for (1 .. 2) {
            sleep(2.1);
            answer_is(get($url, -port => $port), [200, body => $first->{body},
                      'ETag' => $first->header('ETag')], "$url: was stale");
        }

        statuses_are($url, '200 304 304', 'it was revalidated');
        is(fetches($id), 1, 'one cloud call');
    }
}

# RFC 9111 5.2.2.5: no-store
sub check_not_kept {
    my ($port) = @_;

    for my $at ('/b', '/shown') {
        my $id = task(status => 'Pending');
        my $url = "$at/$id.png";

        answer_is(get($url, -port => $port), [202, 'Retry-After' => qr/^\d+$/],
                  "$at: a 202") for 1 .. 3;
        answer_is(get("$at/$id.json", -port => $port),
                  [200, body => qr/"Pending"/], 'as JSON') for 1 .. 2;
        statuses_are($url, '202 202 202', 'none is kept');
        statuses_are("$at/$id.json", '200 200', 'nor the JSON');

        task(-id => $id, size => 800);
        until_true { get($url, -port => $port)->{status} == 200 };
        answer_is(get($url, -port => $port), [200,
                  body => cloud->result($id)], 'it gives way to the picture');
        answer_is(get("$at/$id.json", -port => $port),
                  [200, body => qr/"Completed"/], 'as JSON');

        for my $case ([503, http => 503, retry_after => 1],
                      [502, http => 500], [502, status => 'Error'])
        {
            my ($status, @fault) = @$case;

            $id = task(@fault);
            $url = "$at/$id.png";

            answer_is(get($url, -port => $port), [$status], "$at: @fault")
                for 1 .. 2;
            statuses_are($url, "$status $status", 'it is not kept');
        }
    }
}

# RFC 9111 4.2: a 404 for its age
sub check_missing {
    my ($port) = @_;

    for my $at ('/b', '/shown') {
        my $id = guid();
        my $url = "$at/$id.png";
        my $answer = get($url, -port => $port);
        my $started = time();
        my ($age) = ($answer->header('Cache-Control') // '')
                    =~ /^public, max-age=(\d+)$/;

        answer_is($answer, [404], "$at: a 404");
        ok(defined $age && $age <= 3, 'it has an age');

        task(-id => $id, size => 900);
        until_true { get($url, -port => $port)->{status} == 200 };
        answer_is(get($url, -port => $port), [200,
                  body => cloud->result($id)], 'it gives way to the picture');

        # the gateway remembers it for 3 seconds, and the cache no longer
        cmp_ok(time() - $started, '<', 5 + lag(), 'in its time');
    }
}

# RFC 9111 4.1: Vary
sub check_representations {
    my ($port) = @_;
    my $id = task(size => 2000);
    my $png = cloud->result($id);
    my $document = get("/b/$id.json", -port => $port)->{body};

    my @clients = (
        ['image/avif,image/webp,image/apng,image/*,*/*;q=0.8', $png],
        ['application/json', $document],
        ['*/*', $png],
        ['text/plain, application/json, text/json', $document],
        [undef, $png],
        ['application/json;q=0.5, image/png', $png],
    );

    for my $round (1 .. 3) {
        for my $client (@clients) {
            my ($accept, $body) = @$client;
            my @accept = defined $accept ? (Accept => $accept) : ();

            answer_is(get("/b/$id", -port => $port, @accept),
                      [200, body => $body, 'Vary' => qr/\bAccept\b/],
                      "$round: its own representation: "
                      . ($accept // 'no Accept'));
            answer_is(get("/b/$id", -port => $port, Accept => 'text/html'),
                      [406], 'a 406 for another') if $round == 2;
        }
    }

    is(fetches($id), 1, 'one cloud call');

    # a 404 beside a 200

    $id = guid();

    for (1 .. 3) {
        answer_is(get("/b/$id", -port => $port, Accept => 'image/png'),
                  [404, 'Vary' => qr/\bAccept\b/], 'a 404 of the PNG');
        answer_is(get("/b/$id", -port => $port, Accept => 'application/json'),
                  [200, body => qr/"NotExist"/], 'a 200 of the JSON');
    }
}

1;
