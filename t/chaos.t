use FindBin;
use lib "$FindBin::Bin/lib";

# Workers are killed and nginx reloads, under load.  CHAOS_SECONDS: for how
# long (12); CHAOS_SEED: of what happens (any).

use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(sleep time);

use Binarize;

worker_connections(4096);
log_level('info');

# a worker may die with the mutex
tolerate(qr/exited on signal 9/, qr/was locked by/);

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $seconds = $ENV{CHAOS_SECONDS} || 12;
our $seed = $ENV{CHAOS_SEED} // int(rand(1_000_000));

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:10m;
    binarize_max_size 4m;
    binarize_wait 10s;
    binarize_poll 50ms max=200ms;
    binarize_negative_valid 200ms max=200ms;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /off/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://$TEST_NGINX_REDIS;
    }
    location = /json { binarize_status json; }
CONFIG

# The ids: uri, and what a client has to get from it.
our (@ids, %sha, %size);

sub prepare_ids {
    my @sizes = (700, 5000, 30_000, 100_000, 300_000, 1_500_000);

    for my $n (1 .. 150) {
        my $op = $n % 3 ? 'binarizeimage' : 'deskewimage';
        my $size = $sizes[rand(@sizes)] + int(rand(500));
        my $id = task(op => $op, size => $size,
                      pending => int(rand(3)), delay_ms => int(rand(30)));
        my $sha = sha256_hex(cloud->result($id, $op));

        for my $place ($n % 3 ? ('/b/', '/off/') : '/redis/') {
            push @ids, "$place$id";
            $sha{"$place$id"} = $sha;
            $size{"$place$id"} = $size;
        }
    }
}

# Endless clients; some like few of the ids, read slowly, or leave.
sub client {
    my $uri = rand() < 0.5 ? $ids[rand(10)] : $ids[rand(@ids)];
    my $client = { uri => $uri, tag => $uri };

    $client->{leave} = int(rand(300)) if rand() < 0.1;
    $client->{rate} = 200_000 + int(rand(2_000_000)) if rand() < 0.1;

    return $client;
}

sub torment {
    my ($until) = @_;
    my ($nkilled, $nreloads) = (0, 0);

    while (time() < $until) {
        sleep(0.05 + rand(0.5));

        # also those that are shutting down
        my @workers = nginx_workers();

        if (rand() < 0.75) {
            $nkilled += kill('KILL', $workers[rand(@workers)]) if @workers;

        } elsif (@workers < 8) {
            nginx_signal('HUP');
            $nreloads++;
        }
    }

    return ($nkilled, $nreloads);
}

run_file();

__DATA__

=== killed and reloaded under load
--- http_config eval: $::http
--- config eval: $::config
--- timeout: 120
--- perl
diag("CHAOS_SEED=$main::seed") if $ENV{CHAOS_SECONDS};
srand($main::seed);
main::prepare_ids();

# the old workers of a reload wait for their slow clients
my $crowd = crowd(\&main::client, -at_once => 40, -seconds => $main::seconds);
my ($nkilled, $nreloads) = main::torment(time() + $main::seconds);
my @answers = $crowd->answers();

note("$nkilled workers killed, $nreloads reloads, " . scalar(@answers)
     . " clients");

cmp_ok(scalar(@answers), '>', 10 * $nkilled, 'there was load');
cmp_ok($nkilled, '>', $main::seconds / 2, 'there was murder');

my (@wrong, %n);

for (@answers) {
    my $uri = $_->{tag};

    $n{"$_->{fate} $_->{status}"}++;

    # a worker that dies cuts what it sends
    $n{cut}++ if $_->{fate} eq 'end' && $_->{status} == 200 && $_->{wrong};

    push @wrong, "$uri: $_->{size} bytes $_->{sha}"
        if $_->{status} == 200 && $_->{fate} eq 'end' && !$_->{wrong}
           && $_->{sha} ne $main::sha{$uri};

    # the tasks all end well: there is nothing else to say
    push @wrong, "$uri: $_->{status}, $_->{fate}"
        if $_->{status} && $_->{status} != 200;

    push @wrong, "$uri: late" if $_->{fate} eq 'late';
}

note(join ', ', map { "$_: $n{$_}" } sort keys %n);
is(scalar(@wrong), 0, 'no wrong byte, nobody waits for ever')
    or diag(map { "$_\n" } splice(@wrong, 0, 20));

cmp_ok($n{'end 200'}, '>', @answers / 2, 'most are served');
cmp_ok($n{cut} // 0, '<', 40 * $nkilled, 'few are cut');

# no id is stuck
my $at = time();
@answers = crowd([map { { uri => $_, tag => $_ } } @main::ids])->answers();

is_deeply(tally(sub { $_[0]{status} == 200 && !$_[0]{wrong}
                      && $_[0]{sha} eq $main::sha{$_[0]{tag}} }, @answers),
          { 1 => scalar(@main::ids) }, 'no id is stuck');
cmp_ok(time() - $at, '<', 5 + lag(), 'nor slow');

# the old workers have gone, and left nothing behind
zone_is_clean();

my $status = zone_status();
note("$status->{l1_recoveries} recoveries, $status->{l1_dropped} entries "
     . "dropped, $status->{flight_takeovers} takeovers");

# the zone still holds what it should
my $cycle = task(size => 50_000);

get("/b/$cycle");
is(get("/b/$cycle")->source, 'l1', 'it is still a cache');
