use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;

use Binarize;

# Large pictures on their way to Redis and back: whole, without a copy, and
# with a Redis that stops in the middle.

our $redis = redis_server('--enable-debug-command', 'yes');
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $config = <<'CONFIG';
    location /l1/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=2s;
    }
    location /l2/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=2s;
        binarize_cache off;
    }
    location /status {
        binarize_status json;
    }
CONFIG

our $zone = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone binarize:120m;
CONFIG

sub key {
    return "binarize:binarizeimage:$_[0]";
}

sub stored {
    my ($id) = @_;
    return until_true(sub { $redis->cmd('EXISTS', key($id)) });
}

# the entries of the zone that somebody reads
sub pinned {
    return decode_json(get('/status')->{body})->{zones}[0]{l1_pinned_entries};
}

# the most memory a worker had since its peak was forgotten, in KiB
sub peak {
    my ($pid) = @_;
    return (file_read("/proc/$pid/status") =~ /^VmHWM:\s*(\d+)/m)[0];
}

sub forget_peak {
    my ($pid) = @_;

    open(my $file, '>', "/proc/$pid/clear_refs") or return;
    print $file '5';
    close($file);
}

run_file();

__DATA__

=== whole, of all sizes around the pieces they go in
--- http_config eval: $::zone
--- config eval: $::config
--- perl
for my $size (65_535, 65_536, 65_537, 131_072, 524_288, 1_000_000, 9_000_000,
              25_000_000)
{
    for my $at ('l1', 'l2') {
        my $id = task(size => $size);
        my $png = cloud->result($id);

        answer_is(get("/$at/$id"), [200, body => $png,
                  'Cache-Status' => qr/stored/], "$at, $size: a miss");
        ok(main::stored($id), "$at, $size: stored");
        ok($::redis->cmd('HGET', main::key($id), 'png') eq $png,
           "$at, $size: as it is");
        answer_is(get("/l2/$id"), [200, body => $png,
                  'Cache-Status' => qr/detail=redis/], "$at, $size: a hit");
        is(fetches($id), 1, "$at, $size: one call");

        $::redis->cmd('DEL', main::key($id));
    }
}


=== many at once, in their order
--- http_config eval: $::zone
--- config eval: $::config
--- perl
my @ids = map { task(size => $_ % 2 ? 700_000 + $_ : 3000 + $_) } 1 .. 24;
my @answers = crowd([map { { uri => "/l2/$_" } } @ids])->answers();

is_deeply(tally(status => @answers), { 200 => 24 }, 'all are answered');

for my $id (@ids) {
    main::stored($id);
    ok($::redis->cmd('HGET', main::key($id), 'png') eq cloud->result($id),
       'each is what it is');
    $::redis->cmd('DEL', main::key($id));
}


=== without a copy
--- http_config eval: $::zone
--- config eval: $::config
--- processes: 1
--- perl
my ($pid) = nginx_workers();
my $size = 25_000_000;

SKIP: {
    skip 'valgrind has memory of its own', 2 if $valgrind;

    for my $at ('l1', 'l2') {
        get("/$at/" . task(size => 300));
        main::forget_peak($pid);

        my $before = main::peak($pid);
        my $id = task(size => $size);

        get("/$at/$id");
        main::stored($id);

        cmp_ok(main::peak($pid) - $before, '<', 1.5 * $size / 1024,
               "$at: the memory of one picture");
        $::redis->cmd('DEL', main::key($id));
    }
}


=== Redis stops in the middle
--- http_config eval: $::zone
--- config eval: $::config
--- perl
for my $at ('l1', 'l2') {
    my @ids = map { task(size => 20_000_000) } 1 .. 2;

    # a connection stands
    get("/$at/" . task(size => 300)) for 1 .. 4;
    $::redis->freeze();

    for my $id (@ids) {
        my $answer = get("/$at/$id");
        ok($answer->{body} eq cloud->result($id), "$at: answered all the same");
        cmp_ok($answer->{seconds}, '<', 10 + lag(), "$at: in bounded time");
    }

    $::redis->thaw();

    ok(until_true(sub {
           my $id = task(size => 300);
           get("/l2/$id");
           $::redis->cmd('EXISTS', main::key($id));
       }), "$at: Redis is used again");

    # nothing of a transaction that broke off
    for my $id (@ids) {
        my $png = $::redis->cmd('HGET', main::key($id), 'png');
        ok(!defined $png || $png eq cloud->result($id),
           "$at: all of it, or nothing");
        $::redis->cmd('DEL', main::key($id));
    }
}

ok(until_true(sub { main::pinned() == 0 }), 'what was not sent is let go');

for (1 .. 8) {
    my $id = task(size => 20_000_000);
    answer_is(get("/l1/$id"), [200, 'Cache-Status' => qr/stored/], 'room');
    main::stored($id);
    answer_is(get("/l1/$id"), [200, 'Cache-Status' => qr/detail=l1/], 'a hit');
    $::redis->cmd('DEL', main::key($id));
}


=== connections that are killed in the middle
--- http_config eval: $::zone
--- config eval: $::config
--- perl
for (1 .. 5) {
    my $id = task(size => 20_000_000);
    my $begun = begin("/l1/$id");

    until_true(sub {
        $::redis->cmd('CLIENT', 'LIST') =~ /qbuf=[1-9]\d{5}/;
    }, 2);
    $::redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

    answer_is($begun->answer(), [200, body => cloud->result($id)], 'answered');
    $::redis->cmd('DEL', main::key($id));
}
