use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $locations = <<'CONFIG';
    binarize_poll 200ms max=800ms;

    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 2s;
    }
    location /long/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 9s;
    }
CONFIG

# Seconds between the fetches of that id.
sub gaps {
    my ($id) = @_;
    my @at = @{ Binarize::cloud()->calls($id)->{fetches_ms} };
    return map { ($at[$_] - $at[$_ - 1]) / 1000 } 1 .. $#at;
}

run_file();

__DATA__

=== a request waits for its result
--- config eval: $::locations
--- perl
for my $format ('png', 'json') {
    my $id = task(size => 300, pending_ms => 500, processing_ms => 500);
    my $answer = get("/long/$id.$format");

    is($answer->{status}, 200, "$format: the result");
    is($answer->json->{taskStatus}, 'Completed', 'it is completed')
        if $format eq 'json';
    cmp_ok($answer->{seconds}, '>', 0.9, 'when it is there');
    cmp_ok($answer->{seconds}, '<', 2.2 + lag(), 'and not much later');
    answer_is(get("/wait/$id.$format"), [200, 'Cache-Status' => qr/l1/],
              'it is kept');
}


=== the pace of the calls
--- config eval: $::locations
--- perl
my $id = task(status => 'Pending');
my $answer = get("/long/$id", Prefer => 'wait=5');

is($answer->{status}, 202, 'pending for ever');

# 200 ms, doubled to 800 ms at most, with jitter of at most 10 %
my @gaps = main::gaps($id);
my @want = (0.2, 0.4, 0.8, 0.8, 0.8, 0.8);

cmp_ok(scalar(@gaps), '>=', 5, 'there were polls');
cmp_ok(scalar(@gaps), '<=', 8, 'and not too many');

for my $i (0 .. 4) {
    cmp_ok($gaps[$i], '>', $want[$i] * 0.88, "gap $i: $gaps[$i]");
    cmp_ok($gaps[$i], '<', $want[$i] * 1.1 + 0.15 + lag(), 'not much longer');
}


=== the time to wait is over
--- config eval: $::locations
--- perl
my $id = task(status => 'Processing', messages => 'm');
my $document = cloud->document($id);

for (['/wait', undef, 2, undef], ['/wait', 'wait=1', 1, 'wait=1'],
     ['/wait', 'wait=0', 0, 'wait=0'], ['/wait', 'wait=60', 2, 'wait=2'],
     ['/wait', 'respond-async, wait=1', 1, 'wait=1'],
     ['/wait', 'wait=x', 2, undef], ['/b', undef, 0, undef],
     ['/b', 'wait=5', 0, 'wait=0'])
{
    my ($at, $prefer, $seconds, $applied) = @$_;
    my $name = "$at, " . ($prefer // 'no Prefer');
    my $answer = get("$at/$id", $prefer ? (Prefer => $prefer) : ());

    answer_is($answer, [202, body => $document, 'Retry-After' => qr/^[12]$/,
              'Preference-Applied' => $applied, 'Cache-Control' => 'no-store'],
              $name);
    cmp_ok($answer->{seconds}, '>=', $seconds - 0.05, 'not before');
    cmp_ok($answer->{seconds}, '<', $seconds + 0.8 + lag(), 'not much later');
}


=== one pace for all who ask
--- config eval: $::locations
--- perl
my $id = task(status => 'Pending');
my $started = Time::HiRes::time();
my $asked = 0;

for (1 .. 3) {
    my @all = map { begin("/$_/$id", Prefer => 'wait=1') }
              ('b', 'wait', 'long') x 2;
    $_->answer() for @all;
    $asked += @all;
}

my $took = Time::HiRes::time() - $started;

# after 0, 200, and 600 ms, then every 800 ms
cmp_ok($asked, '>=', 12, "$asked requests");
cmp_ok(fetches($id), '<=', 3 + $took / 0.8, 'few calls: ' . fetches($id));
cmp_ok((sort { $a <=> $b } main::gaps($id))[0], '>', 0.17, 'none too soon');


=== the cloud's Retry-After wins
--- config eval: $::locations
--- perl
my $id = task(status => 'Pending');
cloud->fault($id, { retry_after => 2 });

get("/long/$id", Prefer => 'wait=3');
my @gaps = main::gaps($id);

is(scalar(@gaps), 1, 'one poll');
cmp_ok($gaps[0] // 0, '>', 1.9, 'after two seconds');


=== nobody asks, nobody polls
--- config eval: $::locations
--- perl
my $id = task(status => 'Pending');

get("/b/$id");
sleep(1.5);
is(fetches($id), 1, 'one call');

my $client = begin("/long/$id");
until_true { fetches($id) >= 3 };
$client->leave();
sleep(0.3);
my $n = fetches($id);
sleep(1.7);
cmp_ok(fetches($id) - $n, '<=', 1, 'nor when the client has left');


=== a task that fails, or vanishes, while one waits
--- config eval: $::locations
--- perl
my $id = task(status => 'Error', pending_ms => 500, messages => 'bad scan');
problem_is(get("/long/$id"), 502, 'task-failed', 'it has failed');

$id = task(status => 'NotExist', pending_ms => 500);
problem_is(get("/long/$id"), 404, 'not-found', 'it has vanished',
           'Cache-Control' => qr/max-age/);

$id = task(size => 300, pending_ms => 700);
cloud->fault($id, { http => 500, skip => 1, times => 1 });
my $answer = get("/long/$id");
like($answer->{status}, qr/^(200|502)$/, 'a fault in between');
