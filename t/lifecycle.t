use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 8s;
        binarize_poll 200ms;
    }
CONFIG

# The descriptors of a process that are of a kind.
sub descriptors {
    my ($pid, $kind) = @_;
    return scalar(grep { (readlink($_) // '') =~ $kind } glob("/proc/$pid/fd/*"));
}

run_file();

__DATA__

=== L1 survives a reload
--- config eval: $::config
--- perl
my @ids = map { task(size => $_) } 300, 70_000, 2_000_000;
my $gone = guid();

get("/b/$_") for @ids, $gone;

for my $round (1 .. 3) {
    ok(nginx_reload(), 'reloaded');

    for my $id (@ids) {
        answer_is(get("/b/$id"), [200, body => cloud->result($id),
                  'Cache-Status' => qr/detail=l1$/], 'a hit');
    }

    is(get("/b/$gone")->source, 'negative', 'and what is not there');
}

is(fetches($_), 1, 'one cloud call') for @ids, $gone;
is(cloud->calls()->{token}{calls}, 1, 'one token call');


=== a zone of another size starts empty
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone z:1m;
--- config eval: $::config
--- perl
my $id = task(size => 300);
get("/b/$id");

my $conf = file_read("$dir/root/conf/nginx.conf");

for my $size ('2m', '1m') {
    $conf =~ s/z:\dm/z:$size/;
    file_write("$dir/root/conf/nginx.conf", $conf);
    ok(nginx_reload(), "a zone of $size");
    is(get("/b/$id")->source, 'stored', 'a miss');
    is(get("/b/$id")->source, 'l1', 'then a hit');
}

# a broken configuration changes nothing
file_write("$dir/root/conf/nginx.conf", "$conf\nbinarize_nonsense;\n");
tolerate(qr/unknown directive "binarize_nonsense"/);
nginx_signal('HUP');
logged(qr/\[emerg\].*binarize_nonsense/, 'a broken configuration');
is(get("/b/$id")->source, 'l1', 'still a hit');
file_write("$dir/root/conf/nginx.conf", $conf);


=== reloads leave no descriptor behind
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone z:1m;
    binarize_zone other:1m;
    binarize_cache z;
--- config eval: $::config
--- perl
my $conf = file_read("$dir/root/conf/nginx.conf");
my $kind = qr/eventfd/;

# of the master, and of a worker, which has what the master had
sub all {
    return map { main::descriptors($_, $kind) } nginx_pid(), nginx_workers();
}

# both have opened what they need
my @before;
until_true {
    @before = all();
    @before == 3 && $before[1] == $before[2] && $before[1] > $before[0];
};

cmp_ok($before[0], '>=', 8, 'workers can wake each other');

for my $size (2 .. 6) {
    $conf =~ s/z:\dm/z:${size}m/;
    file_write("$dir/root/conf/nginx.conf", $conf);
    ok(nginx_reload(), "a zone of ${size}m");
}

is_deeply([all()], \@before, 'not more after five reloads');

# that fail when the zone has been made: the port is the cloud's
tolerate(qr/Address already in use|still could not bind/);
(my $bad = $conf) =~ s/listen +[^;]*\Q$port\E[^;]*;/
                       "$& listen $ENV{TEST_NGINX_CLOUD};"/e;

for my $n (1 .. 5) {
    my $size = 1 + $n % 2;
    $bad =~ s/z:\dm/z:${size}m/;
    file_write("$dir/root/conf/nginx.conf", $bad);
    nginx_signal('HUP');
    ok(until_true(sub {
        $n == (() = error_log() =~ /still could not bind/g)
    }), 'a reload fails');
}

is_deeply([all()], \@before, 'nor after five that failed');
file_write("$dir/root/conf/nginx.conf", $conf);

# none at all is needed, then some again
(my $without = $conf) =~ s{binarize_\w+ [^;]*;}{}g;
$without =~ s{location /\w+/ \{\s*\}}{}g;
file_write("$dir/root/conf/nginx.conf", $without);
ok(nginx_reload(), 'without a gateway');
is((all())[0], 0, 'nothing is open');
file_write("$dir/root/conf/nginx.conf", $conf);
ok(nginx_reload(), 'with one again');
is_deeply([all()], \@before, 'as it was');
is(get('/b/' . task())->{status}, 200, 'it works');


=== requests in the air finish on a reload
--- config eval: $::config
--- perl
my $slow = task(size => 70_000, delay_ms => 1500);
my $pending = task(size => 300, pending_ms => 1500);
my @all = (map({ begin("/b/$slow") } 1 .. 6),
           map({ begin("/wait/$pending") } 1 .. 6));

until_true { fetches($slow) && fetches($pending) };
nginx_signal('HUP');
sleep(0.3);

# those that come now are served by new workers
push @all, map { begin("/$_") } ("b/$slow", "wait/$pending") x 3;

for (@all) {
    my $answer = $_->answer();
    is($answer->{status}, 200, 'an answer');
    is($answer->{wrong}, undef, 'a whole one');
}

is(fetches($slow), 1, 'one call');
cmp_ok(fetches($pending), '<=', 10, 'one pace');
ok(until_true(sub { scalar(nginx_workers()) == 2 }), 'the old ones have gone');


=== a graceful quit during a fetch
--- config eval: $::config
--- perl
for my $at ('b', 'wait', 'redis') {
    my @op = $at eq 'redis' ? (op => 'deskewimage') : ();
    my $id = task(size => 70_000, delay_ms => 1000, @op);
    my $png = cloud->result($id, @op ? 'deskewimage' : ());
    my @all = map { begin("/$at/$id") } 1 .. 5;

    until_true { cloud->calls()->{in_air} };
    my $start = Time::HiRes::time();
    ok(nginx_stop(), "$at: it ends");
    cmp_ok(Time::HiRes::time() - $start, '<', 4 + lag(), 'soon');

    answer_is($_->answer(), [200, body => $png], "$at: after the answer")
        for @all;
    nginx_start();
}

# nobody waits for it, but it is paid for: it comes into Redis
my $id = task(size => 70_000, delay_ms => 800, op => 'deskewimage');
my $client = begin("/redis/$id");

until_true { cloud->calls()->{in_air} };
$client->leave();
sleep(0.2);
ok(nginx_stop(), 'it ends');
is($main::redis->cmd('EXISTS', "binarize:deskewimage:$id"), 1,
   'the result was stored');
nginx_start();

# at once, too
$id = task(size => 70_000, delay_ms => 3000);
$client = begin("/b/$id");
until_true { cloud->calls()->{in_air} };
ok(nginx_stop('TERM'), 'a fast shutdown');
$client->leave();
nginx_start();


=== worker_shutdown_timeout
--- main_config
    worker_shutdown_timeout 1s;
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone z:1m;
    binarize_zone turns:1m;
    binarize_cache z;
--- config eval
"$::config
    location /turn/ {
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/dewarpimage;
        binarize_cache turns;
        binarize_budget rate=1r/m;
        binarize_wait 90s;
    }
    location = /json { binarize_status json; }
"
--- perl
my @op = (op => 'deskewimage');

# the old workers listen no longer, and go on with what they have
sub retire {
    my @old = nginx_workers();

    nginx_signal('HUP');
    until_true {
        !grep { Binarize::alive($_)
                && file_read("/proc/$_/cmdline") !~ /shutting down/ } @old
    };

    return @old;
}

# what is in the air when time is over, and who wants it next
for (['a cloud that is silent', 'b', hang => 'start'],
     ['in the middle of a head', 'b', hang => 'midhead'],
     ['in the middle of a body', 'b', hang => 'body'],
     ['a body by drips', 'b', dribble => 1, dribble_ms => 50],
     ['with Redis', 'redis', hang => 'start'],
     ['a pending task', 'wait', status => 'Pending'])
{
    my ($name, $at, @fault) = @$_;
    my @its = $at eq 'redis' ? @op : ();
    my $id = task(size => 3000, @its);

    cloud->fault($id, { @fault, @its, times => 1 });

    my @clients = map { begin("/$at/$id") } 1 .. 6;

    until_true { fetches($id, undef, @its) };
    my @old = retire();
    my $next = begin("/$at/$id");

    ok(until_true(sub { !grep { Binarize::alive($_) } @old }, 20),
       "$name: the old workers have gone");
    is($next->answer()->{status}, 200, 'and new ones lead');
    is(fetches($id, undef, @its), 2, 'by a call of theirs');
    $_->leave() for @clients;
}

# what waits to call: for another node, whose call hangs, or for a turn
my $node = node();

for (['another node', 'redis'], ['a turn', 'turn']) {
    my ($name, $at) = @$_;
    my @its = $at eq 'redis' ? @op : ();
    my $id = task(size => 3000, @its);
    my @others;

    if ($at eq 'redis') {
        cloud->fault($id, { hang => 'start', @its, times => 1 });
        push @others, begin("/redis/$id", -port => $node->{port});
        until_true { fetches($id, undef, @its) };

    } else {
        is(get('/turn/' . task(op => 'dewarpimage'))->{status}, 200,
           'one call a minute');
    }

    # on both workers
    my @clients = map { begin("/$at/$id") } 1 .. 12;
    my $state = $at eq 'redis' ? 'remote' : 'budget';

    until_true { my ($zone) = grep { $_->{flights}{$state} }
                              @{ get('/json')->json()->{zones} // [] }; $zone };
    my @old = retire();

    ok(until_true(sub { !grep { Binarize::alive($_) } @old }, 20),
       "$name: the old workers have gone");
    $_->leave() for @clients, @others;
}

# nor does a token call
my $id = task(size => 3000);

cloud->fault('token', { hang => 'start', times => 1 });
cloud->post('revoke');

my $client = begin("/b/$id");

until_true { cloud->calls()->{token}{faults} };
my @old = retire();
my $next = begin("/b/$id");
ok(until_true(sub { !grep { Binarize::alive($_) } @old }, 20),
   'a token call: the old workers have gone');
is($next->answer()->{status}, 200, 'and new ones make it');
$client->leave();

is(scalar(grep { /cloud gave no document|upstream timed out|disabled/
                 && !/status 401/ } split /\n/, error_log()), 0,
   'nobody blames the cloud');


=== a worker dies inside the mutex of a zone that is gone
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone z:3m;
--- config eval: $::config
--- perl
# the mutex is the first word of the zone, and holds who has it
sub mutex {
    my ($pid, $size) = @_;
    no warnings 'portable';
    my ($at) = map { hex($_->[0]) }
               grep { hex($_->[1]) - hex($_->[0]) == $size }
               map { /^(\w+)-(\w+) rw-s / ? [$1, $2] : () }
               split /\n/, file_read("/proc/$pid/maps");

    open(my $mem, '+<', "/proc/$pid/mem") or die "mem: $!\n";
    sysseek($mem, $at, 0);

    return $mem;
}

my ($one, $other) = nginx_workers();
my @ids = map { task(size => 300, pending_ms => 2500) } 1 .. 5;

freeze($one);
my @clients = map { begin("/wait/$_") } @ids;
until_true { !grep { !fetches($_) } @ids };
kill('CONT', $one);

my $mem = mutex($other, 3 * 1048576);
(my $conf = file_read("$dir/root/conf/nginx.conf")) =~ s/z:3m/z:2m/;

file_write("$dir/root/conf/nginx.conf", $conf);
nginx_signal('HUP');
until_true { !Binarize::alive($one)
             && file_read("/proc/$other/cmdline") =~ /shutting down/ };

# stopped outside of it, as if the other one had died in it
until_true {
    freeze($other);
    sysread($mem, my $word, 8);
    sysseek($mem, -8, 1);
    $word eq "\0" x 8 or !kill('CONT', $other);
};
syswrite($mem, pack('Q', $one));
kill('CONT', $other);

answer_is($_->answer(), [200], 'the other one goes on') for @clients;
ok(until_true(sub { !Binarize::alive($other) }), 'and it ends');


=== clients leave, the flight goes on
--- config eval: $::config
--- perl
for my $n (1, 20) {
    my $id = task(size => 300_000, delay_ms => 500);
    my @all = map { begin("/b/$id") } 1 .. $n;

    until_true { fetches($id) };
    $_->leave() for @all;

    ok(until_true(sub { get("/b/$id")->source eq 'l1' }), "$n left: stored");
    is(fetches($id), 1, 'one call');
    is(cloud->calls($id)->{aborted}, 0, 'to its end');
}

# in the middle of the body
my $id = task(size => 200_000, body_delay_ms => 500);
my $client = begin("/b/$id");

until_true { fetches($id) };
$client->leave();
ok(until_true(sub { get("/b/$id")->source eq 'l1' }), 'stored');
is(fetches($id), 1, 'one call');

# while it reads the answer
$id = task(size => 3_000_000);
get("/b/$id");

for (1 .. 10) {
    my $client = begin("/b/$id");
    $client->has_answer(5);
    sysread($client->{socket}, my $some, 1000);
    $client->leave();
}

answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'it is whole');

# one leaves, another one waits
$id = task(size => 300, delay_ms => 600);
my @all = map { begin("/b/$id") } 1 .. 2;
until_true { fetches($id) };
$all[0]->leave();
is($all[1]->answer()->{status}, 200, 'the other one is served');
is(fetches($id), 1, 'one call');


=== a slow client reads what has been evicted, across a reload
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
    binarize_zone z:32m;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    sendfile off;
}
--- perl
my $id = task(size => 7_500_000);
my $png = cloud->result($id);

get("/b/$id");

my @slow = map { begin("/b/$id", -rcvbuf => 4096) } 1 .. 3;
$_->has_answer(5) for @slow;

# enough to evict everything
for (1 .. 12) {
    my $other = task(size => 7_000_000);
    is(get("/b/$other")->{status}, 200, 'another one');
}

nginx_signal('HUP');
sleep(0.5);

for (1 .. 3) {
    my $other = task(size => 7_000_000);
    is(get("/b/$other")->{status}, 200, 'of the new workers');
}

answer_is($_->answer(), [200, body => $png], 'its own bytes') for @slow;


=== a worker is killed
--- config eval: $::config
--- perl
tolerate(qr/exited on signal 9/);

for (1 .. 3) {
    my $id = task(size => 30_000);
    get("/b/$id");

    my @workers = nginx_workers();
    kill('KILL', $workers[$_ % 2]);
    until_true {
        my @now = nginx_workers();
        @now == 2 && !grep { $_ == $workers[0] } @now
        or @now == 2 && !grep { $_ == $workers[1] } @now;
    };

    answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'served');
    is(fetches($id), 1, 'from what was kept');

    my $new = task(size => 300);
    is(get("/b/$new")->{status}, 200, 'a new one');
}
