use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $redis = redis_server();
our $replica = redis_server('--replicaof', '127.0.0.1', $redis->{port});
our $prefix = 'binarize:binarizeimage:';

$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
$ENV{TEST_NGINX_REPLICA} = "127.0.0.1:$replica->{port}";
$ENV{TEST_NGINX_DEAD} = '127.0.0.1:' . ($port + 3);

# may do everything but tell others
$redis->cmd('ACL', 'SETUSER', 'mute', 'on', '>pass', '~*', '+@all',
            'resetchannels');

our $pass = 'binarize_pass '
            . 'http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;';

our $alone = <<"CONFIG";
    location /b/ { $pass binarize_purge on; binarize_poll 8s; }
    location /off/ { $pass }
    location /if/ {
        $pass
        if (\$arg_purge) { binarize_purge on; }
    }
    location /guarded/ {
        $pass
        binarize_purge on;
        limit_except GET { deny all; }
    }
    location /page/ {
        $pass
        binarize_purge on;
        binarize_intercept_errors on;
        error_page 404 = /nothing;
    }
    location = /nothing { return 200 "nothing\\n"; }
    location = /json { binarize_status json; }
CONFIG

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:8m;
    binarize_zone second:8m;
    binarize_cache main;
    binarize_max_size 2m;
    binarize_redis redis://$TEST_NGINX_REDIS timeout=10s;
    binarize_negative_valid 60s;
    binarize_purge on;
CONFIG

our $config = <<"CONFIG";
    location /b/ { $pass }
    location /second/ { $pass binarize_cache second; }
    location /dead/ {
        $pass
        binarize_cache second;
        binarize_redis redis://\$TEST_NGINX_DEAD;
    }
    location /replica/ {
        $pass
        binarize_redis redis://\$TEST_NGINX_REPLICA prefix=other:;
    }
    location /hung/ {
        $pass
        binarize_redis redis://\$TEST_NGINX_REDIS timeout=300ms;
    }
    location /mute/ {
        $pass
        binarize_redis redis://mute:pass\@\$TEST_NGINX_REDIS timeout=10s
                       prefix=mute:;
    }
CONFIG

our $node;

sub purge {
    my ($uri, @more) = @_;
    return Binarize::get($uri, -method => 'PURGE', @more);
}

# Redis is written behind the answer.
sub stored {
    my ($id) = @_;
    return Binarize::until_true(sub {
        $redis->cmd('EXISTS', "$prefix$id") eq '1';
    });
}

our @gone = (body => '', 'Cache-Control' => 'no-store',
             'Content-Length' => undef, 'Content-Type' => undef,
             'Transfer-Encoding' => undef, 'Cache-Status' => undef,
             'ETag' => undef, 'X-Content-Type-Options' => 'nosniff');

run_file();

__DATA__

=== a node alone
--- config eval: $::alone
--- perl
my $id = task(size => 3000);

problem_is(main::purge("/b/$id"), 404, 'not-kept', 'not there yet',
           'Vary' => 'Accept', 'Cache-Control' => 'no-store');
is(fetches($id), 0, 'the cloud is not asked');

get("/b/$id");
is(get("/b/$id")->source, 'l1', 'it is kept');

answer_is(main::purge("/b/$id"), [204, @main::gone, 'Vary' => 'Accept'],
          'it is purged');
is(get("/b/$id")->source, 'stored', 'it was gone');
is(fetches($id), 2, 'and is asked for again');

# the representation does not matter, nor does what is accepted
for my $uri ("/b/$id.png", "/b/$id.json", "/b/\U$id", "/b/$id?format=json",
             "/b/$id?format=x", "/off/../b/$id")
{
    get("/b/$id");
    is(main::purge($uri, Accept => 'text/html')->{status}, 204, $uri);
    is(main::purge($uri)->{status}, 404, 'once');
}

answer_is(main::purge("/b/$id.png"), [404, 'Vary' => undef], 'a suffix');
is(get("/b/$id", Prefer => 'wait=1')->source, 'stored', 'again');

# conditions, ranges, a body, HTTP/1.0
for (['If-None-Match' => '*'], [Range => 'bytes=0-9'], [-body => 'x' x 9999],
     [-version => '1.0'], ['If-Match' => '"x"'])
{
    get("/b/$id");
    like(main::purge("/b/$id", @$_)->{status}, qr/^(?:204|412)$/, "@$_[0]");
}

# the connection goes on
get("/b/$id");
my $text = begin(undef, -raw => join('', map {
    "$_ /b/$id HTTP/1.1\r\nHost: a\r\n"
    . ($_ eq 'HEAD' ? "Connection: close\r\n" : '') . "\r\n"
} 'PURGE', 'PURGE', 'GET', 'HEAD'))->drain();
is(join(' ', $text =~ /HTTP\/1\.1 (\d+)/g), '204 404 200 200', 'pipelined');

problem_is(main::purge('/b/x'), 400, 'bad-id', 'no id');
problem_is(main::purge("/off/$id"), 405, 'bad-method', 'off by default',
           Allow => 'GET, HEAD');

for my $method (qw(POST PUT DELETE OPTIONS PURG PURGER BAN)) {
    problem_is(get("/b/$id", -method => $method), 405, 'bad-method', $method,
               Allow => 'GET, HEAD, PURGE');
}

is(main::purge("/if/$id")->{status}, 405, 'off outside if');
is(main::purge("/if/$id?purge=1")->{status}, 204, 'on in if');
is(main::purge("/guarded/$id")->{status}, 403, 'limit_except');
answer_is(main::purge('/page/' . guid()), [200, body => "nothing\n"],
          'error_page');

cmp_ok(get('/json')->json()->{zones}[0]{l1_removed}, '>=', 8, 'counted');


=== what is remembered without a result
--- config eval: $::alone
--- perl
for my $status ('NotExist', 'Error', 'Pending') {
    my $id = task(status => $status);

    get("/b/$id") for 1 .. 3;
    is(fetches($id), 1, "$status is remembered");
    is(main::purge("/b/$id")->{status}, 204, 'is purged');
    get("/b/$id");
    is(fetches($id), 2, 'the cloud is asked at once');
    is(main::purge("/b/$id")->{status}, 204, 'is purged');
    is(main::purge("/b/$id")->{status}, 404, 'once');
}


=== who is being sent the picture gets all of it
--- config eval: $::alone
--- perl
my $id = task(size => 3_000_000);
my $png = get("/b/$id")->{body};
my $slow = begin("/b/$id", -rcvbuf => 4096);

until_true { get('/json')->json()->{zones}[0]{l1_pinned_entries} };
is(main::purge("/b/$id")->{status}, 204, 'purged');

my $other = task(size => 3_000_000);
get("/b/$_") for $other, $id;

ok($slow->answer()->{body} eq $png, 'every byte');


=== Redis
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $redis = $main::redis;
my $id = task(size => 3000);

get("/b/$id");
ok(main::stored($id), 'it is in Redis');
answer_is(main::purge("/b/$id"), [204, @main::gone], 'it is purged');
is($redis->cmd('EXISTS', "$main::prefix$id"), 0, 'not in Redis any more');
is(get("/b/$id")->source, 'stored', 'the cloud is asked');
is(fetches($id), 2, 'again');

# another zone of this nginx, which has the same records
main::stored($id);
is(get("/second/$id")->source, 'redis', 'the second zone');
is(get("/second/$id")->source, 'l1', 'keeps it');
is(main::purge("/b/$id")->{status}, 204, 'purged by the first');
is(get("/second/$id")->source, 'stored', 'was gone from the second');

# only in Redis
main::stored($id);
nginx_restart();
is(main::purge("/b/$id")->{status}, 204, 'only Redis had it');
is(main::purge("/b/$id")->{status}, 404, 'nobody has');

my $missing = guid();

get("/b/$missing");
ok(until_true(sub { $redis->cmd('EXISTS', "{$main::prefix$missing}:state") }),
   'what is missing is in Redis');
nginx_restart();
is(main::purge("/b/$missing")->{status}, 204, 'purged');
is($redis->cmd('EXISTS', "{$main::prefix$missing}:state"), 0, 'from Redis');
get("/b/$missing");
is(fetches($missing), 2, 'the cloud is asked again');


=== what Redis was asked for before
--- http_config eval: $::http
--- config eval: $::config
--- processes: 1
--- perl
my $redis = $main::redis;
my $id = task(size => 3000);

get("/b/$id");
main::stored($id);
nginx_restart();

# the worker has sent what it was asked for when it answers the next one
$redis->freeze();
my $get = begin("/b/$id");
get('/b/x');
my $purge = begin("/b/$id", -method => 'PURGE');
get('/b/x');
$redis->thaw();

is($purge->answer()->{status}, 204, 'purged');
is($get->answer()->source, 'stored', 'what Redis had before does not count');
is(fetches($id), 2, 'the cloud is asked');


=== the other nodes
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $redis = $main::redis;
my $id = task(size => 3000);
my $node = $main::node = node();
my @other = (-port => $node->{port});

# the other one listens
until_true { $redis->cmd('PUBSUB', 'NUMSUB', 'binarize:landings')->[1] >= 4 };

get("/b/$id", @other);
main::stored($id);
is(get("/b/$id", @other)->source, 'l1', 'the other node keeps it');
is(main::purge("/b/$id")->{status}, 204, 'this one purges');
ok(until_true(sub { get("/b/$id", @other)->source eq 'stored' }),
   'it is gone there, too');

# told all the same
$redis->cmd('DEL', "$main::prefix$id");
is(get("/b/$id", @other)->source, 'l1', 'the other node keeps it');
$redis->cmd('DEL', "$main::prefix$id");
is(main::purge("/b/$id")->{status}, 404, 'neither this one nor Redis');
ok(until_true(sub { get("/b/$id", @other)->source eq 'stored' }),
   'the other one was told');

# what came after is not taken for what was before
for (1 .. 20) {
    my $id = task();
    get("/b/$id");
    main::stored($id);
    main::purge("/b/$id");
    get("/b/$id");
    main::stored($id);
    is(get("/b/$id")->source, 'l1', 'kept again');
}

# anybody who may publish may write anything
$redis->cmd('PUBLISH', 'binarize:landings', $_)
    for 'purge ', 'purge x', "purge binarizeimage:$id", 'purge ' x 100,
        "purge :$id 0123456789abcdef", "purge $id 0123456789abcdef",
        "purge binarizeimage:$id 0123456789abcde",
        'purge ' . 'x' x 100_000, "purge binarizeimage:$id\x000123456789abcdef";
is(get("/b/$id", @other)->{status}, 200, 'nonsense');


=== Redis can not be reached
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $redis = $main::redis;

tolerate(qr/redis/);

my $id = task();
get("/dead/$id") for 1 .. 2;
is(get("/dead/$id")->source, 'l1', 'kept');
problem_is(main::purge("/dead/$id"), 503, 'not-purged', 'a Redis that is down',
           'Retry-After' => qr/^[1-9]\d*$/, 'Cache-Control' => 'no-store');
is(get("/dead/$id")->source, 'stored', 'this node was emptied');

# refused
for my $at ('mute', 'replica') {
    my $id = task();
    get("/$at/$id");
    is(get("/$at/$id")->source, 'l1', "$at: kept");
    problem_is(main::purge("/$at/$id"), 503, 'not-purged', "$at: refused",
               'Retry-After' => qr/^[1-9]\d*$/);
    is(get("/$at/$id")->source, 'stored', 'this node was emptied');
}

# hung
$id = task();
get("/b/$id");
main::stored($id);
get("/hung/$id");
$redis->freeze();
problem_is(main::purge("/hung/$id"), 503, 'not-purged', 'a Redis that hangs',
           'Retry-After' => qr/^[1-9]\d*$/);
$redis->thaw();


=== the client leaves, nginx reloads
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $redis = $main::redis;
my $id = task();

get("/b/$id");
main::stored($id);

$redis->freeze();
begin("/b/$id", -method => 'PURGE')->leave();
my $waits = begin("/b/$id", -method => 'PURGE');
my @old = nginx_workers();
get('/b/x') for 1 .. 2;
nginx_signal('HUP');
$redis->thaw();

like($waits->answer()->{status}, qr/^(?:204|404)$/, 'the one who waits');
ok(until_true(sub { $redis->cmd('EXISTS', "$main::prefix$id") eq '0' }),
   'it is gone');
ok(until_true(sub { !grep { kill(0, $_) } @old }), 'the old workers end');
