use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl;
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

our $pipe;
mkfifo("$dir/pipe", 0666) or die "mkfifo: $!\n";
chmod(0666, "$dir/pipe");
sysopen($pipe, "$dir/pipe", O_RDWR | O_NONBLOCK) or die "pipe: $!\n";

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:8m;
    binarize_zone one:8m;
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
my $node = node();
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
