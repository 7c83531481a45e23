use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $locations = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
    }
    location /none/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_cache off;
    }
CONFIG

our @states = (
    ['Completed, results empty', { results => 'empty' }, 502, 'no-result'],
    ['Completed, results null', { results => 'null' }, 502, 'no-result'],
    ['Completed, results absent', { results => 'absent' }, 502, 'no-result'],
    ['Completed, payload empty', { payload => 'empty' }, 502, 'no-result'],
    ['Completed, payload null', { payload => 'null' }, 502, 'no-result'],
    ['Completed, NoAnyResultData', { responseStatusCode => 'NoAnyResultData',
      results => 'empty' }, 502, 'no-result'],
    ['Completed, ResultDataLost', { responseStatusCode => 'ResultDataLost',
      results => 'null' }, 502, 'no-result'],
    ['Pending', { status => 'Pending' }, 202],
    ['Processing', { status => 'Processing' }, 202],
    ['Error', { status => 'Error', messages => 'a "bad" scan|second' }, 502,
     'task-failed'],
    ['Error without messages', { status => 'Error' }, 502, 'task-failed'],
    ['NotExist', { status => 'NotExist' }, 404, 'not-found'],
);

run_file();

__DATA__

=== each task status, as PNG and as JSON
--- config eval: $::locations
--- perl
for my $at ('/b', '/none') {
    for (@main::states) {
        my ($name, $task, $status, $slug) = @$_;
        my @op = $at eq '/none' ? (op => 'deskewimage') : ();

        for my $order ('png', 'json') {
            my $id = task(%$task, @op);
            my $document = cloud->document($id, @op ? 'deskewimage' : ());
            my $control = 'no-store';

            for my $format ($order, $order, 'png', 'json') {
                my $answer = get("$at/$id.$format");
                my $title = "$at $name as $format";

                $control = qr/^public, max-age=([0-9]|10)$/
                    if $task->{status} && $task->{status} eq 'NotExist';

                if ($format eq 'json') {
                    answer_is($answer, [200, body => $document,
                              'Content-Type' => 'application/json',
                              'Content-Length' => length($document),
                              'Cache-Control' => $control,
                              'X-Content-Type-Options' => 'nosniff',
                              'ETag' => undef, 'Last-Modified' => undef,
                              'Accept-Ranges' => undef, 'Age' => undef,
                              'Vary' => undef], $title);

                } elsif ($status == 202) {
                    answer_is($answer, [202, body => $document,
                              'Content-Type' => 'application/json',
                              'Content-Length' => length($document),
                              'Retry-After' => qr/^[1-4]$/,
                              'Cache-Control' => 'no-store',
                              'X-Content-Type-Options' => 'nosniff',
                              'ETag' => undef, 'Last-Modified' => undef,
                              'Vary' => undef], $title);

                } else {
                    problem_is($answer, $status, $slug, $title,
                               'Cache-Control' => $control, 'Vary' => undef,
                               'Retry-After' => undef, 'Age' => undef);
                    is($answer->json->{id}, $id, 'with the id');
                }

                like($answer->header('Cache-Status'), qr/^binarize; /,
                     'with a Cache-Status');
            }

            my $detail = $status == 202 ? 'pending' : 'negative';

            answer_is(get("$at/$id"), [$status, 'Vary' => 'Accept',
                      'Cache-Status' =>
                          qr/^binarize; hit; ttl=\d+; detail=$detail$/],
                      "$at $name is remembered");
            is(get("$at/$id", -method => 'HEAD')->{body}, '', 'HEAD');

            # one for the document by itself
            is(fetches($id), 1 + 1, "$at $name: one cloud call")
                if !@op && $status != 202;
        }
    }
}


=== Aspose's messages are told
--- config eval: $::locations
--- perl
my $id = task(status => 'Error', messages => "bad \"scan\"\\|tab\tx \xe2\x82\xac");
my $answer = get("/b/$id");

like($answer->json->{detail}, qr/bad "scan"\\/, 'the first one');
like($answer->json->{detail}, qr/tab x \x{20ac}/, 'the second one');


=== a task that comes about while it is remembered as none
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_negative_valid 1s max=3s;
}
--- perl
my $id = guid();
my ($calls, @at) = (0);
my $start = Time::HiRes::time();

# asked all the time, the cloud is asked after 1 s, 2 s more, 3 s more
until_true {
    my $answer = get("/b/$id");
    my $n = fetches($id);

    if ($answer->{status} != 404) {
        problem_is($answer, 404, 'not-found', 'a 404');
        return 1;
    }

    if ($n > $calls) {
        $calls = $n;
        push @at, Time::HiRes::time() - $start;
    }

    return $n == 4;
};

is($calls, 4, 'four calls');
cmp_ok($at[1], '>', 0.9, 'the second after 1 s');
cmp_ok($at[1], '<', 1.7 + lag(), 'but not much later');
cmp_ok($at[2] - $at[1], '>', 1.9, 'the third after 2 s more');
cmp_ok($at[2] - $at[1], '<', 2.7 + lag(), 'but not much later');
cmp_ok($at[3] - $at[2], '>', 2.9, 'the fourth after the longest time');
cmp_ok($at[3] - $at[2], '<', 3.7 + lag(), 'but not much later');

task(-id => $id);
is(get("/b/$id")->{status}, 404, 'remembered');
until_true { get("/b/$id")->{status} == 200 };
is(get("/b/$id")->{status}, 200, 'then it is there');
