use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use List::Util qw(max min);
use Time::HiRes qw(sleep);

use Binarize;

worker_connections(4096);

# the second port sends no more than the client reads
$ENV{TEST_NGINX_PORT2} = $port + 2;
log_level('info');

# a worker may die with the mutex
tolerate(qr/exited on signal 9/, qr/was locked by/);

our $config = <<'CONFIG';
    location /one/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache one;
    }
    location /two/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache two;
    }
    location /mid/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache mid;
    }
    location /big/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache big;
    }
    location /deskew/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_cache one;
    }
    location = /json { binarize_status json; }
CONFIG

our $http = <<'CONFIG' . $config . "    }\n";
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone one:8m;
    binarize_zone two:4m;
    binarize_zone mid:16m;
    binarize_zone big:32m;
    binarize_max_size 5m;
    binarize_negative_valid 60s;
    add_header X-Worker $pid always;
    server {
        listen 127.0.0.1:$TEST_NGINX_PORT2 sndbuf=16k;
CONFIG

sub entries {
    return zone_status(@_)->{l1_entries}{result};
}

# Reloads, and waits until the new workers alone take requests; the old ones
# may have work left.
sub reload {
    my %old = map { $_ => 1 } nginx_workers();
    my $n = 0;

    nginx_signal('HUP');
    until_true {
        $n = $old{get('/json')->header('X-Worker')} ? 0 : $n + 1;
        $n == 20;
    };

    return keys %old;
}

# Clients that read slowly.
sub slowly {
    return crowd([@_], -port => $port + 2);
}

sub configure {
    my ($from, $to) = @_;
    my $conf = file_read('root/conf/nginx.conf');

    $conf =~ s/\Q$from\E/$to/ or die "no $from\n";
    file_write('root/conf/nginx.conf', $conf);
}

# New ids one after the other, until so many bytes have gone through; wanted
# again, they displace what was wanted before.  Of every second one the size
# is known before.
sub churn {
    my ($place, $bytes, $least, $most, $again, $each) = @_;
    my @done;

    while ($bytes > 0) {
        my $size = $least + int(rand($most - $least));
        my $id = task(size => $size,
                      framing => @done % 2 ? 'chunked' : 'length');
        my $answer = get("$place$id");

        die "$answer->{status}\n"
            if $answer->{status} != 200 || length($answer->{body}) != $size;

        get("$place$id") for 1 .. $again // 0;
        cloud->delete("tasks/$id");
        push @done, [$id, $size];
        $bytes -= $size;
        $each->() if $each;
    }

    return @done;
}

# Fills a zone ten times over with sizes up to $most; what of it was live after
# each one, once some had to go.
sub fill {
    my ($name, $most, $done) = @_;
    my $size = zone_status($name)->{zone_size_bytes};
    my @shares;

    push @$done, churn("/$name/", 10 * $size, 1024, $most, 0, sub {
        my $status = zone_status($name);

        push @shares, $status->{l1_used_bytes}{result} / $size
            if $status->{l1_evictions}{result};
    });

    note(sprintf('%s up to %d: %.1f %% to %.1f %%, %d of %d below 85 %%',
                 $name, $most, 100 * min(@shares), 100 * max(@shares),
                 scalar(grep { $_ < 0.85 } @shares), scalar @shares));

    return @shares;
}

# What can be had of those, of the zone; the cloud has nothing any more.
sub had {
    my ($name, @done) = @_;
    my $live = 0;

    for (reverse @done) {
        my ($id, $length) = @$_;
        my $answer = get("/$name/$id");

        next if $answer->{status} != 200;

        $live += $length;
        die "wrong length\n" if length($answer->{body}) != $length;
    }

    return $live / zone_status($name)->{zone_size_bytes};
}

run_file();

__DATA__

=== it survives a reload
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(size => $_) } 700, 50_000, 900_000;
my $missing = guid();

get("/one/$_") for @ids, $missing;

for (1 .. 2) {
    my @old = main::reload();

    ok(until_true(sub { !grep { Binarize::alive($_) } @old }),
       'the old workers go');

    for (@ids) {
        answer_is(get("/one/$_"), [200, body => cloud->result($_),
                                   'Cache-Status' => qr/detail=l1$/], 'a hit');
    }

    is(get("/one/$missing")->source, 'negative', 'a negative answer, too');
}

is(fetches($_), 1, 'one call') for @ids, $missing;


=== another size is another zone
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 700_000);
my $sha = Digest::SHA::sha256_hex(cloud->result($id));

get("/one/$id");
get("/two/$id");
is(get("/one/$id")->source, 'l1', 'known');

# an old worker goes on with what it has
my $slow = main::slowly({ uri => "/one/$id", rate => 500_000 });

until_true { zone_status('one')->{l1_pinned_entries} };
main::configure('one:8m', 'one:9m');
main::reload();

is(zone_status('one')->{zone_size_bytes}, 9 * 1048576, 'it has a new size');
is(main::entries('one'), 0, 'and is empty');
is(get("/two/$id")->source, 'l1', 'the other one is not');
is(get("/one/$id")->source, 'stored', 'fetched again');
is(get("/one/$id")->source, 'l1', 'known again');
is(($slow->answers())[0]{sha}, $sha, 'the old worker has sent all of it');

main::configure('one:9m', 'one:8m');
main::reload();
is(zone_status('one')->{zone_size_bytes}, 8 * 1048576, 'and back');
zone_is_clean($_) for 'one', 'two';


=== zones and namespaces are apart
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 1000);

is(get("/one/$id")->source, 'stored', 'in one zone');
is(get("/two/$id")->source, 'stored', 'in the other zone');
is(get("/$_/$id")->source, 'l1', 'kept') for 'one', 'two';
is(fetches($id), 2, 'a call for each');

task(-id => $id, op => 'deskewimage', size => 2000);
answer_is(get("/deskew/$id"), [200, 'Content-Length' => 2000,
          'Cache-Status' => qr/stored/], 'another namespace');
answer_is(get("/one/$id"), [200, 'Content-Length' => 1000], 'is another key');


=== filled ten times over
--- http_config eval: $::http
--- config eval: $::config
--- perl
for (['one', 1024, 1 .. 3], ['mid', 2048, 4], ['big', 4096, 5]) {
    my ($name, $most, @seeds) = @$_;
    my @done;

    for my $seed (@seeds) {
        srand($seed);

        is(scalar(grep { $_ < 0.85 }
                  main::fill($name, $most * 1024, \@done)),
           0, "$name is full of live entries at every moment, $seed");
    }

    my $status = zone_status($name);
    is($status->{l1_used_bytes}{result} + $status->{l1_free_bytes},
       $status->{l1_blocks_bytes}, 'every block is used or free');

    cmp_ok(main::had($name, @done), '>=', 0.85, 'they can be had');
    zone_is_clean($name);
}


=== what is too large passes by a full zone
--- http_config eval: $::http
--- config eval: $::config
--- perl
srand(6);
main::churn('/one/', 12 * 1048576, 1024, 1048576);

my $before = zone_status('one');

cmp_ok($before->{l1_evictions}{result}, '>', 0, 'some had to go');

for my $framing (qw(length chunked close)) {
    my $id = task(size => 3_000_000, framing => $framing);

    answer_is(get("/one/$id"), [200, body => cloud->result($id)], $framing);
}

my $status = zone_status('one');

is_deeply([@$status{qw(l1_entries l1_used_bytes l1_evictions)}],
          [@$before{qw(l1_entries l1_used_bytes l1_evictions)}],
          'nobody made room');
zone_is_clean('one');


=== who reads slowly gets what he began with
--- http_config eval: $::http
--- config eval: $::config
--- perl
# together less than a quarter of the zone: more would not stay pinned
my @ids = map { task(size => $_) } 600_000, 320_000, 480_000;
my %sha = map { $_ => Digest::SHA::sha256_hex(cloud->result($_)) } @ids;
my @old = @ids[0, 1];

get("/one/$_") for @ids;

my $json = get("/one/$ids[1].json")->{body};

$sha{json} = Digest::SHA::sha256_hex($json);

my $slow = main::slowly(
    (map { { uri => "/one/$_", tag => $_, rate => 60_000 } } @ids),
    { uri => "/one/$ids[1].json", tag => 'json', rate => 60_000 },
    { uri => "/one/$ids[2]", tag => 'left', rate => 10_000, leave => 1500 });

ok(until_true(sub { zone_status('one')->{l1_pinned_entries} >= 2 }),
   'they are pinned');

main::churn('/one/', 24 * 1048576, 20_000, 600_000, 3);

my $status = zone_status('one');

cmp_ok($status->{l1_zombie_entries} + $status->{l1_pinned_entries}, '>=', 1,
       'they still are, while others came and went');

my %answer = map { $_->{tag} => $_ } $slow->answers();

is($answer{$_}{sha}, $sha{$_}, 'every byte is right') for sort keys %sha;
is($answer{left}{fate}, 'left', 'one has left');
zone_is_clean('one');


=== all of it is being read
--- http_config eval: $::http
--- config eval: $::config
--- perl
# two: four times its quarter
my @ids = map { task(size => 700_000) } 1 .. 5;
my %sha = map { $_ => Digest::SHA::sha256_hex(cloud->result($_)) } @ids;

get("/two/$_") for @ids;

my $slow = main::slowly(map { { uri => "/two/$_", tag => $_,
                                rate => 250_000 } } @ids);

sleep(0.2);

for (1 .. 5) {
    my $id = task(size => 700_000);
    my $answer = get("/two/$id");

    answer_is($answer, [200, body => cloud->result($id)],
              'one more is served all the same');
}

my $missing = guid();
is(get("/two/$missing")->{status}, 404, 'one that is missing, too');

is_deeply(tally(sub { $_[0]{sha} eq $sha{$_[0]{tag}} }, $slow->answers()),
          { 1 => 5 }, 'the slow ones get every byte');
zone_is_clean('two');

my $later = task(size => 700_000);

get("/two/$later");
is(get("/two/$later")->source, 'l1', 'there is room again');


=== a worker dies with pins and half an entry
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $exiting (0, 1) {
    my $id = task(size => 1_500_000);
    my $half = task(size => 1_000_000, dribble => 20_000, dribble_ms => 100);

    get("/one/$id");

    my $crowd = main::slowly({ uri => "/one/$id", rate => 20_000 },
                             { uri => "/one/$half" });
    my $status = until_true {
        my $status = zone_status('one');
        $status->{l1_pinned_entries} && $status->{l1_building_entries}
            && $status;
    };

    ok($status, 'one is sent, one is received');

    my @workers = nginx_workers();

    main::reload() if $exiting;
    kill('KILL', @workers);
    $crowd->answers();

    ok(until_true(sub { !grep { Binarize::alive($_) } @workers }),
       $exiting ? 'they die on their way out' : 'they die');
    zone_is_clean('one');

    answer_is(get("/one/$id"), [200, body => cloud->result($id),
              'Cache-Status' => qr/detail=l1/], 'it is still there');
    answer_is(get("/one/$half"), [200, body => cloud->result($half),
              'Cache-Status' => qr/stored/], 'the other one comes again');
}


=== what is not a zone
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $nginx = $Test::Nginx::Util::NginxBinary // 'nginx';

# a later nginx says it in the log, too
tolerate(qr/\[emerg\].*binarize_zone/);

for (['two:4m', 'two:100k', qr/binarize_zone: zone "two:100k" is too small/],
     ['two:4m', 'two:0', qr/binarize_zone/],
     ['two:4m', 'two', qr/binarize_zone/])
{
    my ($from, $to, $want) = @$_;

    main::configure($from, $to);

    my $said = `$nginx -t -p $dir/root/ -c $dir/root/conf/nginx.conf 2>&1`;

    isnt($?, 0, "$to is refused");
    like($said, $want, 'and why');
    main::configure("$to;", "$from;");
}


=== a document in as many places as there are holes
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone small:1m;
    binarize_max_size 256k;
    binarize_negative_valid 60s;
--- config
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_purge on;
    }
    location = /json { binarize_status json; }
--- perl
my @ids;

until ((zone_status()->{l1_evictions}{result} // 0) > 20) {
    push @ids, task(size => 300);
    get("/b/$ids[-1]");
}

# no two of them side by side
my @hole = @ids[grep { $_ % 2 } $#ids - 300 .. $#ids];
get("/b/$_", -method => 'PURGE') for @hole;

# larger than any of the holes, and small enough for all of them
for my $size (8_000, 20_000, 40_000) {
    my $id = task(status => 'Error', unknown => 1, unknown_size => $size);
    my $document = get("/b/$id.json")->{body};

    cmp_ok(length($document), '>', $size, "a document of $size bytes");

    for my $format ('json', 'json', 'png') {
        my $answer = get("/b/$id.$format");

        is($answer->{status}, $format eq 'json' ? 200 : 502, "as $format");
        is($answer->source, 'negative', 'from the zone');
        ok($answer->{body} eq $document, 'all of it') if $format eq 'json';
    }

    is(fetches($id), 1, 'one call');
}
