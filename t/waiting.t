use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw(strftime);
use Time::HiRes qw(sleep time);

use Binarize;

worker_connections(4096);
log_level('info');

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:8m;
    binarize_max_size 2m;
    binarize_negative_valid 20s;
    add_header X-Wait $binarize_wait_time always;
    add_header X-Status $binarize_task_status always;
    add_header X-Calls $binarize_cloud_calls always;
CONFIG

our $config = <<'CONFIG';
    location /none/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 1500ms;
        binarize_poll 200ms max=800ms;
    }
    location /long/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 12s;
        binarize_poll 200ms max=800ms;
    }
    location /slow/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 12s;
        binarize_poll 2s;
    }
CONFIG

# how much longer than said things may take, seconds
sub slack {
    return 0.4 + Binarize::lag();
}

# One test: the answer came after so many seconds.
sub after {
    my ($answer, $seconds, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $took = $answer->{seconds};

    ok($took >= $seconds - 0.02 && $took <= $seconds + slack(), $name)
        or diag("after $took s, not $seconds");
}

# The milliseconds between the calls for an id.
sub gaps {
    my ($id) = @_;
    my @ms = @{ cloud->calls($id)->{fetches_ms} };
    return map { $ms[$_] - $ms[$_ - 1] } 1 .. $#ms;
}

# One test: the calls for the id were so many milliseconds apart, with the
# jitter that is allowed.
sub gaps_are {
    my ($id, $want, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @gaps = gaps($id);
    my @wrong = grep {
        $gaps[$_] < $want->[$_] - 3
        || $gaps[$_] > 1.1 * $want->[$_] + 100 + 1000 * Binarize::lag()
    } 0 .. $#gaps;

    ok(@gaps == @$want && !@wrong, $name)
        or diag("(@gaps), not (@$want)");
}

run_file();

__DATA__

=== binarize_wait
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(status => 'Pending');

answer_is(my $answer = get("/wait/$id"),
          [202, 'Retry-After' => 1, 'Cache-Control' => 'no-store',
           'Preference-Applied' => undef, 'X-Wait' => qr/^\d+\.\d\d\d$/,
           'X-Status' => 'Pending',
           'Cache-Status' => 'binarize; fwd=uri-miss'],
          'pending after all of the wait');
main::after($answer, 1.5, 'it waited so long');
cmp_ok($answer->header('X-Wait'), '>=', 1.5, 'and says so');
cmp_ok($answer->header('X-Wait'), '<=', $answer->{seconds} + 0.002,
       'and no more');
is($answer->header('X-Calls'), fetches($id), 'all the polls are its own');

my $json = get("/wait/$id.json");
answer_is($json, [200, body => qr/"taskStatus":"Pending"/, 'ETag' => undef,
                  'Cache-Control' => 'no-store'], 'as JSON');
main::after($json, 1.5, 'it waited so long');

my $none = get("/none/$id");
answer_is($none, [202, 'X-Wait' => qr/^0\.\d\d\d$/], 'without a wait');
main::after($none, 0, 'at once');

# it becomes ready meanwhile
my $ready = task(size => 999, pending => 1, processing => 1);
my $first = begin("/wait/$ready");
my $head = get("/wait/$ready", -method => 'HEAD');
$answer = $first->answer();

answer_is($answer, [200, 'Content-Length' => 999, 'X-Status' => 'Completed',
                    'Cache-Status' => qr/fwd=uri-miss/], 'a picture');
main::after($answer, 0.61, 'when it was ready');
answer_is($head, [200, body => '', 'Content-Length' => 999], 'HEAD waits, too');
answer_is(get("/wait/$ready"), [200, 'X-Wait' => '0.000', 'X-Calls' => 0],
          'a hit does not wait');

# or it will never be
for my $how ({ status => 'Error', messages => 'spoilt' },
             { status => 'NotExist' })
{
    my $id = task(%$how, pending => 1);

    $answer = get("/wait/$id");
    answer_is($answer, [$how->{status} eq 'Error' ? 502 : 404,
                        'X-Status' => $how->{status}], "$how->{status}");
    main::after($answer, 0.21, 'as soon as that is known');
}

# a call in the air has its own time-outs
my $slow = task(size => 888, delay_ms => 2200);

$answer = get("/wait/$slow");
answer_is($answer, [200, 'Content-Length' => 888], 'a slow call is waited for');
main::after($answer, 2.2, 'longer than the wait');


=== Prefer: wait
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(status => 'Pending');

# field, seconds it waits, seconds applied
my @cases = (['wait=1', 1, 1],
             ['wait=0', 0, 0],
             ['wait=1500', 1.5, 1],
             ['wait=99999999999999999999', 1.5, 1],
             ['respond-async, wait=0; foo="a, b", wait=9', 0, 0],
             ['Wait="1"', 1, 1],
             ['wait=x', 1.5],
             ['wait=-1', 1.5],
             ['wait=1.5', 1.5],
             ['wait', 1.5],
             ['wait=', 1.5],
             ['handling=lenient', 1.5],
             ['waiting=0', 1.5],
             ['', 1.5]);

my @answers = crowd([map { { uri => "/wait/$id", headers => ["Prefer: $_->[0]"],
                             tag => $_->[0] } } @cases])->answers();

for (@cases) {
    my ($field, $seconds, $applied) = @$_;
    my ($answer) = grep { $_->{tag} eq $field } @answers;

    answer_is($answer, [202, 'Preference-Applied' =>
                             defined $applied ? "wait=$applied" : undef],
              "Prefer: $field");
    main::after($answer, $seconds, "$seconds s");
}

my $answer = get("/wait/$id", Prefer => 'return=minimal', prefer => 'wait=0');
answer_is($answer, [202, 'Preference-Applied' => 'wait=0'], 'two lines');

for ([$id, 202], [guid(), 404]) {
    $answer = get("/none/$_->[0]", Prefer => 'wait=5');
    answer_is($answer, [$_->[1], 'Preference-Applied' => 'wait=0'],
              'a client can not make it longer');
    main::after($answer, 0, 'at once');
}

my $ready = task();

get("/wait/$ready");
answer_is(get("/wait/$ready", Prefer => 'wait=1'),
          [200, 'Preference-Applied' => 'wait=1'], 'nor does a hit mind');


=== the pace of polls
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(pending => 5);

is(get("/long/$id")->{status}, 200, 'a picture');
main::gaps_are($id, [200, 400, 800, 800, 800], 'doubling up to max');

# however many wait, and come and go
$id = task(pending => 4);

my @early = map { begin("/long/$id") } 1 .. 5;
my @busy;

for (1 .. 10) {
    push @busy, get("/long/$id", Prefer => 'wait=0');
    sleep(0.05);
}

$_->leave() for splice(@early, 0, 3);

is_deeply(tally(status => map { $_->answer() } @early), { 200 => 2 },
          'a picture');
main::gaps_are($id, [200, 400, 800, 800], 'a crowd does not hurry it');
is_deeply(tally(status => @busy), { 202 => 10 }, 'who does not wait');

# the jitter, of what is long beside a stall of the machine
my @ids = map { task(pending => 1) } 1 .. 40;
crowd([map { { uri => "/slow/$_" } } @ids])->answers();

my @gaps = sort { $a <=> $b } map { main::gaps($_) } @ids;

is(scalar(@gaps), 40, 'each was polled once');
cmp_ok($gaps[0], '>=', 1997, 'never early');
cmp_ok($gaps[20], '<=', 2260 + 1000 * lag(), 'jitter of at most 10 %');
cmp_ok($gaps[-1] - $gaps[0], '>=', 50, 'not all at the same time');


=== the cloud's Retry-After wins
--- http_config eval: $::http
--- config eval: $::config
--- perl
# also over a longer interval of ours
for ([1, 1000], ['0', 200], ['soon', 200]) {
    my ($value, $ms) = @$_;
    my $id = task();

    cloud->fault($id, { status => 'Pending', retry_after => $value,
                        times => 1 });
    is(get("/long/$id")->{status}, 200, "pending, Retry-After: $value");
    main::gaps_are($id, [$ms], "after $ms ms");
}

my $date = task();

cloud->fault($date, { status => 'Processing', times => 1,
    retry_after => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time() + 2)) });
is(get("/long/$date")->{status}, 200, 'pending, a date');

my ($gap) = main::gaps($date);
ok($gap > 900 && $gap < 2500 + 1000 * main::slack(), 'then') or diag($gap);

my $impatient = task();

cloud->fault($impatient, { status => 'Pending', retry_after => 7 });
answer_is(get("/none/$impatient"), [202, 'Retry-After' => 7],
          'clients are told');
is(fetches($impatient), 1, 'one call');
answer_is(get("/wait/$impatient"), [202, 'Retry-After' => qr/^[4-7]$/],
          'who waits is not given up on');
is(fetches($impatient), 1, 'nor is the cloud asked again');

# busy while it is being polled
for my $status (503, 429) {
    my $id = task();

    cloud->fault($id, { status => 'Pending', times => 1 });
    cloud->post("faults/$id", { http => $status, retry_after => 1,
                                times => 1 });

    answer_is(my $answer = get("/long/$id"), [200, 'Retry-After' => undef],
              "a $status does not end the waiting");
    main::gaps_are($id, [200, 1000], 'the poll after it waits');
}

# and then the pace goes on
my $paced = task(pending => 5);

cloud->fault($paced, { http => 503, retry_after => 1, skip => 2, times => 1 });

answer_is(get("/long/$paced"), [200], 'busy, and pending again');
main::gaps_are($paced, [200, 400, 1000, 800, 800, 800], 'not from the beginning');


=== nobody polls when nobody waits
--- http_config eval: $::http
--- config eval
"$::config location = /json { binarize_status json; }"
--- perl
my $id = task(status => 'Pending');
my @clients = map { begin("/long/$id") } 1 .. 3;

until_true { fetches($id) == 2 };
$_->leave() for @clients;
until_true { zone_status()->{waiting_requests} == 0 };

my $n = fetches($id);

sleep(1.5);
is(fetches($id), $n, 'all have left');

get("/wait/$id");
$n = fetches($id);
sleep(1.2);
is(fetches($id), $n, 'all have been answered');

my $fresh = task(status => 'Pending');

get("/none/$fresh");
sleep(1.2);
is(fetches($fresh), 1, 'nobody ever waited');


=== one worker asks, another one's request waits
--- http_config eval: $::http
--- config eval
"$::config location = /json { binarize_status json; }"
--- perl
my ($one, $other) = nginx_workers();
my $id = task(pending => 1);

freeze($other);
my $first = begin("/long/$id");
until_true { (zone_status()->{flights}{sleeping} // 0) == 1 };

freeze($one);
kill('CONT', $other);
answer_is(get("/long/$id"), [200, 'X-Calls' => 1], 'the other one asks');

kill('CONT', $one);
answer_is($first->answer(),
          [200, 'Cache-Status' => 'binarize; fwd=uri-miss; collapsed'],
          'what one waits for is no hit');
is(fetches($id), 2, 'each has asked once');


=== a reload does not end the waiting
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $ready = task(size => 777, pending_ms => 2500);
my $never = task(status => 'Pending');
my $crowd = crowd([map { { uri => $_ } } ("/long/$ready") x 20]);
my $late = begin("/wait/$never");
my @old = nginx_workers();

sleep(0.5);
nginx_signal('HUP');
until_true { my %old = map { $_ => 1 } @old;
             (grep { !$old{$_} } nginx_workers()) == 2 };

my $new = begin("/long/$ready");
my $answer = $late->answer();

answer_is($answer, [202], 'a deadline passes');
main::after($answer, 1.5, 'when it has to');

my @answers = ($crowd->answers(), $new->answer());

is_deeply(tally(status => @answers), { 200 => 21 },
          'all are answered, by old workers and new');
is_deeply(tally(size => @answers[0 .. 19]), { 777 => 20 }, 'by the picture');

# 200, 400, 800, 800 ms, and the workers go by one pace
cmp_ok(fetches($ready), '<=', 6, 'no more polls than before');
ok(until_true(sub { !grep { Binarize::alive($_) } @old }),
   'the old workers are gone');
unlike(error_log(), qr/open socket/, 'and have closed everything');


=== a graceful end
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $ready = task(size => 777, pending_ms => 1500);
my $never = task(status => 'Pending');
my $crowd = crowd([map { { uri => $_ } } ("/long/$ready") x 20]);
my $late = begin("/wait/$never");
my @old = (nginx_pid(), nginx_workers());

sleep(0.3);
nginx_signal('QUIT');

answer_is($late->answer(), [202], 'a deadline passes');

my @answers = $crowd->answers();

is_deeply(tally(status => @answers), { 200 => 20 }, 'all are answered');
ok(until_true(sub { !grep { Binarize::alive($_) } @old }), 'it ended');
nginx_start();
is(get("/none/$ready")->{status}, 200, 'it is back');
