use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Time::HiRes qw(sleep);

use Binarize;
use Binarize::FakeRedis;

# Whatever stands where Redis should be: a miss, in bounded time.

our $big = 'x' x 5000;

sub bulk {
    return join('', map { '$' . length($_) . "\r\n$_\r\n" } @_);
}

# answers HMGET so, and everything else well
sub hmget {
    my ($bytes, $close) = @_;

    return sub {
        my ($client) = @_;

        Binarize::FakeRedis::resp($client, sub {
            my ($name) = @_;

            return ":1000\r\n" if $name eq 'PTTL';
            return undef if $name ne 'HMGET';

            print $client $bytes;
            POSIX::_exit(0) if $close;
            return '';
        });
    };
}

# sends so, whatever it is asked, and waits
sub says {
    my ($bytes) = @_;

    return sub {
        my ($client) = @_;
        print $client $bytes;
        sleep(0.5);
    };
}

# everything but the greeting is answered so
sub always {
    my ($bytes) = @_;

    return sub {
        my ($client) = @_;

        Binarize::FakeRedis::resp($client, sub {
            return $_[0] =~ /^(?:PING|CLIENT|SUBSCRIBE)$/ ? undef : $bytes;
        });
    };
}

# name => [what is said of it, what it does]
our %servers = (
    http => [qr/bad type/,
        says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")],
    noise => [qr/is not usable/,
        says(join '', map { chr(int(rand(256))) } 1 .. 5000)],
    unasked => [qr/unasked reply/,
        says("+OK\r\n" x 1000)],
    too_many => [qr/ERR max number/,
        says("-ERR max number of clients reached\r\n")],
    endless_line => [qr/line too long/,
        sub {
            my ($client) = @_;
            print $client '+';
            print $client 'a' x 100_000 while 1;
        }],
    deep => [qr/array too deep/,
        says("*1\r\n" x 100)],
    wide => [qr/array too long/,
        says("*2000000000\r\n")],
    wide_and_deep => [qr/timed out/,
        says("*65536\r\n" x 7 . ":1\r\n" x 100)],
    silent => [qr/timed out/,
        sub { sleep(1000) }],
    closed => [qr/connection (?:lost|closed)/,
        sub { }],
    reset => [qr/connection (?:lost|closed)/,
        sub { Binarize::FakeRedis::reset_on_close($_[0]) }],
    loading => [qr/LOADING/,
        sub {
            Binarize::FakeRedis::resp($_[0], sub {
                "-LOADING Redis is loading the dataset in memory\r\n"
            });
        }],
    masterdown => [qr/MASTERDOWN/,
        always("-MASTERDOWN Link with MASTER is down\r\n")],
    moved => [qr/refuses to read: "MOVED/,
        always("-MOVED 1234 10.0.0.1:7000\r\n")],
    noperm => [qr/refuses to read: "NOPERM/,
        always("-NOPERM this user has no permissions\r\n")],
    oom => [qr/refuses to read: "OOM/,
        always("-OOM command not allowed\r\n")],
    statuses => [qr/make no sense/,
        always("+OK\r\n")],
    integers => [qr/make no sense/,
        always(":1\r\n")],
    nil => [qr/make no sense/,
        always("\$-1\r\n")],
    three_answers => [qr/make no sense/,
        always(":5\r\n:5\r\n+OK\r\n")],
    resp3 => [qr/bad type/,
        hmget("%1\r\n+a\r\n+b\r\n")],
    push_message => [qr/bad type/,
        hmget(">2\r\n+a\r\n+b\r\n")],
    cut_short => [qr/connection closed/,
        hmget("*5\r\n\$9000\r\n$big", 1)],
    cut_in_number => [qr/connection closed/,
        hmget("*5\r\n\$90", 1)],
    stops => [qr/timed out/,
        hmget("*5\r\n\$9000\r\n$big")],
    huge => [qr/timed out/,
        hmget("*5\r\n\$99999999999\r\n$big")],
    huger => [qr/bad length/,
        hmget("*5\r\n\$9999999999999999999\r\n")],
    negative => [qr/bad length/,
        hmget("*5\r\n\$-5\r\n")],
    zeros => [qr/bad length/,
        hmget("*5\r\n\$0005\r\nhello\r\n")],
    four => [qr/make no sense/,
        hmget("*4\r\n" . "\$-1\r\n" x 4)],
    nil_array => [qr/make no sense/,
        hmget("*-1\r\n")],
    nils => [qr/refuses to write/,
        hmget("*5\r\n" . "\$-1\r\n" x 5)],
    no_integer => [qr/timed out/,
        hmget("*5\r\n:abc\r\n")],
    bare_line_feed => [qr/bad line end/,
        hmget("+abc\n+def\r\n")],
    nested => [qr/make no sense/,
        hmget("*5\r\n*2\r\n\$5\r\nhello\r\n:1\r\n\$-1\r\n*0\r\n*-1\r\n"
              . "+x\r\n")],
    bad_end => [qr/bad string end/,
        hmget("*5\r\n\$5000\r\n${big}xx")],
    many_large => [qr/make no sense/,
        hmget("*20\r\n" . bulk($big) x 20)],
    no_picture => [qr/ignored: no PNG signature/,
        hmget("*5\r\n" . bulk($big, '{}', '0' x 32, '1')
              . "\$-1\r\n")],
    oversize => [qr/ignored: the record has no png/,
        hmget("*5\r\n" . bulk('x' x 3_000_000, '{}', '0' x 32, '1')
              . "\$-1\r\n")],
);

our %port = Binarize::FakeRedis::start(map { $_ => $servers{$_}[1] }
                                                keys %servers);
our $config = '';

# a busy machine is no reason to time out, unless that is what is to be seen
for my $name (sort keys %servers) {
    my $times = $servers{$name}[0] =~ /timed out/ ? ''
        : "\n        timeout=10s connect_timeout=10s";

    $config .= "location /$name/ {\n"
        . "    binarize_pass"
        . " http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;\n"
        . "    binarize_redis redis://127.0.0.1:$port{$name}"
        . " prefix=$name:$times;\n"
        . "    binarize_cache off;\n"
        . "    binarize_max_size 1m;\n}\n";
}

run_file();

__DATA__

=== a miss, whatever it says
--- config eval: $::config
--- perl
for my $name (sort keys %::servers) {
    my (@wrong, $slowest);

    $slowest = 0;

    for (1 .. 12) {
        my $id = task(size => 300);
        my $lag = lag();
        my $answer = get("/$name/$id");
        my $took = $answer->{seconds} - (lag() - $lag);

        push @wrong, $answer->{status}
            if $answer->{status} != 200
               || $answer->{body} ne cloud->result($id)
               || fetches($id) != 1;

        $slowest = $took if $took > $slowest;
    }

    is_deeply(\@wrong, [], "$name: misses");
    cmp_ok($slowest, '<', $valgrind ? 10 : 2, "$name: in bounded time");

    my $of = qr/"127\.0\.0\.1:$::port{$name}\/0"|record "$name:/;
    logged(qr/redis (?:$of).*$::servers{$name}[0]/, "$name: it is said");
}

is(scalar(nginx_workers()), 2, 'the workers live');


=== and it is not said again and again
--- config eval: $::config
--- perl
for (1 .. 20) {
    get("/closed/" . task(size => 300));
    get("/loading/" . task(size => 300));
    get("/http/" . task(size => 300));
}

# once by each worker, and each of its listeners
my $log = error_log();

for my $name ('closed', 'loading', 'http') {
    my $n = () = $log =~ /\[(?:error|warn)\].*:$::port{$name}.*is not usable/g;

    cmp_ok($n, '>=', 1, "$name: it is said");
    cmp_ok($n, '<=', 4, "$name: once a worker");
}
