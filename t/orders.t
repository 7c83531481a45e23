use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl;
use JSON::PP;
use POSIX qw(mkfifo);
use Time::HiRes qw(sleep time);

use Binarize;

# Orders of events that the journey of a flight meets rarely.  A worker that
# is busy for a while finds all that has come meanwhile in one turn of its
# event loop: it is kept busy by a log, a pipe that nobody reads.

worker_connections(4096);

# of one that is killed
tolerate(qr{exited on signal 9$});

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our ($node, $pipe);
mkfifo("$dir/pipe", 0666) or die "mkfifo: $!\n";
chmod(0666, "$dir/pipe");
sysopen($pipe, "$dir/pipe", O_RDWR | O_NONBLOCK) or die "pipe: $!\n";

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:8m;
    binarize_zone one:8m;
    binarize_zone full:1m;
    binarize_zone turn:8m;
    binarize_cache main;
    binarize_wait 20s;
    binarize_poll 200ms max=800ms;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /nodes/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=1s connect_timeout=1s;
    }
    location /one/ {
        binarize_cache one;
        binarize_budget concurrency=1;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 700ms;
    }
    location /turn/ {
        binarize_cache turn;
        binarize_budget rate=2r/s quota=7/day;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 60s;
    }
    location /full/ {
        binarize_cache full;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_poll 500ms max=4s;
        binarize_wait 9s;
    }
    location /short/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 700ms;
    }
    location = /page.shtml {
        ssi on;
        ssi_types *;
        postpone_output 0;
        default_type text/html;
        return 200 'page<!--# include virtual="$arg_of" -->|<!--# include virtual="$arg_of" -->|end';
    }
    location = /busy {
        access_log $TEST_NGINX_DIR/pipe;
        return 200 "busy\n";
    }
    location = /json {
        binarize_status json;
    }
CONFIG

# How many flights of a gateway are in that state.
sub flights {
    my ($state, @port) = @_;
    my ($zone) = grep { $_->{name} eq 'main' }
                      @{ get('/json', @port)->json()->{zones} // [] };
    return $zone->{flights}{$state} // 0;
}

# The worker that takes the request is busy until at_ease(): it has answered,
# and writes its log.
sub busy {
    1 while syswrite($pipe, 'x' x 4096);
    return begin('/busy', @_)->has_answer($patience);
}

sub at_ease {
    1 while sysread($pipe, my $bytes, 65536);
}

run_file();

__DATA__

=== another node's landing, in the turn in which the time to look has come
--- http_config eval: $::http
--- config eval: $::config
--- processes: 1
--- perl
my $node = $main::node = node();
my @op = (op => 'deskewimage');
my @ids = map { task(@op, size => 3000, delay_ms => 1500) } 1 .. 50;
my @uris = map { { uri => "/nodes/$_" } } @ids;

my $here = crowd(\@uris);
until_true { main::flights('fetching') == @ids };

my $there = crowd(\@uris, -port => $node->{port});
until_true { main::flights('remote', -port => $node->{port}) == @ids };

my ($worker) = $node->workers();

ok(main::busy(-port => $node->{port}), 'one is busy');
is_deeply(tally(size => $here->answers()), { 3000 => 50 }, 'the other lands');
sleep(1.2);
main::at_ease();

is_deeply(tally(size => $there->answers()), { 3000 => 50 },
          'the busy one has been told, and looks');
is_deeply([grep { fetches($_, undef, @op) != 1 } @ids], [], 'one call an id');
is(($node->workers())[0], $worker, 'by the same worker');


=== a late leader lands with the result that another node has
--- http_config eval: $::http
--- config eval: $::config
--- processes: 1
--- perl
my @op = (op => 'deskewimage');
my @ids = map {
    my $id = task(@op, size => 3000);
    cloud->fault($id, { @op, %$_, times => 1, delay_ms => 1500 });
    $id;
} { status => 'Pending' }, { http => 500 }, { http => 503 },
  { status => 'NotExist' }, { payload => 'notpng' };

my @uris = map { { uri => "/nodes/$_", headers => ['Prefer: wait=0'] } } @ids;
my ($worker) = nginx_workers();

my $here = crowd(\@uris);
until_true { main::flights('fetching') == @ids };
until_true { !grep { !fetches($_, undef, @op) } @ids };
freeze($worker);

my $there = crowd(\@uris, -port => $main::node->{port});
is_deeply(tally(size => $there->answers()), { 3000 => scalar(@ids) },
          'the other node fetches them');

# they are in Redis
until_true {
    !grep { !$main::redis->cmd('EXISTS', "binarize:deskewimage:$_") } @ids
};
kill('CONT', $worker);

is_deeply([map { $_->{status} } $here->answers()], [(200) x @ids],
          'the late one has them, too');
is_deeply([map { get("/nodes/$_")->source } @ids], [('l1') x @ids],
          'and keeps them');
is_deeply([map { fetches($_, undef, @op) } @ids], [(2) x @ids],
          'no other call');
is(scalar(grep { $main::redis->cmd('EXISTS',
                                   "{binarize:deskewimage:$_}:state") } @ids),
   0, 'and nobody is told otherwise');


=== a wake-up, in the turn in which the time to look has come
--- http_config eval: $::http
--- config eval: $::config
--- perl
my ($one, $other) = nginx_workers();
my @ids = map { task(size => 3000, delay_ms => 1500) } 1 .. 20;
my @last = map { task(size => 3000, delay_ms => 1500, hang => 'start',
                      times => 1) } 1 .. 20;

freeze($other);
my $lead = crowd([map { { uri => "/b/$_" } } @ids]);
my $lost = crowd([map { { uri => "/b/$_" } } @last]);
until_true { main::flights('fetching') == 40 };
until_true { !grep { !fetches($_) } @ids, @last };

freeze($one);
kill('CONT', $other);
my $follow = crowd([map { { uri => "/b/$_" } } @ids, @last]);
until_true { main::flights('following') == 40 };

ok(main::busy(), 'one is busy');
kill('CONT', $one);
is_deeply(tally(size => $lead->answers()), { 3000 => 20 }, 'some land');
my $followed = zone_status('main')->{flights_started}{follower};
cmp_ok($followed, '>=', 40, 'others are followed');
kill('KILL', $one);
sleep(0.7);
main::at_ease();

is_deeply(tally(size => $follow->answers()), { 3000 => 40 },
          'the worker that followed has them all');
is_deeply([map { fetches($_) } @ids], [(1) x 20], 'what has landed is found');
is_deeply([map { fetches($_) } @last], [(2) x 20], 'what was lost is led once');
is(zone_status('main')->{flights_started}{follower}, $followed,
   'nobody follows himself');
$lost->stop();


=== the client is gone when its time is over
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @workers = nginx_workers();
my $id = task(status => 'Pending');

my @clients = map { begin("/page.shtml?of=/short/$id") } 1 .. 20;
until_true { main::flights('sleeping') };
sleep(0.1);
$_->reset() for @clients;

ok(until_true(sub { main::flights('sleeping') == 0 }), 'the flight has ended');
is("@{[nginx_workers()]}", "@workers", 'and no worker with it');


=== the client is gone when the turn has not come in time
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @workers = nginx_workers();
my $first = begin('/one/' . task(size => 3000, delay_ms => 2500));
my $id = task(size => 3000);

until_true { zone_status('one')->{flights}{fetching} };
my @clients = map { begin("/page.shtml?of=/one/$id") } 1 .. 20;
until_true { zone_status('one')->{flights}{budget} };
sleep(0.1);
$_->reset() for @clients;

ok(until_true(sub { !zone_status('one')->{flights}{budget} }),
   'the flight has ended');
is(length($first->answer()->{body}), 3000, 'the call in the air goes on');
is(fetches($id), 0, 'nobody called for them');
is("@{[nginx_workers()]}", "@workers", 'no worker has ended');


=== a late leader lands with the result that is there
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @late = ({ status => 'Pending' }, { http => 500 }, { http => 503 },
            { status => 'NotExist' }, { payload => 'notpng' },
            { close => 'body', framing => 'length' });
my @ids = map {
    my $id = task(size => 3000);
    cloud->fault($id, { %$_, times => 1, delay_ms => 1500 });
    $id;
} @late;

my @uris = map { { uri => "/b/$_", headers => ['Prefer: wait=0'] } } @ids;
my ($one, $other) = nginx_workers();

# the one stands still while its calls end, until the other has taken over
freeze($other);
my $first = crowd(\@uris);
until_true { main::flights('fetching') == @ids };
until_true { !grep { !fetches($_) } @ids };
freeze($one);
kill('CONT', $other);

my $second = crowd(\@uris);
is_deeply(tally(size => $second->answers()), { 3000 => scalar(@ids) },
          'the other one fetches them');
kill('CONT', $one);

is_deeply([map { $_->{status} } $first->answers()], [(200) x @ids],
          'the late one has them, too');
is_deeply([map { get("/b/$_")->source } @ids], [('l1') x @ids], 'they stay');
is_deeply([map { fetches($_) } @ids], [(2) x @ids], 'no other call');


=== the interval of polls does not start anew
--- http_config eval: $::http
--- config eval: $::config
--- perl
# a zone that has no room to remember what is pending
for (1 .. 3) {
    my @full = map { task(size => 8000) } 1 .. 100;
    crowd([map { { uri => "/full/$_" } } @full])->answers();
}

my @ids = map { task(status => 'Pending', warnings => 'w' x 100) } 1 .. 400;

# nor for claims of all of them at once: those beyond are told so
my @crowds;

while (my @some = @ids[40 * @crowds .. 40 * @crowds + 39]) {
    push @crowds, crowd([map { { uri => "/full/$_" } } @some]);
    until_true { 40 == zone_status('full')->{waiting_requests}
                       - 40 * $#crowds };
    last if 40 * @crowds == @ids;
}

# and that is asked for other things all the time
my @more = map { task(size => 8000) } 1 .. 200;
get("/full/$_") for @more;

my $status = tally(status => map { $_->answers() } @crowds);
cmp_ok($status->{202}, '>', 200, 'most of them wait');
is($status->{202} + ($status->{503} // 0), 400, 'the others were told');

my %ms;
push @{ $ms{$_->[1]} }, $_->[0]
    for @{ decode_json(cloud->control('GET', 'times')) };
@ids = grep { $ms{$_} } @ids;

# so many calls take so long at least, however slow the machine is
my @hurried = grep {
    my @calls = @{ $ms{$_} };
    my ($due, $pace) = (0, 500);

    for (2 .. @calls) {
        $due += $pace;
        $pace = $pace < 4000 ? 2 * $pace : $pace;
    }

    $calls[-1] - $calls[0] < 0.95 * $due;
} @ids;

is(scalar(@hurried), 0, 'it doubles')
    or diag(scalar(@{ $ms{$hurried[0]} }) . ' calls');
is(scalar(grep { @{ $ms{$_} } < 2 } @ids), 0, 'all are polled');


=== a turn that comes when the result is there is given back
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $before = task(size => 3000);
my @ids = map { task(size => 3000) } 1 .. 3;
my @uris = map { { uri => "/turn/$_" } } @ids;
my ($one, $other) = nginx_workers();

# the one leads them, and stands still while it waits for its turns
freeze($other);
get("/turn/$before");
my $first = crowd(\@uris);
until_true { zone_status('turn')->{flights}{budget} == @ids };
freeze($one);
kill('CONT', $other);

my $second = crowd(\@uris);
is_deeply(tally(size => $second->answers()), { 3000 => scalar(@ids) },
          'the other one has taken over');
kill('CONT', $one);

is_deeply(tally(size => $first->answers()), { 3000 => scalar(@ids) },
          'the one finds them');
is_deeply([map { fetches($_) } @ids], [(1) x @ids], 'one call each');
is_deeply([map { get('/turn/' . task(size => 3000))->{status} } 1 .. 4],
          [200, 200, 200, 503], 'and no more is spent');
