use FindBin;
use lib "$FindBin::Bin/lib";

# Under load for a long time, what t/orders.t does once.  SOAK_SECONDS: for
# how long each (3).

use Time::HiRes qw(sleep time);

use Binarize;

worker_connections(8192);

# else the log of a long run fills disk and memory
log_level('warn');

our $seconds = $ENV{SOAK_SECONDS} || 3;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:32m;
    binarize_zone one:8m;
    binarize_cache main;
    binarize_poll 100ms max=200ms;
CONFIG

our $config = <<'CONFIG';
    location /nodes/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=9s connect_timeout=9s;
        binarize_wait 60s;
    }
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 60s;
    }
    location /short/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 150ms;
    }
    location /one/ {
        binarize_cache one;
        binarize_budget concurrency=1;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 150ms;
    }
    location = /page.shtml {
        ssi on;
        ssi_types *;
        postpone_output 0;
        default_type text/html;
        return 200 'page<!--# include virtual="$arg_of" -->|<!--# include virtual="$arg_of" -->|end';
    }
    location = /json {
        binarize_status json;
    }
CONFIG

run_file();

__DATA__

=== two nodes ask for the same ids, one of them is busy
--- http_config eval: $::http
--- config eval: $::config
--- timeout: 1200
--- perl
my $node = node();
my @workers = (nginx_workers(), $node->workers());
my @op = (op => 'deskewimage');
my $hit = task(size => 100_000);
my $until = time() + $main::seconds;
my ($nids, @wrong) = 0;

get("/b/$hit", -port => $node->{port});

my $busy = crowd(sub { time() < $until ? { uri => "/b/$hit" } : undef },
                 -port => $node->{port}, -at_once => 4,
                 -seconds => $main::seconds);

while (time() < $until) {
    my @ids = map {
        task(@op, size => 1000, delay_ms => 100 + int(rand(1500)))
    } 1 .. 800;
    my @crowds = map {
        crowd([map { { uri => "/nodes/$_" } } @ids], -port => $_,
              -patience => 60)
    } $port, $node->{port};

    my $sizes = tally(size => map { $_->answers() } @crowds);

    push @wrong, join(', ', %$sizes) if ($sizes->{1000} // 0) != 2 * @ids;

    my @twice = grep { fetches($_, undef, @op) != 1 } @ids;

    push @wrong, "@twice" if @twice;
    $nids += @ids;
}

my @hits = $busy->answers();

note("$nids ids, " . @hits . " hits");
is("@wrong", '', 'each is answered, and called for once');
cmp_ok(scalar(@hits), '>', 10, 'there was other load');
is(scalar(grep { $_->{status} && $_->{size} != 100_000 && $_->{fate} eq 'end' }
          @hits), 0, 'which was served');
is(join(' ', nginx_workers(), $node->workers()), "@workers",
   'no worker has ended');
zone_is_clean('main');


=== clients of pages that leave when their time is over
--- http_config eval: $::http
--- config eval: $::config
--- timeout: 1200
--- perl
my @workers = nginx_workers();
my $until = time() + $main::seconds;
my $nclients = 0;

while (time() < $until) {
    my @ids = map { task(status => 'Pending') } 1 .. 5;
    my $first = begin('/one/' . task(size => 3000, delay_ms => 300));
    my @clients = map {
        my $at = rand() < 0.5 ? 'short' : 'one';
        begin("/page.shtml?of=/$at/$ids[rand(@ids)]");
    } 1 .. 40;

    # before the deadlines, at them, and after
    sleep(0.1 + rand(0.08));

    for (@clients) {
        rand() < 0.8 ? $_->reset() : $_->leave();
        sleep(0.001) if rand() < 0.5;
    }

    $first->leave();
    $nclients += @clients;
}

note("$nclients clients");
is("@{[nginx_workers()]}", "@workers", 'no worker has ended');
until_true { !zone_status('one')->{flights}{fetching} };
zone_is_clean($_) for 'main', 'one';
