use FindBin;
use lib "$FindBin::Bin/lib";

use Time::HiRes qw(sleep time);

use Binarize;

log_level('info');

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
$ENV{TEST_NGINX_DEAD} = $port + 3;

# seconds a restart fits into
our $first = $valgrind ? 16 : 4;
$ENV{TEST_NGINX_FIRST} = "${first}s";

# a second pair of credentials
file_write('other', secret("0ther s3cret") . "\n");
cloud->put('credentials', { client_id => 'other' }, '0ther s3cret');

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:8m;
    binarize_max_size 1m;
    binarize_poll 100ms max=100ms;
    binarize_negative_valid 10s;
    binarize_read_timeout 1s;
    add_header X-Calls $binarize_cloud_calls always;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /short/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_negative_valid 300ms max=2s;
    }
    location /never/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_negative_valid 0;
    }
    location /dead/ {
        binarize_pass http://127.0.0.1:$TEST_NGINX_DEAD/v5.0/ocr/dead;
    }
    location /other/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_credentials client_id=other
                             client_secret_file=$TEST_NGINX_DIR/other;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/upscaleimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
        binarize_negative_valid $TEST_NGINX_FIRST;
    }
CONFIG

# What nobody wants to ask for twice: a name, and parameters of the task.
our @bad = (
    ['NotExist', 404, status => 'NotExist'],
    ['Error', 502, status => 'Error', messages => 'spoilt'],
    ['no result', 502, results => 'empty'],
    ['not Ok', 502, responseStatusCode => 'NoAnyResultData'],
    ['not a PNG', 502, payload => 'notpng'],
    ["another task's", 502, id => guid()],
    ['too large', 502, size => 1_100_000],
    ['not JSON', 502, text => 'invalid'],
);

sub gaps {
    my ($id) = @_;
    my @ms = @{ cloud->calls($id)->{fetches_ms} };
    return map { $ms[$_] - $ms[$_ - 1] } 1 .. $#ms;
}

# How long Redis remembers the key, ms: it is told behind the answer.
sub left {
    my ($key) = @_;
    my $left;

    until_true { ($left = $redis->cmd('PTTL', $key)) > 0 };

    return $left;
}

# Asks for all of the ids again and again, until the cloud was asked so often
# for each.
sub nag {
    my ($place, $n, @ids) = @_;

    until_true {
        my $turn = time() + 0.04;
        $_->answer() for map { begin("$place$_") } @ids;
        my $left = $turn - time();
        sleep($left) if $left > 0;

        !grep { fetches($_) < $n } @ids;
    };
}

run_file();

__DATA__

=== remembered, the longer the more often
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { my (undef, undef, %o) = @$_; task(%o) } @main::bad;

main::nag('/short/', 5, @ids);

my $lag = lag();

for my $i (0 .. $#ids) {
    my @gaps = main::gaps($ids[$i]);
    my @want = (300, 600, 1200, 2000);

    splice(@gaps, 4);

    ok(@gaps == 4 && !(grep { $gaps[$_] < $want[$_] - 3
                              || $gaps[$_] > $want[$_] + 340 + 1000 * $lag }
                       0 .. 3), $main::bad[$i][0])
        or diag("(@gaps), not (@want)");
}


=== what the clients get
--- http_config eval: $::http
--- config eval: $::config
--- perl
for (@main::bad) {
    my ($name, $status, %o) = @$_;
    my $id = task(%o);
    my $fresh = get("/b/$id");
    my $again = get("/b/$id");

    answer_is($fresh, [$status, 'Cache-Status' => qr/fwd=uri-miss/,
                       'X-Calls' => 1], $name);
    answer_is($again, [$status, body => $fresh->{body}, 'X-Calls' => 0,
        'Cache-Status' => qr/^binarize; hit; ttl=([5-9]|10); detail=negative$/],
        'the same again');
    is(fetches($id), 1, 'one call');
}

my $id = guid();
my $fresh = get("/b/$id.json");

answer_is(get("/b/$id.json"), [200, body => $fresh->{body},
          'Content-Type' => 'application/json',
          'Cache-Control' => qr/^public, max-age=([5-9]|10)$/], 'NotExist as JSON');
like($fresh->{body}, qr/"taskStatus":"NotExist"/, "the cloud's document");
sleep(2.1);
answer_is(get("/b/$id"), [404, 'Cache-Control' => qr/^public, max-age=[3-8]$/],
          'max-age is what is left');

my $error = task(status => 'Error');

for (1 .. 2) {
    answer_is(get("/b/$error"), [502, 'Cache-Control' => 'no-store'],
              'others are not stored');
}


=== forgotten
--- http_config eval: $::http
--- config eval: $::config
--- perl
my ($kept, $forgotten) = (guid(), guid());

# the time that passed after the last but one call: it is remembered so long
my $remembered = sub { (main::gaps($_[0]))[-1] };

# twice the same: 600 ms
main::nag('/short/', 2, $forgotten);

my $at = time();

main::nag('/short/', 2, $kept);

# long over, but not yet forgotten: 1200 ms
sleep(1.2);
main::nag('/short/', 4, $kept);
cmp_ok($remembered->($kept), '>=', 1197, 'it goes on');

# 600 ms, as long again, and 2 s
my $left = $at + 3.6 - time();
sleep($left) if $left > 0;
main::nag('/short/', 4, $forgotten);
cmp_ok($remembered->($forgotten), '<', 1200, 'it begins anew');

# something else than before
my $changed = guid();

main::nag('/short/', 2, $changed);
task(-id => $changed, status => 'Error');
cloud->post('reset');
main::nag('/short/', 2, $changed);
cmp_ok($remembered->($changed), '<', 1200, 'another answer begins anew');

# it is there at last
task(-id => $changed, size => 777);
ok(until_true(sub { get("/short/$changed")->{status} == 200 }),
   'a picture takes its place');
is(get("/short/$changed")->source, 'l1', 'and stays');


=== nothing is remembered
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();

is(get("/never/$id")->{status}, 404, 'missing') for 1 .. 3;
is(fetches($id), 3, 'three calls');


=== what may pass the next moment
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @failures = (['unreachable', 502, '/dead/'],
                ['status 500', 502, '/b/', http => 500],
                ['status 404', 502, '/b/', http => 404],
                ['truncated', 502, '/b/', close => 'body'],
                ['garbage', 502, '/b/', garbage => 300],
                ['a time-out', 504, '/b/', hang => 'start']);
my @ids = map { task() } @failures;

for my $i (0 .. $#failures) {
    my (undef, undef, undef, %fault) = @{ $failures[$i] };
    cloud->fault($ids[$i], { %fault, keepalive => 'off' }) if %fault;
}

# each time for a second, and no longer
for my $round (1 .. 3) {
    my @at;

    for my $i (0 .. $#failures) {
        my ($name, $status, $place) = @{ $failures[$i] };

        answer_is(get("$place$ids[$i]"), [$status,
                  'Cache-Status' => qr/fwd=uri-miss/],
                  "the cloud failed: $name");
        push @at, time();

        my $again = get("$place$ids[$i]");

        answer_is($again, [$status,
                  'Cache-Status' => qr/ttl=[01]; detail=negative/],
                  'remembered') if time() - $at[-1] < 0.9;
    }

    my $left = $at[-1] + 1.03 - time();
    sleep($left) if $left > 0;
}

for my $i (1 .. $#failures) {
    cloud->delete("faults/$ids[$i]");
    is(get("/b/$ids[$i]")->{status}, 200, "it has passed: $failures[$i][0]");
}


=== 503 pauses one id
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 555);
my $plain = task();

cloud->fault($id, { http => 503, retry_after => 3, times => 1 });
cloud->fault($plain, { http => 503, times => 1 });

problem_is(get("/b/$id"), 503, 'cloud-busy', 'busy', 'Retry-After' => 3,
           'X-Calls' => 1);
my $at = time();
problem_is(get("/b/$plain"), 503, 'cloud-busy', 'five seconds unless it says',
           'Retry-After' => 5);
problem_is(get("/b/$id.json"), 503, 'cloud-busy', 'again, as JSON',
           'Retry-After' => qr/^[1-3]$/, 'X-Calls' => 0);
is(fetches($id), 1, 'one call');
is(get('/b/' . task())->{status}, 200, 'another id is not concerned');

my $left = $at + 3.05 - time();
sleep($left) if $left > 0;
answer_is(get("/b/$id"), [200, 'Content-Length' => 555], 'it is over');
is(fetches($id), 2, 'two calls');

# five seconds
my $busy = get("/b/$plain");
is($busy->{status}, 503, 'not yet for the other one') if time() < $at + 4.9;


=== 429 pauses the credentials
--- http_config eval: $::http
--- config eval: $::config
--- perl
my ($id, $other, $known) = map { task(size => 500) } 1 .. 3;
my $foreign = task(op => 'deskewimage');

get("/b/$known");
get('/other/' . guid());
cloud->fault($id, { http => 429, retry_after => 3, times => 1 });

problem_is(get("/b/$id"), 503, 'cloud-busy', 'too many', 'Retry-After' => 3);
my $at = time();
problem_is(get("/b/$other"), 503, 'cloud-busy', 'another id has to wait, too',
           'Retry-After' => qr/^[1-3]$/, 'X-Calls' => 0);
problem_is(get("/short/$other"), 503, 'cloud-busy', 'elsewhere, too');
isnt(get("/b/$other")->source, 'negative', 'nothing was learnt of that id');
is(fetches($id) + fetches($other), 1, 'one call');
is(get("/b/$known")->source, 'l1', 'what is known is served');
is(get("/other/$foreign")->{status}, 200, 'other credentials may call');
like(error_log(), qr/\[warn\].*429, its calls pause for 3 s/, 'it is logged');
my $left = $at + 3.05 - time();
sleep($left) if $left > 0;
is(get("/b/$_")->{status}, 200, 'it is over') for $id, $other;


=== Redis remembers, too
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @op = (op => 'upscaleimage');
my $missing = guid();
my $error = task(@op, status => 'Error', messages => 'spoilt');
my $failure = task(@op);
my $pending = task(@op, pending => 100);

cloud->fault($failure, { http => 500, @op });

my %fresh = map { $_ => get("/redis/$_.json") }
            $missing, $error, $failure, $pending;

for ($missing, $error) {
    my $key = "{binarize:upscaleimage:$_}:state";
    my $left = main::left($key);

    ok($left > 500 * $main::first && $left <= 1000 * $main::first,
       'the state lives as long')
        or diag($left);
    ok(index($main::redis->cmd('GET', $key), $fresh{$_}{body}) > 0,
       'and has the document');
}

is($main::redis->cmd('EXISTS', "{binarize:upscaleimage:$failure}:state"), 0,
   'no failure does');
is($main::redis->cmd('EXISTS', "binarize:upscaleimage:$missing"), 0,
   'nor is there a result');

nginx_restart();

for ($missing, $error) {
    answer_is(get("/redis/$_.json"), [200, body => $fresh{$_}{body},
              'Cache-Status' => qr/hit; ttl=\d+; detail=negative/],
              'known after a restart');
    is(fetches($_, undef, @op), 1, 'one call');
}

# each time is remembered for twice as long, by the next nginx, too
for my $n (2, 3) {
    ok(until_true(sub { get("/redis/$missing");
                        fetches($missing, undef, @op) == $n }),
       'asked again');

    my $left = main::left("{binarize:upscaleimage:$missing}:state");

    my $want = 500 * $main::first * 2 ** $n;

    ok($left > $want - 800 - 1000 * lag() && $left <= $want,
       'remembered for twice as long')
        or diag($left);

    nginx_restart();
    answer_is(get("/redis/$missing"), [404,
              'Cache-Control' => qr/^public, max-age=\d+$/], 'known');
    is(fetches($missing, undef, @op), $n, 'no other call');
}


=== 429 without Retry-After
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $plain = task();

cloud->fault($plain, { http => 429, times => 1 });
problem_is(get("/b/$plain"), 503, 'cloud-busy', 'five seconds unless it says',
           'Retry-After' => 5);
problem_is(get('/b/' . guid()), 503, 'cloud-busy', 'for all', 'Retry-After' => 5);


=== a longer pause than ten minutes
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @op = (op => 'deskewimage');

for my $status (503, 429) {
    my $id = task(@op);

    cloud->fault($id, { @op, http => $status, retry_after => 3600,
                        times => 1 });
    problem_is(get("/other/$id"), 503, 'cloud-busy', "status $status",
               'Retry-After' => 600);
    problem_is(get("/other/$id"), 503, 'cloud-busy', 'again',
               'Retry-After' => qr/^(?:600|5\d\d)$/);
    is(fetches($id, undef, @op), 1, 'one call');
}

problem_is(get('/other/' . guid()), 503, 'cloud-busy', 'all of them pause',
           'Retry-After' => qr/^(?:600|5\d\d)$/);
