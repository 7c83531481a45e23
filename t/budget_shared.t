use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);

use Binarize;
use Binarize::FakeRedis;

worker_connections(2048);

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $pass = 'binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
             binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                            connect_timeout=10s;';
our $hasty = $pass =~ s/ timeout=10s\s+connect_timeout=10s//r;

our $http = 'binarize_credentials $TEST_NGINX_CREDENTIALS;
             binarize_max_size 8m; binarize_negative_valid 100ms max=100ms;';

# A second nginx with the same configuration, on the next port.
sub second_start {
    my $root = "$dir/second";
    my $conf = file_read("$dir/root/conf/nginx.conf");
    my $next = $port + 1;

    mkdir("$root"), mkdir("$root/logs"), mkdir("$root/conf");
    $conf =~ s/\b$port\b/$next/g;
    $conf =~ s{\Q$dir\E/root}{$root}g;
    file_write("$root/conf/nginx.conf", $conf);

    system("$nginx -e $root/logs/error.log -p $root/ -c conf/nginx.conf "
           . "> /dev/null 2>&1") == 0 or die "no second nginx\n";
    until_true { file_read("$root/logs/nginx.pid") };
}

sub second_stop {
    my ($signal) = @_;
    my ($pid) = file_read("$dir/second/logs/nginx.pid") =~ /^(\d+)/;
    my @all = ($pid, split ' ', file_read("/proc/$pid/task/$pid/children"));

    kill($signal // 'QUIT', $signal ? @all : $pid);
    until_true { !grep { Binarize::alive($_) } @all };
    unlink("$dir/second/logs/nginx.pid");

    my @bad = grep { /\[(?:alert|emerg)\]|exited on signal/ }
              split(/\n/, file_read("$dir/second/logs/error.log"));
    is("@bad", '', 'the second nginx had nothing alarming to say');
    unlink("$dir/second/logs/error.log");
}

sub seen {
    return map { [@$_[0, 1]] }
           @{ decode_json(cloud->control('GET', 'times')) };
}

# see budget.t
sub excess {
    my ($rate, $burst, @times) = @_;
    my $jitter_ms = 200 + 1000 * lag();
    my $worst = -1e9;

    for my $i (0 .. $#times) {
        for my $j ($i .. $#times) {
            my $over = $j - $i + 1 - $burst
                       - $rate * ($times[$j] - $times[$i] + $jitter_ms) / 1000;
            $worst = $over if $over > $worst;
        }
    }

    return $worst;
}

# Requests to both by turns.
sub both {
    my ($location, $pause, @ids) = @_;
    my $n = 0;
    return map { sleep($pause) if $pause;
                 begin("$location$_", -port => $port + $n++ % 2) } @ids;
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

# Between nginx and Redis: keeps the answers to scripts back for a while.
sub slow_scripts {
    my ($seconds) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 9);
    my $owner = $$;

    return $listen->sockport() if fork();

    my $select = IO::Select->new($listen);
    my (%peer, %until, %server);

    while (getppid() == $owner) {
        for my $socket ($select->can_read(0.02)) {

            if ($socket == $listen) {
                my $client = $listen->accept();
                my $server = IO::Socket::INET->new(
                                    PeerAddr => "127.0.0.1:$redis->{port}");
                $peer{$client} = $server;
                $peer{$server} = $client;
                $server{$server} = 1;
                $select->add($client, $server);
                next;
            }

            if ($server{$socket} && ($until{$socket} // 0) > time()) {
                sleep(0.01);
                next;
            }

            my $bytes;

            if (!sysread($socket, $bytes, 65536)) {
                $select->remove($socket, $peer{$socket});
                close($peer{$socket});
                close($socket);
                next;
            }

            if ($bytes =~ /EVALSHA/) {
                $until{ $peer{$socket} } = time() + $seconds;
            }

            syswrite($peer{$socket}, $bytes);
        }
    }

    POSIX::_exit(0);
}

our $slow = slow_scripts(0.7);

# Before Redis: while the file is there the next turn is taken, and its answer
# is lost with the connection.
our $losing = "$dir/losing";
our $lossy = { Binarize::FakeRedis::start(lossy => sub {
    my ($client) = @_;
    my $server = IO::Socket::INET->new(
                                    PeerAddr => "127.0.0.1:$redis->{port}");
    my $select = IO::Select->new($client, $server);

    my $lost;

    while (1) {
        for my $socket ($select->can_read()) {

            return if !sysread($socket, my $bytes, 65536);
            return if $socket == $server && $lost && unlink($losing);

            $lost = 1 if $bytes =~ /:held.*:pause/s && -e $losing;
            syswrite($socket == $client ? $server : $client, $bytes);
        }
    }
}) }->{lossy};

sub keys_of_budget {
    return grep { /budget/ } $redis->keys();
}

run_file();

__DATA__

=== two nodes keep one rate
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 14s;
                binarize_budget rate=10r/s shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
get('/b/' . task());
get('/b/' . task(), -port => $port + 1);
sleep(0.2);
cloud->post('reset');

my @clients = main::both('/b/', 0.003, main::ids(60));
my @answers = map { $_->answer() } @clients;
is(main::statuses(@answers), '200:60', 'all are served');

my @seen = main::seen();
is(scalar(@seen), 60, 'one call each');
cmp_ok(main::excess(10, 1, map { $_->[0] } @seen), '<=', 0,
       'the nodes together keep the rate');
cmp_ok($seen[-1][0] - $seen[0][0], '<', 59 * 100 * 1.4 + 1000 * lag(),
       'and use it');

# it is there while the bucket is not full
get('/b/' . task());
my @keys = main::keys_of_budget();
my $left_ms = $::redis->cmd('PTTL', "@keys");

main::second_stop();

like("@keys", qr/^\{binarize:budget:[0-9a-f]{64}\}:rate$/, 'the key');
cmp_ok($left_ms, '<', 2000, 'expires when the bucket is full');


=== a node that waits for nothing is refused at once
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_budget rate=1r/m burst=4 shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
my @answers = map { $_->answer() } main::both('/b/', 0, main::ids(20));
is(main::statuses(@answers), '200:4 503:16', 'a bucket for both');

my @refused = grep { $_->{status} == 503 } @answers;

# behind those that still ask Redis it may be later
my @bad = grep { $_ < 50 || $_ % 60 > 0 && $_ % 60 < 50 }
          map { $_->header('Retry-After') } @refused;
is("@bad", '', 'Retry-After');

problem_is(get('/b/' . task(), -port => $port + 1), 503, 'budget',
           'the problem', 'Retry-After' => qr/^(5\d|60)$/);
main::second_stop();


=== the cloud's 429 pauses all nodes
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_budget rate=10r/s burst=10 shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
get('/b/' . task());
get('/b/' . task(), -port => $port + 1);

my $busy = task();
cloud->fault($busy, { http => 429, retry_after => 5, times => 1 });
problem_is(get("/b/$busy"), 503, 'cloud-busy', 'of the first',
           'Retry-After' => 5);
until_true { grep { /:pause$/ } main::keys_of_budget() };

my @ids = main::ids(2);
my ($asked, $knows) = map { get("/b/$_", -port => $port + 1) } @ids;

problem_is($asked, 503, 'budget', 'the second is told when it asks',
           'Retry-After' => qr/^[1-5]$/);
problem_is($knows, 503, 'cloud-busy', 'then it knows',
           'Retry-After' => qr/^[1-5]$/);
is(scalar(grep { fetches($_) } @ids), 0, 'no call was made');

my @after = map { my $to = $_; until_true(sub {
                      get("/b/$ids[0]", -port => $to)->{status} == 200 }) }
                $port + 1, $port;
is(scalar(grep { $_ } @after), 2, 'it is over for both');
main::second_stop();


=== concurrency over two nodes
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 14s;
                binarize_budget concurrency=2 shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
get('/b/' . task());
get('/b/' . task(), -port => $port + 1);
cloud->post('reset');

my @answers = map { $_->answer() }
              main::both('/b/', 0, main::ids(40, delay_ms => 20));
is(main::statuses(@answers), '200:40', 'all are served');
is(cloud->calls()->{max_in_air}, 2, 'two at once');

# before what is held ends by itself
until_true(sub { !main::keys_of_budget() }, 10);
is(join(' ', main::keys_of_budget()), '', 'nothing is held');

main::second_stop();


=== a token that is renewed while a turn is asked for
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 20s;
                binarize_budget concurrency=2 shared; }"
--- perl
nginx_stop();
$::redis->cmd('FLUSHALL');
cloud->post('reset');
cloud->fault('token', { expires_in => 5, lives => 3600, times => 1 });
nginx_start();

until_true(sub {
    sleep(0.05);
    get('/b/' . task());
    cloud->calls()->{token}{calls} == 2;
});
is(cloud->calls()->{token}{calls}, 2, 'a new token');

until_true(sub { get('/b/' . task())->{status} == 200 });
cloud->post('reset');

my @ids = main::ids(2, delay_ms => 3000);
my @answers = map { $_->answer() } map { begin("/b/$_") } @ids;
is(main::statuses(@answers), '200:2', 'both are served');
is(cloud->calls()->{max_in_air}, 2, 'at once');


=== an answer of Redis that is lost
--- http_config eval: $::http
--- config eval
"location /b/ {
    binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://127.0.0.1:$::lossy timeout=10s;
    binarize_cache off;
    binarize_budget concurrency=1 shared;
}"
--- perl
tolerate(qr/redis/);
$::redis->cmd('FLUSHALL');

# a worker that asks again, and no other
my ($other) = nginx_workers();
freeze($other);
get('/b/' . task());

file_write($::losing, '');
answer_is(get('/b/' . task()), [200], 'served by the zone');
ok(!-e $::losing, 'the answer of Redis was lost');

my @statuses;
until_true(sub {
    push @statuses, get('/b/' . task())->{status};
    error_log() =~ /binarize_budget is kept in redis again/;
});
is(scalar(grep { $_ != 200 } @statuses), 0, 'nothing is held');
kill('CONT', $other);


=== what a killed node held is given back
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 25s;
                binarize_budget concurrency=1 shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
get('/b/' . task());
get('/b/' . task(), -port => $port + 1);

my $id = task(hang => 'head', times => 1);
my $held = begin("/b/$id", -port => $port + 1);
until_true(sub { fetches($id) });

my $waiting = begin('/b/' . task());
ok(!$waiting->has_answer(0.5), 'it waits');

my $killed = time();
main::second_stop('KILL');

answer_is($waiting->answer(), [200], 'it is served');
cmp_ok(time() - $killed, '<', 20 + lag(), 'after the lease');


=== a unit that is held for long is confirmed
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 2s;
                binarize_budget concurrency=1 shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
get('/b/' . task());
get('/b/' . task(), -port => $port + 1);

my $id = task(delay_ms => 19000);
my $held = begin("/b/$id");
until_true(sub { fetches($id) });
sleep(16.5);
problem_is(get('/b/' . task(), -port => $port + 1, Prefer => 'wait=0'), 503,
           'budget', 'still held');
answer_is($held->answer(), [200], 'the long one');
answer_is(get('/b/' . task(), -port => $port + 1), [200], 'then it is free');
main::second_stop();


=== a quota outlives nginx
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 1s;
                binarize_budget quota=6/day shared; }"
--- perl
$::redis->cmd('FLUSHALL');
main::second_start();
is(main::statuses(map { get('/b/' . task()) } 1 .. 3), '200:3', 'three here');

nginx_restart();
main::second_stop('KILL');
main::second_start();

is(main::statuses(map { get('/b/' . task()) } 1 .. 2), '200:2', 'two more');
is(main::statuses(map { get('/b/' . task(), -port => $port + 1) } 1 .. 3),
   '200:1 503:2', 'one there');

my $answer = get('/b/' . task());
my $left = 86400 - time() % 86400;
problem_is($answer, 503, 'budget', 'the quota is spent');
cmp_ok(abs($answer->header('Retry-After') - $left), '<=', 5 + lag(),
       'until midnight');

my ($key) = main::keys_of_budget();
like($key, qr/^\{binarize:budget:[0-9a-f]{64}\}:quota$/, 'the key');
is($::redis->hash($key)->{spent}, 6, 'what was spent');
cmp_ok(abs($::redis->cmd('TTL', $key) - $left - 86400), '<=', 5 + lag(),
       'expires a day after the period');

# it may be raised by hand
$::redis->cmd('HSET', $key, 'spent', 5);
sleep(1.1);
is(main::statuses(map { get('/b/' . task()) } 1 .. 2), '200:1 503:1',
   'one was given back');
main::second_stop();


=== a call that was not made is not counted
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 8s;
                binarize_budget rate=15r/m quota=3/day shared; }"
--- perl
$::redis->cmd('FLUSHALL');
get('/b/' . task());

my $client = begin('/b/' . (my $id = task()));
sleep(0.3);
$client->leave();
sleep(4.2);

my ($key) = grep { /quota/ } main::keys_of_budget();
is(fetches($id), 0, 'the client left, no call');
is($::redis->hash($key)->{spent}, 1, 'one is counted');


=== who leaves while Redis is asked
--- http_config eval: $::http
--- config eval
"location /b/ {
    binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://127.0.0.1:$::slow timeout=30s;
    binarize_wait 30s;
    binarize_budget quota=9/day concurrency=2 shared;
}"
--- perl
$::redis->cmd('FLUSHALL');
answer_is(get('/b/' . task()), [200], 'a slow one');

my ($key) = grep { /quota/ } main::keys_of_budget();
my $client = begin('/b/' . (my $id = task()));

until_true(sub { $::redis->hash($key)->{spent} == 2 });
$client->leave();
ok(until_true(sub { $::redis->hash($key)->{spent} == 1 }),
   'the turn is given back');
until_true(sub { !grep { /held/ } main::keys_of_budget() }, 10);
is(join(' ', grep { /held/ } main::keys_of_budget()), '', 'and the unit');
is(fetches($id), 0, 'no call');


=== Redis away: rate and concurrency are the node's own
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 10s;
                binarize_budget rate=10r/s concurrency=3 shared; }"
--- perl
tolerate(qr/redis/);
$::redis->cmd('FLUSHALL');
get('/b/' . task());
$::redis->stop();
sleep(0.2);
cloud->post('reset');

my @answers = map { $_->answer() }
              map { begin("/b/$_") } main::ids(30);
is(main::statuses(@answers), '200:30', 'all are served');

my @seen = main::seen();
cmp_ok(main::excess(10, 1, map { $_->[0] } @seen), '<=', 0,
       'the rate is kept');
like(error_log(), qr/\[warn\].*binarize_budget|redis/, 'it is logged');

$::redis->start();
my $back = until_true(sub {
    get('/b/' . task())->{status} == 200 && main::keys_of_budget();
});
ok($back, 'then Redis keeps it again');


=== Redis hangs
--- http_config eval: $::http
--- config eval
"location /b/ { $::hasty binarize_wait 10s;
                binarize_budget rate=10r/s concurrency=3 shared; }"
--- perl
$::redis->cmd('FLUSHALL');
get('/b/' . task());
$::redis->freeze();
cloud->post('reset');

my @answers = map { $_->answer() } map { begin("/b/$_") } main::ids(30);
$::redis->thaw();
is(main::statuses(@answers), '200:30', 'all are served');

my @seen = main::seen();
cmp_ok(main::excess(10, 1, map { $_->[0] } @seen), '<=', 0,
       'the rate is kept');


=== Redis away: a quota answers 503
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_wait 8s;
                binarize_budget quota=100/day shared; }"
--- perl
$::redis->cmd('FLUSHALL');
answer_is(get('/b/' . task()), [200], 'with Redis');
$::redis->stop();
sleep(0.2);

for (1 .. 3) {
    my $answer = get('/b/' . task());
    problem_is($answer, 503, 'budget', 'without', 'Retry-After' => 5);
    cmp_ok($answer->{seconds}, '<', 1.5 + lag(), 'at once');
}

$::redis->start();
my $back = until_true(sub { get('/b/' . task())->{status} == 200 });
ok($back, 'with Redis again');


=== a Redis that refuses the script
--- http_config eval: $::http
--- config eval
"location /b/ { $::pass binarize_budget rate=100r/s burst=10 shared; }"
--- perl
$::redis->cmd('ACL', 'SETUSER', 'default', '-time');
$::redis->cmd('FLUSHALL');
is(main::statuses(map { get('/b/' . task()) } 1 .. 5), '200:5', 'served');
my @told = error_log() =~ /(binarize_budget: redis can not keep it)/g;
cmp_ok(scalar(@told), '<=', 2, 'told once a worker');
cmp_ok(scalar(@told), '>=', 1, 'told');
$::redis->cmd('ACL', 'SETUSER', 'default', '+time');
