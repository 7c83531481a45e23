use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(sleep time);

use Binarize;

worker_connections(4096);
log_level('info');

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

# may do everything but publish and subscribe
$redis->cmd('ACL', 'SETUSER', 'mute', 'on', '>pass', '~*', '+@all',
            'resetchannels');

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:16m;
    binarize_redis redis://$TEST_NGINX_REDIS timeout=3s connect_timeout=3s;
    binarize_wait 20s;
    binarize_poll 200ms max=800ms;
    binarize_negative_valid 8s;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /impatient/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 0;
        binarize_poll 2s;
    }
    location /mute/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://mute:pass@$TEST_NGINX_REDIS timeout=3s;
    }
CONFIG

our $node;

# The second node; it needs the configuration of the first one.
sub other {
    return $node //= node();
}

# The same crowd on both nodes; returns the answers of the first one's and of
# the other one's.
sub crowds {
    my ($n, $uri) = @_;
    my @crowds = crowds_begin($n, $uri);
    return map { [$_->answers()] } @crowds;
}

sub crowds_begin {
    my ($n, $uri) = @_;
    return map {
        crowd([map { { uri => $uri } } 1 .. $n], -port => $_)
    } $port, other()->{port};
}

# Each worker of both finds what the other node has put into Redis.
sub together {
    my %workers = ($port => [nginx_workers()],
                   other()->{port} => [other()->workers()]);

    for my $to (keys %workers) {
        my ($from) = grep { $_ != $to } keys %workers;

        for my $worker (@{ $workers{$to} }) {
            my @rest = grep { $_ != $worker } @{ $workers{$to} };
            my $id = task();

            get("/b/$id", -port => $from);
            freeze($_) for @rest;
            my $source = get("/b/$id", -port => $to)->source;
            kill('CONT', @rest);

            return 0 if $source ne 'redis';
        }
    }

    return 1;
}

sub leases {
    return grep { /:lease$/ } $redis->keys();
}

sub latest {
    my ($latest) = sort { $b <=> $a } map { $_->{end} } @_;
    return $latest;
}

sub gaps {
    my ($id, @op) = @_;
    my @ms = @{ cloud->calls($id, @op)->{fetches_ms} };
    return map { $ms[$_] - $ms[$_ - 1] } 1 .. $#ms;
}

run_file();

__DATA__

=== a crowd on both nodes
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 30_000, delay_ms => 500);
my $sha = Digest::SHA::sha256_hex(cloud->result($id));
my ($one, $two) = main::crowds(300, "/b/$id");

is_deeply(tally(sha => @$one, @$two), { $sha => 600 }, 'all are answered');
is(fetches($id), 1, 'one cloud call');
is_deeply(tally(source => @$one, @$two), { stored => 1, collapsed => 599 },
          'one of them flew');

cmp_ok(main::latest(@$one, @$two) - cloud->calls($id)->{fetches_ms}[0] / 1000,
       '<', 1.2 + lag(), 'they landed together');

is(get("/b/$id")->source, 'l1', 'the first one keeps it');
is(get("/b/$id", -port => main::other()->{port})->source, 'l1', 'the other, too');
ok(until_true(sub { !main::leases() }), 'no lease is left');

# what one has got the other finds in Redis
my $known = task();

get("/b/$known");
like(get("/b/$known", -port => main::other()->{port})->source,
     qr/^(redis|collapsed)$/, 'the other node need not ask');
is(fetches($known), 1, 'one cloud call');


=== pending: they share the pace
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 3000, pending => 3);
my ($one, $two) = main::crowds(50, "/b/$id");

is_deeply(tally(size => @$one, @$two), { 3000 => 100 }, 'all are answered');
is(fetches($id), 4, 'four cloud calls');

my @gaps = main::gaps($id);

cmp_ok($gaps[0], '>=', 195, 'the first poll after 200 ms');
cmp_ok($gaps[1], '>=', 395, 'the second one after 400');
cmp_ok($gaps[2], '>=', 795, 'the third one after 800');

# nobody waits: the interval is the same for all
my $slow = task(pending => 100);

for (1 .. 2) {
    ($one, $two) = main::crowds(20, "/impatient/$slow");
    is_deeply(tally(status => @$one, @$two), { 202 => 40 }, 'pending');
}

is(fetches($slow), 1, 'one cloud call in a poll interval');


=== what is not there is shared
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();

answer_is(get("/b/$id"), [404, 'Cache-Control' => 'public, max-age=8'],
          'missing');
sleep(2.1);
answer_is(get("/b/$id", -port => main::other()->{port}),
          [404, 'Cache-Control' => qr/^public, max-age=[2-6]$/,
           'Cache-Status' => qr/^binarize; hit; ttl=[2-6]; detail=negative$/],
          'the other one knows');
is(fetches($id), 1, 'one cloud call');

my $error = task(status => 'Error', messages => 'spoilt');

for ($port, main::other()->{port}) {
    answer_is(get("/b/$error.json", -port => $_),
              [200, body => qr/"messages":\["spoilt"\]/], 'an error');
}

is(fetches($error), 1, 'one cloud call');

# a cloud that has failed is asked again, by each node
my $failure = task();

cloud->fault($failure, { http => 500, times => 2 });

for ($port, main::other()->{port}) {
    problem_is(get("/b/$failure", -port => $_), 502, 'cloud-status',
               'a failure');
}

is(fetches($failure), 2, 'each asked');


=== a lease lives as long as the flight
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(delay_ms => 7000);
my ($one, $two) = main::crowds(10, "/b/$id");

is_deeply(tally(status => @$one, @$two), { 200 => 20 }, 'all are answered');
is(fetches($id), 1, 'one cloud call, though it took seven seconds');


=== the node that flies is killed
--- http_config eval: $::http
--- config eval: $::config
--- perl
tolerate(qr/exited on signal 9/);

my $id = task(size => 4000);

# the first call never ends
cloud->fault($id, { hang => 'start', times => 1 });

my $lone = begin("/b/$id", -port => main::other()->{port});

until_true { fetches($id) };

my $crowd = crowd(50, "/b/$id");

sleep(1);
is(fetches($id), 1, 'the first node waits for the other one');

my $killed_at = time();

main::other()->stop('KILL');

my @answers = $crowd->answers();

is_deeply(tally(size => @answers), { 4000 => 50 }, 'all are answered');
is(fetches($id), 2, 'one more cloud call');
cmp_ok(main::latest(@answers) - $killed_at, '<', 6.5 + lag(),
       'when the lease had ended');

main::other()->start();
is(get("/b/$id", -port => main::other()->{port})->source, 'redis',
   'the other one is back');


=== the messages are lost
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $lose (0, 1) {
    my $id = task(size => 4000, delay_ms => 1200);
    my ($one, $two) = main::crowds_begin(50, "/b/$id");

    until_true { fetches($id) };
    sleep(0.8);

    # until the flight has landed nobody can subscribe
    my $until = cloud->calls($id)->{fetches_ms}[0] / 1000 + 1.3;

    while ($lose && time() < $until) {
        $main::redis->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
        sleep(0.01);
    }

    my @answers = map { $_->answers() } $one, $two;

    is_deeply(tally(size => @answers), { 4000 => 100 }, 'all are answered');
    is(fetches($id), 1, 'one cloud call');
    cmp_ok(main::latest(@answers) - $until, '<', ($lose ? 1.2 : 0.3) + lag(),
           $lose ? 'they look by themselves' : 'they are told');
}


=== nobody may publish
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(op => 'deskewimage', size => 4000, delay_ms => 500);
my ($one, $two) = main::crowds(50, "/mute/$id");

is_deeply(tally(size => @$one, @$two), { 4000 => 100 }, 'all are answered');
is(fetches($id, undef, op => 'deskewimage'), 1, 'one cloud call');
ok(until_true(sub { !main::leases() }), 'no lease is left');

my @said = error_log() =~ /^(.*\[(?:warn|error)\].*NOPERM.*)$/mg;
ok(@said, 'the log tells why')
    or diag(error_log());
cmp_ok(scalar(@said), '<=', 4, 'once per change of state')
    or diag(map { "$_\n" } splice(@said, 0, 10));


=== Redis goes while they fly
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $how ('freeze', 'stop') {
    ok(until_true(\&main::together), 'both use Redis');

    my $id = task(size => 4000, delay_ms => 1500);
    my ($one, $two) = main::crowds_begin(50, "/b/$id");

    until_true { fetches($id) };
    sleep(0.3);
    is(fetches($id), 1, 'they fly together');

    my $at = time();

    $main::redis->$how();

    my @answers = map { $_->answers() } $one, $two;

    is_deeply(tally(size => @answers), { 4000 => 100 },
              "all are answered, $how");
    cmp_ok(fetches($id), '<=', 2, 'each node stands alone');
    cmp_ok(main::latest(@answers) - $at, '<', 12 + lag(), 'in time');

    $id = task(size => 5000, pending => 2);
    ($one, $two) = main::crowds(50, "/b/$id");

    is_deeply(tally(size => @$one, @$two), { 5000 => 100 }, 'pending, too');
    cmp_ok(fetches($id), '<=', 6, 'each node stands alone');

    $how eq 'freeze' ? $main::redis->thaw() : $main::redis->start();
}

ok(until_true(\&main::together), 'Redis is used again');
