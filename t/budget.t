use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use IO::Select;
use Time::HiRes qw(time sleep);

use Binarize;

worker_connections(2048);

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $pass = 'binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;';

# Fetches as the cloud saw them: [ms, id] in order.
sub seen {
    return map { [@$_[0, 1]] }
           @{ decode_json(cloud->control('GET', 'times')) };
}

# How much more than rate * window + burst any window held at worst; the ways
# to the cloud differ by so many ms.
sub excess {
    my ($rate, $burst, @times) = @_;
    my $jitter_ms = 150 + 1000 * lag();
    my $worst = -1e9;

    for my $i (0 .. $#times) {
        for my $j ($i .. $#times) {
            my $allowed = $burst + $rate * ($times[$j] - $times[$i]
                                            + $jitter_ms) / 1000;
            my $over = $j - $i + 1 - $allowed;
            $worst = $over if $over > $worst;
        }
    }

    return $worst;
}

# Starts a request for each id, in order.  Two workers take them: a pause keeps
# them in order mostly; with a function the next one starts when what that
# returns has changed.
sub line_up {
    my ($location, $pause, @ids) = @_;

    return map { sleep($pause) if $pause; begin("$location$_") } @ids
        if !ref $pause;

    return map {
        my $before = $pause->();
        my $client = begin("$location$_");
        until_true(sub { $pause->() > $before });
        $client;
    } @ids;
}

# How many flights have asked for a turn.
sub flights {
    my ($n) = get('/status')->{body}
              =~ /^binarize_flights_started_total\{.*role="leader".*\} (\d+)/m;
    return $n;
}

# The worker processes by the port at the other end of their connections.
sub workers_by_port {
    my (%port, %worker);

    open(my $f, '<', '/proc/net/tcp') or die "/proc/net/tcp: $!\n";

    for (<$f>) {
        my ($hex, $inode) = /^\s*\d+: \S+ \w+:(\w+) (?:\S+\s+){6}(\d+)/;
        $port{$inode} = hex($hex) if $inode;
    }

    for my $pid (nginx_workers()) {
        for (glob("/proc/$pid/fd/*")) {
            my ($inode) = (readlink($_) // '') =~ /^socket:\[(\d+)\]/;
            $worker{ $port{$inode} } = $pid if $inode && $port{$inode};
        }
    }

    return \%worker;
}

# The answers in the order of the clients, each with the seconds it took.
sub answers {
    my @clients = @_;
    my %of = map { $_->{socket} => $_ } @clients;
    my $select = IO::Select->new(map { $_->{socket} } @clients);
    my $deadline = time() + $patience;

    while ($select->count() && time() < $deadline) {
        for ($select->can_read($deadline - time())) {
            $of{$_}{took} = time() - $of{$_}{started};
            $select->remove($_);
        }
    }

    return map { my $took = $_->{took};
                 my $answer = $_->answer();
                 $answer->{seconds} = $took;
                 $answer } @clients;
}

sub ids {
    my ($n, %o) = @_;
    return map { task(%o) } 1 .. $n;
}

sub statuses {
    my %n;
    $n{ $_->{status} }++ for @_;
    return join(' ', map { "$_:$n{$_}" } sort keys %n);
}

run_file();

__DATA__

=== the rate is kept, whoever can not wait for it is told when to come back
--- config eval
"location /b/ { $::pass binarize_wait 4s;
              binarize_budget rate=5r/s; }"
--- perl
get('/b/' . task());
sleep(1.1);
cloud->post('reset');

my @ids = main::ids(500);
my $started = time();
my @clients = main::line_up('/b/', 0, @ids);
my $spread = time() - $started;
my @answers = main::answers(@clients);
my @served = grep { $_->{status} == 200 } @answers;
my @refused = grep { $_->{status} == 503 } @answers;

is(@served + @refused, 500, 'all are served or refused');
cmp_ok(scalar(@served), '<=', 23 + 5 * $spread,
       'no more than the rate allows');

# on a busy machine a turn may come late, and those that are lost are lost
my @seen = main::seen();
cmp_ok($seen[-1][0] - $seen[0][0], '>=', 3400 - 1000 * lag(),
       'the rate is used to the end');
is(scalar(@seen), scalar(@served), 'a call for each of them');
cmp_ok(main::excess(5, 1, map { $_->[0] } @seen), '<=', 0,
       'no window holds more than its part');

my $lag = lag();
my $late = grep { $_->{seconds} > 4.3 + $lag } @served;
is($late, 0, 'nobody waited for longer than it may');

# but for those whose turn was due when their patience ended
my $slow = grep { $_->{seconds} > 1.5 + $lag } @refused;
cmp_ok($slow, '<=', 3, 'who is refused is refused at once');

problem_is($refused[0], 503, 'budget', 'the problem',
           'Retry-After' => qr/^[1-6]$/);

# the queue is over some four seconds after the start
my ($last) = sort { $b <=> $a } map { $_->{seconds} } @served;
my $first = ($last < 4 ? $last - 0.1 : 3.9) - $lag;
my @bad = grep { $_ < $first || $_ > 6.5 + $lag }
          map { $_->{seconds} + $_->header('Retry-After') } @refused;
is("@bad", '', 'after the queue there is a turn');


=== a crowd is served in order, over all workers
--- config eval
"location /b/ { $::pass binarize_wait 15s; binarize_budget rate=20r/s; }
location = /status { binarize_status prometheus; }"
--- perl
get('/b/' . task());
sleep(0.2);
cloud->post('reset');

my @ids = main::ids(120);
my @clients = main::line_up('/b/', \&main::flights, @ids);
my @answers = main::answers(@clients);

is(main::statuses(@answers), '200:120', 'all are served');

my @seen = main::seen();
cmp_ok(main::excess(20, 1, map { $_->[0] } @seen), '<=', 0,
       'within the rate');

my %at = map { $seen[$_][1] => $_ } 0 .. $#seen;
my @moved = grep { abs($at{ $ids[$_] } - $_) > 2 } 0 .. $#ids;
is(scalar(@moved), 0, 'in order');


=== turns of two workers come one after the other's
--- config eval
"location /b/ { $::pass binarize_wait 18s; binarize_budget rate=1r/s; }
location /short/ { $::pass binarize_wait 8s; binarize_budget rate=1r/s; }
location = /status { binarize_status prometheus; }"
--- perl
my @workers = nginx_workers();
my $without = sub {
    my ($worker, $location, $n) = @_;

    freeze($worker);
    my @begun = main::line_up($location, \&main::flights, main::ids($n));
    kill('CONT', $worker);
    return @begun;
};

get('/b/' . task());

# those of the second worker are behind some of the first's, and before others
my @clients = ($without->($workers[1], '/b/', 3),
               $without->($workers[0], '/short/', 2),
               $without->($workers[1], '/b/', 6));

is(main::statuses(main::answers(@clients)), '200:11',
   'no turn is taken for later than it is');


=== Retry-After is true
--- config eval
"location /b/ { $::pass binarize_budget rate=15r/m; }"
--- perl
my $before = time();
answer_is(get('/b/' . task()), [200], 'the first');
my $after = time();

# the second turn is four seconds after the first, which was between those
for my $name ('the second', 'a second later') {
    my $asked = time();
    my $answer = get('/b/' . task());
    my $told = $answer->header('Retry-After') // -1;

    problem_is($answer, 503, 'budget', $name, 'Retry-After' => qr/^[1-4]$/);
    cmp_ok($told, '>=', $before + 4 - time() - 0.01, 'not too soon');
    cmp_ok($told, '<', $after + 4 - $asked + 1.01, 'nor too late');

    sleep($name eq 'the second' ? 1 : $told);
}

answer_is(get('/b/' . task()), [200], 'when it was told to');


=== hits are free
--- config eval
"location /b/ { $::pass binarize_budget rate=1r/m; binarize_negative_valid 30s; }"
--- perl
my $id = task();
answer_is(get("/b/$id"), [200], 'a miss');
answer_is(get("/b/$id"), [200], 'a hit') for 1 .. 5;
problem_is(get('/b/' . task()), 503, 'budget', 'another one',
           'Retry-After' => qr/^(60|5\d)$/);
is(fetches($id), 1, 'one call');


=== a bucket
--- config eval
"location /b/ { $::pass binarize_budget rate=1r/s burst=10; }"
--- perl
my @ids = main::ids(40);
my $started = time();
my $served = grep { $_->{status} == 200 }
             main::answers(main::line_up('/b/', 0, splice(@ids, 0, 30)));

cmp_ok($served, '>=', 10, 'ten at once');
cmp_ok($served, '<=', 10 + time() - $started, 'and what a second brings');

sleep(2.1);
$served += grep { $_->{status} == 200 }
           main::answers(main::line_up('/b/', 0, @ids));

cmp_ok($served, '>=', 12, 'two more in two seconds');
cmp_ok($served, '<=', 10 + time() - $started, 'no more than that');


=== concurrency
--- config eval
"location /b/ { $::pass binarize_wait 10s; binarize_budget concurrency=1; }
location /now/ { $::pass binarize_wait 0; binarize_budget concurrency=1; }
location = /status { binarize_status prometheus; }"
--- perl
get('/b/' . task());
cloud->post('reset');

my @ids = main::ids(30, delay_ms => 30);
my @clients = main::line_up('/b/', \&main::flights, @ids);
my @answers = main::answers(@clients);

is(main::statuses(@answers), '200:30', 'all are served');
is(cloud->calls()->{max_in_air}, 1, 'one after the other');

my @seen = main::seen();
my %at = map { $seen[$_][1] => $_ } 0 .. $#seen;
my @moved = grep { abs($at{ $ids[$_] } - $_) > 2 } 0 .. $#ids;
is(scalar(@moved), 0, 'in order');
cmp_ok($seen[-1][0] - $seen[0][0], '<', 29 * 30 + 400 + 1000 * lag(),
       'the next starts when one ends');

my $busy = begin('/b/' . (my $id = task(delay_ms => 2000)));
until_true { fetches($id) };
problem_is(get('/now/' . task()), 503, 'budget', 'who can not wait',
           'Retry-After' => qr/^[12]$/);
answer_is($busy->answer(), [200], 'the one in the air');
answer_is(get('/now/' . task()), [200], 'then it is free');


=== concurrency of three, two workers
--- config eval
"location /b/ { $::pass binarize_wait 10s; binarize_budget concurrency=3; }"
--- perl
get('/b/' . task());
cloud->post('reset');

my @answers = main::answers(main::line_up('/b/', 0,
                                        main::ids(60, delay_ms => 20)));

is(main::statuses(@answers), '200:60', 'all are served');
is(cloud->calls()->{max_in_air}, 3, 'three at once');


=== a token call takes a unit
--- config eval
"location /b/ { $::pass binarize_wait 10s; binarize_budget concurrency=1; }"
--- perl
cloud->post('reset');
cloud->fault('token', { delay_ms => 300, lives => 2, expires_in => 2 });

for (1 .. 2) {
    my @answers = main::answers(main::line_up('/b/', 0.01,
                                            main::ids(20, delay_ms => 50)));
    is(main::statuses(@answers), '200:20', 'all are served');
    sleep(2.1);
}

is(cloud->calls()->{max_in_air}, 1, 'one at once');
cloud->delete('faults/token');


=== a token call waits for a unit
--- config eval
"location /b/ { $::pass binarize_wait 10s; binarize_budget concurrency=1; }"
--- perl
cloud->post('reset');
cloud->fault('token', { lives => 1, expires_in => 1 });

my $long = begin('/b/' . task(delay_ms => 5000));
sleep(1.3);
my $next = begin('/b/' . task());
sleep(0.5);
is(cloud->calls()->{token}{calls}, 1, 'the token is over, the call is not');
answer_is($_->answer(), [200], 'served') for $long, $next;
is(cloud->calls()->{token}{calls}, 2, 'then another one');
cloud->delete('faults/token');


=== a killed worker holds nothing
--- config eval
"location /b/ { $::pass binarize_wait 12s; binarize_budget concurrency=1; }"
--- perl
tolerate(qr/exited on signal 9/);

get('/b/' . task());

my $id = task(hang => 'head', times => 1);
cloud->post('close-idle');
my $held = begin("/b/$id");
until_true { fetches($id) };

my @ids = main::ids(6);
my @clients = main::line_up('/b/', 0.01, @ids);
sleep(0.3);
is(scalar(grep { $_->has_answer() } @clients), 0, 'all wait');

# the worker that holds the unit has the connection to the cloud
my $killed = time();
kill('KILL', main::workers_by_port()->{ cloud->{port} });

my @answers = main::answers(@clients);
my @served = grep { $_->{status} == 200 } @answers;
my @cut = grep { $_->{status} == 0 } @answers;

is(@served + @cut, 6, 'the others are served, but for its own');
cmp_ok(scalar(@served), '>', 0, 'some were not its own');
cmp_ok(time() - $killed, '<', 3 + lag(), 'without a long wait');
answer_is(get('/b/' . task()), [200], 'nothing is held');


=== a killed worker that nobody replaces
--- config eval
"location /b/ { $::pass binarize_wait 12s; binarize_budget concurrency=1; }"
--- perl
get('/b/' . task());
sleep(0.1);

my $id = task(hang => 'head', times => 1);
cloud->post('close-idle');
my $held = begin("/b/$id");
until_true(sub { fetches($id) });

# an old worker of a reload, that still waits for its call
my $holder = main::workers_by_port()->{ cloud->{port} };
nginx_signal('HUP');
until_true(sub { nginx_workers() == 3 });
sleep(0.3);

my $client = begin('/b/' . task());
ok(!$client->has_answer(0.5), 'it waits');
kill('KILL', $holder);
answer_is($client->answer(), [200], 'served');


=== a worker that hangs with the first turn is stepped over
--- config eval
"location /b/ { $::pass binarize_wait 60s; binarize_budget concurrency=1; }
location /soon/ { $::pass binarize_wait 7s; binarize_budget concurrency=1; }
location = /status { binarize_status prometheus; }"
--- perl
my ($hung, $well) = nginx_workers();
my ($first, $next);

get('/b/' . task());
sleep(0.1);

# a machine that stands still for seconds is nobody's fault
for (1 .. 5) {
    my $id = task(delay_ms => 2000);

    freeze($hung);
    my $held = begin("/b/$id");
    until_true(sub { fetches($id) });
    kill('CONT', $hung);

    freeze($well);
    ($first) = main::line_up('/b/', \&main::flights, task());
    freeze($hung);
    kill('CONT', $well);

    $next = get('/soon/' . task());
    answer_is($held->answer(), [200], 'the one in the air');
    last if $next->{status} == 200;
    kill('CONT', $hung);
    $first->answer();
}

answer_is($next, [200], 'who comes after it is served');
ok(!$first->has_answer(), 'while it hangs');
kill('CONT', $hung);
answer_is($first->answer(), [200], 'it keeps its place');


=== a worker that hangs with a unit
--- config eval
"location /b/ { $::pass binarize_wait 60s; binarize_budget concurrency=1; }"
--- perl
my ($hung, $well) = nginx_workers();
my $id = task();

get('/b/' . task());
sleep(0.1);

cloud->fault($id, { hang => 'head', times => 1 });
freeze($well);
my $held = begin("/b/$id");
until_true(sub { fetches($id) });
freeze($hung);
kill('CONT', $well);

answer_is(get('/b/' . task()), [200], 'is declared dead, and its unit free');
kill('CONT', $hung);
$held->leave();
answer_is(get('/b/' . task()), [200], 'it holds nothing when it goes on');


=== a quota goes by the day and survives a reload
--- config eval
"location /b/ { $::pass binarize_wait 2s; binarize_budget quota=5/day; }"
--- perl
my @answers = map { get('/b/' . task()) } 1 .. 7;
is(main::statuses(@answers), '200:5 503:2', 'five');

my $left = 86400 - time() % 86400;
my $told = $answers[-1]->header('Retry-After');

cmp_ok(abs($told - $left), '<=', 5 + lag(), 'until midnight');
cmp_ok($answers[-1]->{seconds}, '<', 1 + lag(), 'at once');

nginx_reload();
problem_is(get('/b/' . task()), 503, 'budget', 'after a reload');

nginx_restart();
answer_is(get('/b/' . task()), [200], 'it ends with the zone');


=== a quota goes by the month
--- config eval
"location /b/ { $::pass binarize_budget quota=2/month; }"
--- perl
my @answers = map { get('/b/' . task()) } 1 .. 3;
is(main::statuses(@answers), '200:2 503:1', 'two');

my ($y, $m) = (gmtime)[5, 4];
require Time::Local;
my $next = Time::Local::timegm(0, 0, 0, 1, ($m + 1) % 12,
                               $y + 1900 + ($m == 11));
cmp_ok(abs($answers[2]->header('Retry-After') - ($next - time())), '<=',
       5 + lag(), 'until the next one');


=== each poll of a pending task counts
--- config eval
"location /b/ { $::pass binarize_wait 6s; binarize_poll 20ms max=20ms;
              binarize_budget rate=4r/s; }"
--- perl
my $id = task(pending => 4);
my $answer = get("/b/$id");

answer_is($answer, [200], 'it is there at last');
is(fetches($id), 5, 'five calls');
cmp_ok($answer->{seconds}, '>', 0.95, 'at the pace of the budget');


=== a task known to be pending is answered as such
--- config eval
"location /b/ { $::pass binarize_wait 1s; binarize_poll 100ms;
              binarize_budget rate=2r/m; }"
--- perl
my $answer = get('/b/' . task(pending => 99));
answer_is($answer, [202, 'Retry-After' => qr/^(2\d|30)$/], 'no turn');


=== patience of those who follow counts
--- config eval
"location /b/ { $::pass binarize_wait 9s; binarize_budget rate=20r/m; }"
--- perl
get('/b/' . task());

# impatient ones lead, patient ones follow, on both workers
my $id = task();
my @short = map { begin("/b/$id", Prefer => 'wait=0') } 1 .. 10;
my @long = map { begin("/b/$id") } 1 .. 10;
push @short, map { begin("/b/$id", Prefer => 'wait=0') } 1 .. 10;

my @answers = main::answers(@short);
is(main::statuses(@answers), '503:20', 'the impatient are refused');
my $lag = lag();
is(scalar(grep { $_->{seconds} > 0.7 + $lag } @answers), 0, 'at once');

@answers = main::answers(@long);
is(main::statuses(@answers), '200:10', 'the patient are served');
is(fetches($id), 1, 'by one call');


=== the place in the queue is that of all who wait
--- http_config eval
"binarize_credentials \$TEST_NGINX_CREDENTIALS;
binarize_wait 40s;
binarize_budget rate=20r/m;
# the kernel gives each worker its part
server {
    listen 127.0.0.1:@{[ $Binarize::port + 2 ]} reuseport;
    location /b/ { $::pass }
}"
--- config eval
"location /b/ { $::pass }"
--- perl
get('/b/' . task());
cloud->post('reset');

my $id = task();
my @clients = map { begin("/b/$id", -port => $port + 2) } 1 .. 30;
my $worker;

until_true {
    $worker = main::workers_by_port();
    !grep { !$worker->{ $_->port() } } @clients;
};

my %of = map { $_ => $worker->{ $_->port() } } @clients;
my @others = main::line_up('/b/', 0, main::ids(3));

# those of the worker that leads leave, those of the other one stay
my $leader = $of{ $clients[0] };
my @stay = grep { $of{$_} != $leader } @clients;
$_->leave() for grep { $of{$_} == $leader } @clients;

cmp_ok(scalar(@stay), '>', 0, 'both workers have some');
is(main::statuses(map { $_->answer() } @stay, @others),
   '200:' . (@stay + 3), 'all are served');
is((main::seen())[0][1], $id, 'who follow have the place of who led');
isnt($leader, $of{ $stay[0] }, 'two workers');


=== who leaves makes room
--- config eval
"location /b/ { $::pass binarize_wait 60s; binarize_budget rate=12r/m; }
location /now/ { $::pass binarize_budget rate=12r/m; }"
--- perl
get('/b/' . task());

my @ids = main::ids(7);
my @clients = main::line_up('/b/', 0, @ids);
my $now = '/now/' . task();
my $answer;

# a turn every five seconds
until_true { ($answer = get($now))->header('Retry-After') > 35 };
problem_is($answer, 503, 'budget', 'behind seven',
           'Retry-After' => qr/^(3[6-9]|40)$/);

$_->leave() for @clients;

until_true { ($answer = get($now))->header('Retry-After') <= 5 };
problem_is($answer, 503, 'budget', 'behind nobody',
           'Retry-After' => qr/^[1-5]$/);
sleep($answer->header('Retry-After'));
answer_is(get($now), [200], 'then it is its turn');
is(scalar(grep { fetches($_) } @ids), 0, 'nothing was spent on who left');


=== each try on an upstream counts
--- http_config eval
"binarize_credentials \$TEST_NGINX_CREDENTIALS
                      token_url=http://\$TEST_NGINX_CLOUD/connect/token;
upstream tries {
    server \$TEST_NGINX_CLOUD max_fails=0;
    server \$TEST_NGINX_CLOUD max_fails=0;
    server \$TEST_NGINX_CLOUD max_fails=0;
}"
--- config
location /b/ {
    binarize_pass http://tries/v5.0/ocr/binarizeimage;
    binarize_next_upstream error http_500;
    binarize_budget rate=1r/m burst=5;
}
--- perl
my $id = task();
cloud->fault($id, { close => 'start', times => 2 });
answer_is(get("/b/$id"), [200], 'served by the third');
is(fetches($id), 3, 'three tries');

my $other = task();
cloud->fault($other, { close => 'start', times => 9 });
my $answer = get("/b/$other");
problem_is($answer, 503, 'budget', 'no turn for a third try',
           'Retry-After' => qr/^(60|5\d)$/);
is(fetches($other), 2, 'two were left');


=== what is no try costs nothing
--- http_config eval
"binarize_credentials \$TEST_NGINX_CREDENTIALS
                      token_url=http://\$TEST_NGINX_CLOUD/connect/token;
upstream none { server \$TEST_NGINX_CLOUD down; }"
--- config eval
"location /b/ { $::pass binarize_budget quota=3/day; }
location /none/ {
    binarize_pass http://none/v5.0/ocr/deskewimage;
    binarize_budget quota=3/day;
}"
--- perl
is(main::statuses(map { get('/none/' . guid()) } 1 .. 6), '502:6',
   'no upstream is there');
is(main::statuses(map { get('/b/' . task()) } 1 .. 4), '200:3 503:1',
   'three were left');


=== a try without a turn waits for one, in front of others
--- http_config eval
"binarize_credentials \$TEST_NGINX_CREDENTIALS
                      token_url=http://\$TEST_NGINX_CLOUD/connect/token;
upstream tries {
    server \$TEST_NGINX_CLOUD max_fails=0;
    server \$TEST_NGINX_CLOUD max_fails=0;
    server \$TEST_NGINX_CLOUD max_fails=0;
}"
--- config
location /b/ {
    binarize_pass http://tries/v5.0/ocr/binarizeimage;
    binarize_wait 9s;
    binarize_budget rate=4r/s;
}
location = /status { binarize_status prometheus; }
--- perl
get('/b/' . task());
sleep(0.3);
cloud->post('reset');

my $id = task();
cloud->fault($id, { close => 'start', times => 2 });
my @clients = main::line_up('/b/', \&main::flights, $id,
                             my @others = main::ids(5));
my @answers = main::answers(@clients);

is(main::statuses(@answers), '200:6', 'all are served');

my @seen = main::seen();
is(join(' ', map { $_->[1] } @seen[0 .. 2]), "$id $id $id", 'its tries first');
cmp_ok(main::excess(4, 1, map { $_->[0] } @seen), '<=', 0,
       'within the rate');

my $lost = task();
cloud->post('close-idle');
sleep(0.1);
cloud->fault($lost, { close => 'start', times => 99 });
problem_is(get("/b/$lost"), 502, 'cloud-unreachable', 'none more than servers');
is(fetches($lost), 3, 'three tries');


=== a token that is refused costs a turn
--- config eval
"location /b/ { $::pass binarize_budget rate=1r/m burst=3; }"
--- perl
answer_is(get('/b/' . task()), [200], 'with a token');
cloud->post('revoke');
answer_is(get('/b/' . task()), [200], 'with a new token');
problem_is(get('/b/' . task()), 503, 'budget', 'three are spent');




=== off
--- http_config eval
"binarize_credentials \$TEST_NGINX_CREDENTIALS;
binarize_budget rate=1r/m burst=2;"
--- config eval
"location /b/ { $::pass }
location /off/ { $::pass binarize_budget off; }
location /same/ { $::pass binarize_budget burst=2 rate=1r/m; }"
--- perl
is(main::statuses(map { get('/b/' . task()) } 1 .. 2), '200:2', 'inherited');
is(main::statuses(map { get('/same/' . task()) } 1 .. 2), '503:2',
   'one budget for both');
is(main::statuses(map { get('/off/' . task()) } 1 .. 5), '200:5', 'off');
