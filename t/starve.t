use FindBin;
use lib "$FindBin::Bin/lib";

# Every allocation of a request's journey fails once: the first, the second...
# until it gets through untouched.  Then the n-th and all after it.
# STARVE_ALL: also journeys that take minutes, and three in a row;
# STARVE_FROM, STARVE_ONLY: to look at one n.

BEGIN {
    if ($ENV{BINARIZE_VALGRIND}) {
        print "1..0 # SKIP valgrind has allocators of its own\n";
        exit 0;
    }
}

use Binarize;

# what nginx says of it itself
tolerate(qr/exited on signal 6/,
         qr/\[(?:emerg|alert)\].*(?:malloc|memalign|realloc)\(.*failed/,
         qr/\[alert\].*(?:Cannot allocate memory)/);

our @counts = $ENV{STARVE_ALL} ? (1, 3, 1_000_000) : (1, 1_000_000);

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $control = "$dir/starved";
file_write($control, pack('q3', 0, 0, 0));

my $library = compile('starve.c', '-shared', '-fPIC');

$ENV{STARVE_FILE} = $control;
$ENV{LD_PRELOAD} = $Test::Nginx::Util::ld_preload = $library;

# it sends no more than the client reads
$ENV{TEST_NGINX_PORT2} = $port + 2;

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone main:16m;
    binarize_max_size 4m;
    binarize_wait 3s;
    binarize_poll 30ms max=50ms;
    binarize_negative_valid 20ms max=20ms;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_redis redis://$TEST_NGINX_REDIS;
    }
    location /off/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/dewarpimage;
        binarize_redis redis://$TEST_NGINX_REDIS;
        binarize_cache off;
    }
    location = /json { binarize_status json; }
    location = /html { binarize_status html; }
    location = /prometheus { binarize_status prometheus; }
CONFIG

$http .= <<"CONFIG";
    server {
        listen 127.0.0.1:\$TEST_NGINX_PORT2 sndbuf=16k;
$config
    }
CONFIG

sub arm {
    my ($n, $count) = @_;
    open(my $file, '+<', $main::control) or die "$main::control: $!\n";
    syswrite($file, pack('q3', $n, $count, 0));
}

# How many have failed.
sub disarm {
    my $state = Binarize::file_read($main::control);
    my (undef, undef, $failed) = unpack('q3', $state);

    arm(0, 0);
    return $failed;
}

# What failed since it was asked last, and whether a worker crashed over it;
# hiredis 0.14 ends the process by its own design.
sub trace {
    my @files = glob("$main::control.*");
    my $trace = join('', map { Binarize::file_read($_) } @files);
    my (undef, @crashes) = split /^crashed:$/m, $trace;

    unlink(@files);

    return ($trace,
            scalar(grep { !/\babort\b.*\n.*libhiredis\.so\.0/ } @crashes));
}

# Runs the journey with the n-th allocation failing, for each n, until it needs
# fewer.  It returns what its clients got; after() is asked when there is
# enough memory again.
sub starved {
    my ($name, $count, $before, $journey, $after) = @_;
    my $good = qr/^(?:200|206|202|304|50[0234])$/;
    my ($n, $failed, @odd, %n) = ($ENV{STARVE_FROM} // 1);

    do {
        my @context = $before->();
        my $lag = lag();

        arm($n, $count);
        my @answers = $journey->(@context);
        $failed = disarm();

        $lag = lag() - $lag;

        my @wrong = grep { defined } $after->($failed, @answers, @context);

        for (@answers) {
            my $status = $_->{status} || 'none';

            $n{$status}++;
            push @wrong, 'late' if $_->{seconds} > 10 + $lag;
            push @wrong, $status if $status ne 'none' && $status !~ $good;
        }

        my ($trace, $crashed) = trace();

        push @wrong, 'a worker crashed' if $crashed;
        push @odd, "$n: @wrong\n$trace" if @wrong;
        $n++;

    } while ($failed && @odd < 10 && !$ENV{STARVE_ONLY});

    Test::More::note("$name: ", $n - 1, " allocations; ",
                     join(', ', map { "$_: $n{$_}" } sort keys %n));
    Test::More::is(scalar(@odd), 0, "$name, $count at once")
        or Test::More::diag(join("\n", @odd));
    Test::More::cmp_ok($n, '>', 5, 'some were needed');
}

# The same URL afterwards: the picture, or the reason why not.
sub served {
    my ($uri, $id, $op) = @_;
    my $answer;

    # a lease that could not be given back ends by itself, after seconds
    $main::redis->cmd('DEL', "{binarize:$op:$id}:lease") if defined $op;

    Binarize::until_true { ($answer = Binarize::get($uri))->{status} == 200 } 20;

    return "afterwards $answer->{status} $answer->{body}"
        if $answer->{status} != 200;
    return if $uri =~ /json$/;
    return 'another picture'
        if $answer->{body} ne Binarize::cloud()->result($id, $op);
    return;
}

run_file();
delete $ENV{LD_PRELOAD};

__DATA__

=== from the cloud
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $count (@main::counts) {
    for my $form ('', '.json') {
        for my $at (['b', 'binarizeimage'], ['redis', 'deskewimage'],
                    ['off', 'dewarpimage'])
        {
            my ($place, $op) = @$at;

            main::starved("/$place/$form", $count,
                sub { task(op => $op, size => 40_000) },
                sub { get("/$place/$_[0]$form") },
                sub { main::served("/$place/$_[-1]$form", $_[-1], $op) });
        }
    }
}

zone_is_clean();


=== with a new token
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $count ($ENV{STARVE_ALL} ? @main::counts : 1) {
    main::starved('after a 401', $count,
        sub { cloud->post('revoke'); task(size => 300) },
        sub { get("/b/$_[0]") },
        sub { main::served("/b/$_[-1]", $_[-1]) });
}

zone_is_clean();


=== from the zone, and from Redis
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 200_000);
my $stored = task(size => 200_000, op => 'dewarpimage');

get("/b/$id");
get("/off/$stored");
until_true { get("/off/$stored")->source eq 'redis' };

for my $count (@main::counts) {
    for my $form ('', '.json') {
        main::starved("hit$form", $count, sub { () },
            sub { get("/b/$id$form") },
            sub { main::served("/b/$id$form", $id) });
        main::starved("redis hit$form", $count, sub { () },
            sub { get("/off/$stored$form") },
            sub { main::served("/off/$stored$form", $stored, 'dewarpimage') });
    }

    main::starved("ranges", $count, sub { () },
        sub { get("/b/$id", Range => 'bytes=0-9,100-109,-5') },
        sub { main::served("/b/$id", $id) });
}

is(fetches($id), 1, 'no call for what is kept');
zone_is_clean();


=== read slowly while memory is scarce
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(size => $_) } 3_900_000, 1_000_000;

get("/b/$_") for @ids;

# it holds all that may be, as long as it does not read
my @slowly = (-port => $port + 2, -rcvbuf => 4096);
my $holder = begin("/b/$ids[0]", @slowly);

until_true { zone_status()->{l1_pinned_entries} };

for my $count (@main::counts) {
    for (['png'], ['json'], ['png', Range => 'bytes=0-9,100-900000']) {
        my ($form, @range) = @$_;
        my $uri = "/b/$ids[1].$form";

        main::starved("slow $form @range", $count, sub { () },
            sub { get($uri, @slowly, @range) },
            sub { main::served($uri, $ids[1]) });
    }
}

is(zone_status()->{l1_pinned_entries}, 1, 'it was scarce all the time');
$holder->leave();
zone_is_clean();


=== waiting for it together
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $count (@main::counts) {
    for my $at (['b', 'binarizeimage'],
                $ENV{STARVE_ALL} ? ['redis', 'deskewimage'] : ())
    {
        my ($place, $op) = @$at;

        main::starved("/$place/ by four", $count,
            sub { task(op => $op, size => 40_000, pending => 2) },
            sub { my ($id) = @_;
                  my @all = map { begin("/$place/$id") } 1 .. 4;
                  map { $_->answer() } @all },
            sub { main::served("/$place/$_[-1]", $_[-1], $op) });
    }
}

zone_is_clean();


=== a Redis that has to be connected to
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $count (@main::counts) {
    main::starved('a new connection', $count,
        sub { $main::redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal');
              $main::redis->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
              task(op => 'deskewimage', size => 300) },
        sub { get("/redis/$_[0]") },
        sub { main::served("/redis/$_[-1]", $_[-1], 'deskewimage') });
}

zone_is_clean();


=== the status page
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $page ('json', 'html', 'prometheus') {
    main::starved($page, 1, sub { () }, sub { get("/$page") },
        sub { get("/$page")->{status} == 200 ? undef : 'no page' });
}
