use FindBin;
use lib "$FindBin::Bin/lib";

use Time::HiRes qw(sleep time);

use Binarize;

# Who of the workers leads a flight, for whom, and for how long.

worker_connections(8192);

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:16m;
    binarize_zone small:1m;
    binarize_cache main;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 30s;
        binarize_poll 30s max=30s;
    }
    location /small/ {
        binarize_cache small;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location = /json {
        binarize_status json;
    }
CONFIG

our $budget = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:16m;
    binarize_zone small:1m;
    binarize_cache main;
    binarize_budget concurrency=1;
    binarize_wait 30s;
CONFIG

# How many flights are in that state.
sub flights {
    my ($state) = @_;
    return (zone_status('main') // {})->{flights}{$state} // 0;
}

# Clients of both workers, one each for each id: of the first worker the
# leaders, if n of them are in that state before the others come.
sub both {
    my ($state, @uris) = @_;
    until_true { nginx_workers() == 2 };
    my ($one, $other) = nginx_workers();

    freeze($other);
    my $lead = crowd([map { { uri => $_ } } @uris]);
    until_true { flights($state) >= @uris };

    freeze($one);
    kill('CONT', $other);
    my $follow = crowd([map { { uri => $_ } } @uris]);
    until_true { flights('following') >= @uris };
    kill('CONT', $one);

    return ($lead, $follow);
}

run_file();

__DATA__

=== as many as the zone has room for, one call each; then none
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(size => 300, delay_ms => 3000) } 1 .. 300;
my @answers = crowd([map { { uri => "/small/$_" } } @ids, @ids])->answers();

my $n = tally(status => @answers);
my @calls = map { fetches($_) } @ids;

cmp_ok($n->{200}, '>=', 200, 'some are served');
cmp_ok($n->{503}, '>=', 50, 'others are not');
is($n->{200} + $n->{503}, 600, 'nothing else');
is_deeply([grep { $_ > 1 } @calls], [], 'no id is asked for twice');

my %served = map { $ids[$_->{tag} % 300] => 1 }
             grep { $_->{status} == 200 } @answers;
is(scalar(grep { $_ } @calls), scalar(keys %served),
   'no call for who is not served');

cloud->fault('any', { hang => 'start' });
my $hold = crowd([map { { uri => "/small/" . guid() } } 1 .. 300]);
my $refused = task();
until_true {
    my $small = zone_status('small');
    $small->{l1_claimed_bytes}
        >= 512 * int($small->{l1_blocks_bytes} / 512 / 8)
};
problem_is(get("/small/$refused"), 503, 'crowded', 'one too many',
           'Retry-After' => 1);
is(fetches($refused), 0, 'no call');
$hold->stop();
cloud->delete('faults/any');


=== all workers stand still, and go on one after the other
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(size => 3000, delay_ms => 8000) } 1 .. 20;
my ($lead, $follow) = main::both('fetching', map { "/b/$_" } @ids);
my @workers = nginx_workers();

freeze($_) for @workers;
sleep(6);

# who follows is the first to look

for (reverse @workers) {
    kill('CONT', $_);
    sleep(0.02);
}

is_deeply(tally(size => $lead->answers(), $follow->answers()), { 3000 => 40 },
          'all are answered');
is_deeply([map { fetches($_) } @ids], [(1) x 20], 'one call each');
is(zone_status('main')->{flight_takeovers}, 0, 'nobody was declared dead');


=== one worker stands still; another leads, and is not disturbed
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(size => 3000) } 1 .. 3;
my @bad = ({ status => 'Pending' }, { http => 500 }, { status => 'NotExist' });
cloud->fault($ids[$_], { %{ $bad[$_] }, delay_ms => 1500, times => 1 })
    for 0 .. 2;
my ($lead, $follow) = main::both('fetching', map { "/b/$_" } @ids);
my ($one, $other) = nginx_workers();

freeze($one);
my @answers = $follow->answers();
is_deeply(tally(size => @answers), { 3000 => 3 }, 'the other one has led');
is_deeply([map { fetches($_) } @ids], [(2) x 3], 'a call of its own each');

kill('CONT', $one);
is_deeply(tally(size => $lead->answers()), { 3000 => 3 },
          'the late ones land with it');
is_deeply([map { get("/b/$_")->{status} } @ids, @ids], [(200) x 6],
          'nothing was replaced');
is_deeply([map { fetches($_) } @ids], [(2) x 3], 'no third call');


=== who waited for a turn has left, on both workers
--- http_config eval: $::budget
--- config eval: $::config
--- perl
my $first = task(size => 300, delay_ms => 2500);
my $id = task(size => 300);
my $busy = begin("/b/$first");
until_true { fetches($first) };

my ($lead, $follow) = main::both('budget', "/b/$id");
$lead->stop();
until_true { main::flights('budget') && zone_status()->{waiting_requests} == 2 };
is(main::flights('budget'), 1, 'it queues for the other worker');

$follow->stop();
ok(until_true(sub { !main::flights('budget') && !main::flights('following') }),
   'nobody queues any more');
is($busy->answer()->{status}, 200, 'the call before ends');
is(get('/b/' . task(size => 400))->{status}, 200, 'another has the turn');
is(fetches($id), 0, 'no call for nobody');


=== who waited for a token has left, on both workers
--- http_config eval: $::http
--- config eval: $::config
--- perl
cloud->put('token', { delay_ms => 2000 });
nginx_restart();
my $id = task(size => 300);
my ($lead, $follow) = main::both('token', "/b/$id");
$_->stop() for $lead, $follow;
ok(until_true(sub { !zone_status()->{waiting_requests} }), 'all have left');
is(get('/b/' . task(size => 400))->{status}, 200, 'the token has come');
is(fetches($id), 0, 'no call for nobody');
cloud->put('token', {});


=== a landing costs the same, whatever others wait for
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $n = 400;
my @ids = map { task(size => 300, delay_ms => 4000 + 5 * $_) } 1 .. $n;
my ($lead, $follow) = main::both('fetching', map { "/b/$_" } @ids);
my $before = zone_status('main');

is_deeply(tally(size => $lead->answers(), $follow->answers()),
          { 300 => 2 * $n }, 'all are answered');
is_deeply([grep { fetches($_) != 1 } @ids], [], 'one call each');

my $after = zone_status('main');
my $looks = 0;
$looks += $after->{$_} - $before->{$_} for qw(l1_hits l1_misses);

# who is told of more than it is told by name looks at all: that is seldom
cmp_ok($looks, '<=', 2 * $n + $n * $n / 31, "they looked $looks times");
