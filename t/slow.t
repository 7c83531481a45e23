use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use IO::Uncompress::Gunzip qw(gunzip);
use Time::HiRes qw(sleep);

use Binarize;
use Binarize::Memory;

# Clients that do not read: what they hold has a bound, and who reads on gets
# every byte.

worker_connections(4096);

# the ports but the first send no more than the client reads
our $narrow = $port + 1;
our $h2c = $port + 2;
our $tls = $port + 3;

our $full = "$dir/full.now";

our $redis = redis_server();

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
       . "-keyout $dir/key.pem -out $dir/cert.pem > $dir/openssl.log 2>&1") == 0
    or die "openssl: " . file_read('openssl.log');

our $locations = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_purge on;
        gzip on;
        gzip_types application/json;
    }
    location /off/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_cache off;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=60s;
    }
    location = /json { binarize_status json; }
CONFIG

our $http = <<"CONFIG";
    binarize_credentials \$TEST_NGINX_CREDENTIALS;
    binarize_zone z:32m;
    binarize_max_size 8m;
    client_body_temp_path $dir/copies;

    server {
        listen 127.0.0.1:$narrow sndbuf=16k;
        listen 127.0.0.1:$h2c http2 sndbuf=16k;
        listen 127.0.0.1:$tls ssl sndbuf=16k;
        ssl_certificate $dir/cert.pem;
        ssl_certificate_key $dir/key.pem;

$locations
    }
CONFIG

$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
$ENV{FULL_FILE} = $full;
$ENV{LD_PRELOAD} = $Test::Nginx::Util::ld_preload
    = compile('full.c', '-shared', '-fPIC') unless $valgrind;

# A client that does not read yet, but has got the beginning.
sub stalled {
    my $client = begin(@_, -port => $narrow, -rcvbuf => 4096);

    $client->has_answer($patience) or die "no answer\n";

    return $client;
}

# The copies there are, of all workers.
sub copies {
    return scalar grep { (readlink($_) // '') =~ m{^\Q$dir\E/copies/.*deleted} }
                  map { glob("/proc/$_/fd/*") } Binarize::children(nginx_pid());
}

# Bytes of the zone that are held by who reads.
sub held {
    my $status = zone_status();
    my $used = 0;

    $used += $_ for values %{ $status->{l1_used_bytes} };

    return $used - $status->{l1_evictable_bytes} + $status->{l1_zombie_bytes};
}

# As much as may be held is, by a client of a picture of its own; returns the
# client and the picture.
sub hold {
    my $id = task(size => 7_300_000);

    # a hit: what comes may be in memory of its own
    get("/b/$id");
    my $client = main::stalled("/b/$id");

    until_true { main::held() > 7_000_000 } or die "nothing is held\n";

    return ($client, cloud->result($id));
}

# Tests: no copy is left, nor anything else.
sub all_is_well {
    is((until_true { main::copies() == 0 }) ? 0 : main::copies(), 0,
       'no copy is left');
    is(join(' ', glob("$dir/copies/*")), '', 'nor a name of one');
    zone_is_clean();
}

run_file();

__DATA__

=== a few that do not read leave room for others
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my @ids = map { task(size => 7_300_000 + $_) } 1 .. 4;
my @slow = map { main::stalled("/b/$_") } @ids;

ok(until_true { main::held() < 8_000_000 }, 'they hold a quarter at most');

my $id = task(size => 4_000_000);
my $png = cloud->result($id);

is(scalar(grep { get("/b/$id")->{body} eq $png } 1 .. 5), 5, 'others are served');
is(fetches($id), 1, 'by one call');

cmp_ok(main::copies(), '<=', 3, 'a copy for each of the others');

for (@ids) {
    is(sha256_hex(shift(@slow)->answer()->{body}),
       sha256_hex(cloud->result($_)), 'who reads on gets every byte');
}

main::all_is_well();


=== whatever it is that they read
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my ($holder, $held) = main::hold();
my $id = task(size => 3_000_000);
my $png = cloud->result($id);
my $json = get("/b/$id.json")->{body};
my $n = length($png);

# over two, whose copies each worker has for itself
my @slow = map { [@$_, main::stalled("/b/$id" . shift(@$_), @$_)] } (
    ['.png'], ['.png'],
    ['.json'],
    ['.json', 'Accept-Encoding' => 'gzip'],
    ['.png', 'Range' => 'bytes=10-2999989'],
    ['.png', 'Range' => 'bytes=-2900000'],
    ['.png', 'Range' => 'bytes=5-1999999,2500000-2999998'],
    ['.json', 'Range' => 'bytes=100-3499999'],
);

# none of them has anything of the zone
ok(until_true { main::held() < 8_000_000 }, 'only as much as may be is held');
cmp_ok(main::copies(), '>=', 1, 'there are copies');
cmp_ok(main::copies(), '<=', 2, 'at most one a worker');

my @answers = map { $_->[-1]->answer() } @slow;

answer_is($answers[0], [200, body => $png], 'PNG');
answer_is($answers[1], [200, body => $png], 'PNG, another one');
answer_is($answers[2], [200, body => $json], 'JSON');

my $zipped = $answers[3]{body};
gunzip(\$zipped => \my $text);
is($answers[3]->header('Content-Encoding'), 'gzip', 'JSON by gzip');
ok($text eq $json, 'every byte');

answer_is($answers[4], [206, body => substr($png, 10, 2_999_980),
          'Content-Range' => "bytes 10-2999989/$n"], 'a range');
answer_is($answers[5], [206, body => substr($png, -2_900_000)], 'the end');
answer_is($answers[7], [206, body => substr($json, 100, 3_499_900)],
          'a range of JSON');

my ($mark) = $answers[6]->header('Content-Type')
             =~ m{^multipart/byteranges; boundary=(\S+)$};

is($answers[6]{status}, 206, 'several ranges');
ok($answers[6]{body} eq join('', map {
       my ($from, $to) = @$_;
       "\r\n--$mark\r\nContent-Type: image/png\r\n"
       . "Content-Range: bytes $from-$to/$n\r\n\r\n"
       . substr($png, $from, $to - $from + 1)
   } [5, 1_999_999], [2_500_000, 2_999_998]) . "\r\n--$mark--\r\n",
   'every byte');

answer_is($holder->answer(), [200, body => $held], 'who was there before');
is(fetches($id), 1, 'one call');

main::all_is_well();


=== over HTTP/2 and TLS
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my ($holder, $held) = main::hold();
my $id = task(size => 3_000_000);
my $json = get("/b/$id.json")->{body};

for (['HTTP/2', '--http2-prior-knowledge', "http://127.0.0.1:$::h2c"],
     ['HTTPS', '--http1.1', "https://127.0.0.1:$::tls"])
{
    my ($name, $option, $base) = @$_;

    for (['PNG', '.png', cloud->result($id)], ['JSON', '.json', $json],
         ['a range', '.png', substr(cloud->result($id), 9, 2_999_000),
          '-r', '9-2999008'])
    {
        my ($what, $suffix, $body, @args) = @$_;

        # it does not read on as long as we do not read what it has
        open(my $f, '-|', 'curl', '-sk', '-m', $patience, $option, @args,
             "$base/b/$id$suffix") or die "curl: $!\n";
        binmode($f);

        ok(until_true { main::copies() }, "$name, $what: there is a copy");

        my $got = do { local $/; readline($f) };
        close($f);

        is(length($got), length($body), "$name, $what: all of it");
        ok($got eq $body, "$name, $what: every byte");
    }
}

$holder->leave();
main::all_is_well();


=== many of one picture, and of many
--- http_config eval: $::http
--- config eval: $::locations
--- perl
return pass('valgrind takes long') if $valgrind;

my ($holder) = main::hold();
my @ids = map { task(size => 7_000_000 + $_) } 1 .. 20;
my $id = task(size => 4_000_000);
my $memory = Binarize::Memory->new(nginx_pid(), nginx_workers());
my $all = crowd([map { { uri => "/b/$ids[$_ % 20]",
                         rate => 1 } } 0 .. 999], -port => $::narrow);

# some may be in memory, within what a worker may have there
ok(until_true { main::copies() >= 12 && main::held() < 8_000_000
                && zone_status()->{waiting_requests} == 0 },
   'the zone has given nothing away')
    or diag(main::copies() . ' copies, ' . main::held() . ' held');
cmp_ok(main::copies(), '<=', 40, 'a copy a picture and worker');

get("/b/$id") for 1 .. 5;
is(fetches($id), 1, 'what comes is kept');

# the zone is a part of it: all of it may be touched by now
my $most = 32 * 1024 + 1000 * (64 + 24) + 2 * 32 * 1024;
ok(until_true { $memory->now() < $most }, 'nor does the heap');
diag($memory->now() . ' KB') if $ENV{BINARIZE_MEMORY};

$all->stop();
$holder->leave();
main::all_is_well();


=== where nothing is kept
--- http_config eval: $::http
--- config eval: $::locations
--- perl
return pass('valgrind takes long') if $valgrind;

# one after the other: each has a picture of its own, of the cloud or of Redis
for (['off', 'binarizeimage', 40], ['redis', 'deskewimage', 1]) {
    my ($place, $op, $calls) = @$_;
    my $id = task(size => 7_000_000, op => $op);
    my $sha = sha256_hex(cloud->result($id, $op));

    get("/redis/$id") if $op eq 'deskewimage';
    until_true { get("/redis/$id")->source eq 'redis' }
        if $op eq 'deskewimage';

    my $memory = Binarize::Memory->new(nginx_pid(), nginx_workers());
    my @slow = map { main::stalled("/$place/$id") } 1 .. 40;

    is(fetches($id, undef, op => $op), $calls, "$place: calls");
    ok(until_true { $memory->now() < 2 * (32 + 7 + 16) * 1024 },
       'few have it in memory') or diag($memory->now() . ' KB');
    cmp_ok(main::copies(), '>=', 1, 'the others have a copy');
    cmp_ok(main::copies(), '<=', 2, 'one a worker');

    is(scalar(grep { sha256_hex($_->answer()->{body}) eq $sha } @slow), 40,
       'every byte');
}

main::all_is_well();


=== purged, evicted and reloaded meanwhile
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my ($holder, $held) = main::hold();
my $id = task(size => 5_000_000);
my $png = cloud->result($id);
my @slow = map { main::stalled("/b/$id$_") } ('', '', '.json');

ok(until_true { main::copies() && main::held() < 8_000_000 }, 'copied');

is(get("/b/$id", -method => 'PURGE')->{status}, 204, 'purged');

# its successor has other bytes
task(-id => $id, size => 5_100_000);
my $new = cloud->result($id);
my @more = map { main::stalled("/b/$id") } 1 .. 2;

get('/b/' . task(size => 6_000_000)) for 1 .. 8;

my @old = nginx_workers();
nginx_signal('HUP');
until_true { my %old = map { $_ => 1 } @old;
             grep { !$old{$_} } nginx_workers() };

answer_is(get("/b/$id"), [200, body => $new], 'the new workers have the new');
answer_is(shift(@slow)->answer(), [200, body => $png], 'what they began with')
    for 1 .. 2;
like(shift(@slow)->answer()->{body}, qr/"Completed"/, 'JSON, too');
answer_is($_->answer(), [200, body => $new], 'and who came after the purge')
    for @more;
answer_is($holder->answer(), [200, body => $held], 'who was there before');

ok(until_true(sub { !grep { Binarize::alive($_) } @old }),
   'the old workers go');
main::all_is_well();


=== who leaves while he is waited for
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my ($holder) = main::hold();
my $id = task(size => 7_000_000);
my $png = cloud->result($id);

get("/b/$id");

for my $round (1 .. 10) {
    my @slow = map { begin("/b/$id", -port => $::narrow, -rcvbuf => 4096,
                           $_ % 3 ? () : (Range => 'bytes=0-9,6000000-')) }
               1 .. 6;

    $_->reset() for splice(@slow, 0, 3);
    is(scalar(grep { length($_->answer()->{body}) >= 1_000_000 } @slow), 3,
       'the others are served');
}

answer_is(get("/b/$id"), [200, body => $png], 'and others');
$holder->leave();
main::all_is_well();


=== without a directory, and on a full disk
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $id = task(size => 3_000_000);
my $png = cloud->result($id);

get("/b/$id");

for my $what ('no directory', 'full') {
    next if $valgrind && $what eq 'full';

    my ($holder, $held) = main::hold();

    if ($what eq 'full') {
        file_write($::full, '');

    } else {
        rename("$dir/copies", "$dir/away");
    }

    my @slow = (main::stalled("/b/$id"), main::stalled("/b/$id.json"),
                main::stalled("/b/$id", Range => 'bytes=1-1000000,2000000-'));

    logged($what eq 'full' ? qr/pwrite\(\) ".*No space left/
                           : qr/open\(\) ".*copies.*failed/, "$what: logged");

    unlink($::full);
    rename("$dir/away", "$dir/copies");

    answer_is($slow[0]->answer(), [200, body => $png], "$what: PNG");
    like($slow[1]->answer()->{body}, qr/"Completed"/, "$what: JSON");
    is(length($slow[2]->answer()->{body}) > 2_000_000, 1, "$what: ranges");
    answer_is($holder->answer(), [200, body => $held], "$what: the holder");
}

main::all_is_well();


=== HEAD and a condition hold nothing
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my ($holder) = main::hold();
my $id = task(size => 3_000_000);
my $etag = get("/b/$id")->header('ETag');
my $head = "Host: localhost\r\n";

# the answers do not get through: who asks does not read what was before
my @slow = map {
    my $client = begin("/b/$id", -port => $::narrow, -rcvbuf => 4096,
        -raw => "GET /b/$id HTTP/1.1\r\n$head\r\n"
                . ("HEAD /b/$id HTTP/1.1\r\n$head\r\n"
                   . "GET /b/$id HTTP/1.1\r\n${head}If-None-Match: $etag\r\n\r\n")
                  x 200
                . "GET /b/$id HTTP/1.1\r\n${head}Connection: close\r\n\r\n");
    $client->has_answer($patience);
    $client
} 1 .. 3;

ok(until_true { main::held() < 8_000_000 }, 'they hold nothing');

is(scalar(grep { length($_->drain()) > 6_000_000 } @slow), 3, 'all is answered');

$holder->leave();
main::all_is_well();
