use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);

use Binarize;
use Binarize::Http2;

worker_connections(8192);
log_level('info');

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
$ENV{TEST_NGINX_PORT2} = $port + 2;

# all places and the zone; "small" is one that a large picture leaves
our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:16m;
    binarize_zone small:4m;
    binarize_cache main;
    binarize_max_size 8m;
    binarize_wait 20s;
    binarize_poll 100ms max=300ms;
    add_header X-Worker $pid always;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /impatient/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 0;
        binarize_poll 2s;
        binarize_negative_valid 10s;
    }
    location /off/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache main off;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
    }
    location /small/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/dewarpimage;
        binarize_cache small;
    }
    location /small-redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/upscaleimage;
        binarize_cache small;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
    }
    location = /json { binarize_status json; }
CONFIG

# The workers that have a connection to the cloud.
sub flying_workers {
    my %inode;

    for (split /\n/, file_read('/proc/net/tcp')) {
        my (undef, undef, $remote, $state, $inode) = (split)[0 .. 3, 9];

        $inode{$inode} = 1
            if $state eq '01' && $remote =~ /:(\w+)$/
               && hex($1) == cloud->{port};
    }

    return grep {
        my $pid = $_;
        grep { (readlink($_) // '') =~ /^socket:\[(\d+)\]$/ && $inode{$1} }
             glob("/proc/$pid/fd/*");
    } nginx_workers();
}

# When the cloud was last asked for it.
sub landing {
    my ($id) = @_;
    return cloud->calls($id)->{fetches_ms}[-1] / 1000;
}

sub latest {
    my ($latest) = sort { $b <=> $a } map { $_->{end} } @_;
    return $latest;
}

run_file();

__DATA__

=== a thousand clients on a cold id
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 30_000, delay_ms => 500);
my $sha = Digest::SHA::sha256_hex(cloud->result($id));

my @answers = crowd(1000, "/b/$id")->answers();

is_deeply(tally(status => @answers), { 200 => 1000 }, 'all are answered');
is_deeply(tally(sha => @answers), { $sha => 1000 }, 'by the picture');
is_deeply(tally(wrong => @answers), { none => 1000 }, 'all of it');
is(fetches($id), 1, 'one cloud call');
is_deeply(tally(source => @answers), { stored => 1, collapsed => 999 },
          'one of them flew');
is(scalar(keys %{ tally(sub { $_[0]->header('X-Worker') }, @answers) }), 2,
   'over both workers');
cmp_ok(main::latest(@answers) - main::landing($id), '<', 1.5 + lag(),
       'they landed together');


=== a thousand clients, and the picture is pending five times
--- http_config eval: $::http
--- config eval: $::config
--- perl
# what else this machine does is not nginx's fault: the best of five, and what
# as many clients take who need not wait
my $best = 9;

for (1 .. 5) {
    my $id = task(size => 3000, pending => 3, processing => 2,
                  delay_ms => 150);
    my @answers = crowd(1000, "/b/$id")->answers();
    my @hits = crowd(1000, "/b/$id")->answers();

    is_deeply(tally(status => @answers), { 200 => 1000 }, 'all are answered');
    is_deeply(tally(size => @answers), { 3000 => 1000 }, 'by the picture');
    is(fetches($id), 6, 'six cloud calls');
    is_deeply(tally(source => @answers), { stored => 1, collapsed => 999 },
              'one of them flew');

    my ($began) = sort { $a <=> $b } map { $_->{sent} } @hits;
    my $seconds = main::latest(@answers) - main::landing($id) - 0.15
                  - (main::latest(@hits) - $began);

    $best = $seconds if $seconds < $best;

    last if $best < 0.1;
}

cmp_ok($best, '<', 0.1 + ($valgrind ? 5 : 0),
       'all of them within 100 ms of the landing');


=== a landing does not stop who came behind it
--- http_config eval
"$::http
    log_format order '\$pid \$uri';"
--- config eval
"location /order/ {
    binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    access_log logs/order.log order;
}
location /beside/ {
    access_log logs/order.log order;
    return 204;
}
$::config"
--- perl
my $log = Test::Nginx::Util::server_root() . '/logs/order.log';

# the worker that leads stands still when some of its clients are answered,
# and goes on when another one has asked for something else
my ($seen, @order) = (0);

for (1 .. 20) {
    my $id = task(size => 30_000, delay_ms => 3000);
    my $crowd = crowd(1000, "/order/$id");

    until_true {
        zone_status('main', '/json')->{waiting_requests} == 1000;
    };

    my ($leader) = main::flying_workers();
    my $before = -s $log || 0;
    my $of_leader = sub {
        return map { /^$leader (\S+)/ ? $1 : () }
               split /\n/, substr(file_read($log), $before);
    };

    my $beside = until_true {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                           PeerPort => $port);
        print $socket "GET /json HTTP/1.1\r\nHost: x\r\n\r\n";
        sysread($socket, my $head, 65536);
        $head =~ /^X-Worker: $leader\r$/m ? $socket : undef;
    };

    select(undef, undef, undef, 0.0002) while !$of_leader->();
    freeze($leader);
    $seen = $of_leader->();
    print $beside "GET /beside/ HTTP/1.1\r\nHost: x\r\n\r\n";
    kill('CONT', $leader);

    is_deeply(tally(status => $crowd->answers()), { 200 => 1000 },
              'all landed');

    until_true { grep { $_ eq '/beside/' } $of_leader->() };
    @order = $of_leader->();
    last if $seen < @order / 2;
}

my ($at) = grep { $order[$_] eq '/beside/' } 0 .. $#order;

cmp_ok($seen, '<', @order / 2, 'it stood still in the middle');
cmp_ok($at, '<', $#order, 'it is answered before the last of the crowd')
    or diag("$seen of " . @order . ", then $at");


=== an impatient crowd
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(pending => 5);

for (1 .. 2) {
    my @answers = crowd(100, "/impatient/$id")->answers();

    is_deeply(tally(status => @answers), { 202 => 100 }, 'pending');
    is(fetches($id), 1, 'one cloud call in a poll interval');
}

is(get("/impatient/$id")->source, 'pending', 'it is known to be');

my $missing = guid();
my @answers = crowd(100, "/impatient/$missing")->answers();

is_deeply(tally(status => @answers), { 404 => 100 }, 'missing');
is(fetches($missing), 1, 'one cloud call');

my %source = %{ tally(source => @answers) };
is($source{stored} // 0, 1, 'one of them flew');
is(($source{collapsed} // 0) + ($source{negative} // 0), 99,
   'the others heard of it');


=== the client that began leaves
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 5000, delay_ms => 500);
my $first = begin("/b/$id");

until_true { fetches($id) } or fail('a call is under way');

my $others = crowd(20, "/b/$id");
$first->leave();

is_deeply(tally(status => $others->answers()), { 200 => 20 },
          'the others get it');
is(fetches($id), 1, 'by the same call');

# nobody is left at all
my $alone = task(size => 5000, delay_ms => 300);

$first = begin("/b/$alone");
until_true { fetches($alone) };
$first->leave();

until_true { cloud->calls->{in_air} == 0 };
ok(until_true(sub { get("/b/$alone")->source eq 'l1' }), 'it was stored');
is(fetches($alone), 1, 'and the call paid for once');


=== the worker that flies is killed
--- http_config eval: $::http
--- config eval: $::config
--- perl
tolerate(qr/exited on signal 9/);

for my $place ('/b/', '/redis/') {
    my $id = task(size => 5000, $place eq '/b/' ? () : (op => 'deskewimage'));
    my @op = $place eq '/b/' ? () : (op => 'deskewimage');

    # the first call never ends
    cloud->fault($id, { hang => 'start', times => 1, @op });
    cloud->post('close-idle');
    until_true { nginx_workers() == 2 && !main::flying_workers() };

    # half of the crowd is the one's, half the other one's
    my ($one, $other) = nginx_workers();

    freeze($other);
    my @crowds = crowd(100, "$place$id");
    until_true { fetches($id, undef, @op) };
    until_true { zone_status()->{waiting_requests} == 100 };
    is(join(' ', main::flying_workers()), $one, 'one worker flies');

    freeze($one);
    kill('CONT', $other);
    push @crowds, crowd(100, "$place$id");
    until_true { zone_status()->{waiting_requests} == 200 };

    my $killed_at = Time::HiRes::time();
    kill('KILL', $one);

    my @answers = map { $_->answers() } @crowds;
    my %status = %{ tally(status => @answers) };
    my @served = grep { $_->{status} == 200 } @answers;

    ok($status{200}, 'the other one has clients, too');
    is($status{200} + $status{0}, 200, 'its clients are answered');
    is_deeply(tally(size => @served), { 5000 => scalar(@served) },
              'by the picture');
    is(fetches($id, undef, @op), 2, 'by one more call');
    cmp_ok(main::latest(@served) - $killed_at, '<', 1 + lag(),
           "at once, $place");
    is(get("$place$id")->source, 'l1', 'it was stored');
}


=== a crowd where nothing is kept
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 40_000, delay_ms => 300);
my $sha = Digest::SHA::sha256_hex(cloud->result($id));

my @answers = crowd(300, "/off/$id")->answers();

is_deeply(tally(sha => @answers), { $sha => 300 }, 'all are answered');
is(fetches($id), 1, 'one cloud call');
is_deeply(tally(source => @answers), { bypass => 1, collapsed => 299 },
          'one of them flew');

is(get("/off/$id")->source, 'bypass', 'it was not kept');
is(fetches($id), 2, 'so it is another call');

# a worker may still sleep when the other one's poll lands
for (1 .. 5) {
    my $pending = task(size => 400, pending => 2);

    @answers = crowd(100, "/off/$pending")->answers();
    is_deeply(tally(size => @answers), { 400 => 100 },
              'pending, then a picture');
    is(fetches($pending), 3, 'three calls');
}


=== an entry larger than a quarter of the zone
--- http_config eval: $::http
--- config eval: $::config
--- perl
for (['/small/', 'dewarpimage', 2], ['/small-redis/', 'upscaleimage', 1]) {
    my ($place, $op, $most) = @$_;
    my $id = task(op => $op, size => 1_500_000, delay_ms => 300);
    my $sha = Digest::SHA::sha256_hex(cloud->result($id, $op));

    my @answers = crowd(100, "$place$id")->answers();

    is_deeply(tally(sha => @answers), { $sha => 100 }, "all get it, $place");
    is_deeply(tally(wrong => @answers), { none => 100 }, 'all of it');
    cmp_ok(fetches($id, undef, op => $op), '<=', $most, "at most $most cloud calls");
    isnt(get("$place$id")->source, 'l1', 'L1 has not got it');

    my $fits = task(op => $op, size => 600_000, delay_ms => 300);

    @answers = crowd(100, "$place$fits")->answers();
    is_deeply(tally(size => @answers), { 600_000 => 100 }, 'a smaller one');
    is(fetches($fits, undef, op => $op), 1, 'one cloud call');
    is(get("$place$fits")->source, 'l1', 'L1 has got it');
}


=== a crowd over HTTP/2
--- http_config eval
$::http . '
    server {
        listen 127.0.0.1:$TEST_NGINX_PORT2 http2;
        location /b/ {
            binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        }
    }
'
--- config eval: $::config
--- perl
if (`$nginx -V 2>&1` !~ /http_v2_module/) {
    pass('nginx has no HTTP/2');
    return;
}

for ([delay_ms => 500], [pending => 2]) {
    my $id = task(size => 20_000, @$_);
    my $one = Binarize::Http2->new($port + 2, ("/b/$id") x 100);
    my $two = Binarize::Http2->new($port + 2, ("/b/$id") x 100);
    my @answers = map { $_->answers($patience) } $one, $two;

    is_deeply(tally(sub { "$_[0]{status} $_[0]{size}" }, @answers),
              { '200 20000' => 200 }, 'all streams are answered');
    is(fetches($id), $_->[0] eq 'pending' ? 3 : 1, 'one flight');
}

# streams and connections go, with those that wait in them
my $id = task(size => 20_000, pending => 4);
my $others = crowd(10, "/b/$id");
my $two = Binarize::Http2->new($port + 2, ("/b/$id") x 100);

until_true { fetches($id) == 2 };
$two->reset_stream($_ * 2 + 1) for 0 .. 49;

my $one = Binarize::Http2->new($port + 2, ("/b/$id") x 100);

until_true { fetches($id) == 4 };
$one->leave();

is_deeply(tally(sub { "$_[0]{status} $_[0]{size}" }, $two->answers($patience)),
          { '200 20000' => 50, '0 0' => 50 }, 'the other streams get it');
is_deeply(tally(status => $others->answers()), { 200 => 10 },
          'the other connections, too');
is(fetches($id), 5, 'one flight');

# the one client that waits goes by closing its stream: nobody polls
my $lone = task(pending => 100);
my $three = Binarize::Http2->new($port + 2, "/b/$lone");

until_true { fetches($lone) == 2 };
$three->reset_stream(1);
until_true { zone_status()->{waiting_requests} == 0 };

my $polls = fetches($lone);

Time::HiRes::sleep(1);
is(fetches($lone), $polls, 'nobody polls when nobody waits');
