use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

run_file();

__DATA__

=== the implicit zone
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
location /named/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_cache binarize;
}
--- perl
my $id = task(size => 300);
is(get("/b/$id")->source, 'stored', 'stored');
is(get("/named/$id")->source, 'l1', 'the same zone');


=== several zones
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone one:1m;
    binarize_zone two:2m;
    binarize_cache two;
--- config
location /one/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_cache one;
}
location /two/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
location /two-off/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_cache two off;
}
--- perl
my $id = task(size => 300);

is(get("/one/$id")->source, 'stored', 'in one');
is(get("/two/$id")->source, 'stored', 'not in two');
is(get("/one/$id")->source, 'l1', 'a hit of one');
is(get("/two/$id")->source, 'l1', 'a hit of two');
is(fetches($id), 2, 'a call for each zone');
is(get("/two-off/$id")->source, 'bypass', 'nothing is taken from two');


=== binarize_cache off keeps nothing, but collapses
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
    binarize_cache off;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
--- perl
my $id = task(size => 30_000, delay_ms => 400);
my $png = cloud->result($id);
my @all = map { begin("/b/$id") } 1 .. 30;

for (@all) {
    my $answer = $_->answer();
    answer_is($answer, [200, body => $png], 'at once: ' . $answer->source);
}

is(fetches($id), 1, 'one call for all of them');

# the clients of the other worker have just looked it up
until_true { get("/b/$id")->source eq 'bypass' };
my $n = fetches($id);
is(get("/b/$id")->{status}, 200, 'later');
is(fetches($id), $n + 1, 'a call of its own');

# what is no result is remembered all the same, it lives in the zone
$id = guid();
get("/b/$id");
is(get("/b/$id")->source, 'negative', 'NotExist');
is(fetches($id), 1, 'one call');


=== an entry takes at most a quarter of the zone
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
    binarize_zone small:1m;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
--- perl
my $id = task(size => 100_000);
is(get("/b/$id")->source, 'stored', 'a small one is stored');
is(get("/b/$id")->source, 'l1', 'a hit');

$id = task(size => 500_000);
my $png = cloud->result($id);

for (1 .. 2) {
    answer_is(get("/b/$id"), [200, body => $png,
              'Cache-Status' => 'binarize; fwd=uri-miss'], 'a large one is not');
}

is(fetches($id), 2, 'two calls');


=== the zone is full
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone small:1m;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
--- perl
my (%png, @ids);

for my $i (1 .. 60) {
    unshift @ids, my $id = task(size => 1000 + 2500 * ($i % 20));
    $png{$id} = cloud->result($id);
    get("/b/$id");
}

my ($hits, $wrong) = (0, 0);

for my $id (@ids) {
    my $answer = get("/b/$id");
    $hits++ if $answer->source eq 'l1';
    $wrong++ if $answer->{status} != 200 || $answer->{body} ne $png{$id};
}

is($wrong, 0, 'each has its own bytes');
cmp_ok($hits, '>', 0, 'some were kept');
cmp_ok($hits, '<', 60, 'and some gave way');


=== nothing is pushed out while there is room
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone small:1m;
    binarize_poll 1h;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
location = /json { binarize_status json; }
--- perl
my @ids = map {
    task(status => 'Pending', unknown => 1, unknown_size => 80)
} 1 .. 400;

my %size = map { length(get("/b/$_.json")->{body}) => 1 } @ids;
note('documents of ' . join(', ', sort keys %size) . ' bytes');
ok(!(grep { $_ < 200 } keys %size), 'not in the head');

my $before = zone_status();
is($before->{l1_entries}{pending}, 400, 'all are remembered');
is($before->{l1_evictions}{pending}, 0, 'none went');

my @again = map { get("/b/$_.json")->source } @ids;
is(scalar(grep { $_ eq 'pending' } @again), 400, 'the zone answers');
is(scalar(grep { fetches($_) != 1 } @ids), 0, 'one call each');

# those above their share go first when there is none
my $status;
do {
    get('/b/' . task(size => 30_000));
    $status = zone_status();
} until ($status->{l1_evictions}{pending} || $status->{l1_evictions}{result});

cmp_ok($status->{l1_free_bytes}, '<', 40_000, 'the room was used up');
is($status->{l1_evictions}{result}, 0, 'no result went');


=== results expire
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_valid 3s;
}
--- perl
my $id = task(size => 300);

is(get("/b/$id")->source, 'stored', 'a miss');
is(get("/b/$id")->source, 'l1', 'a hit');
sleep(3.2);
is(get("/b/$id")->source, 'stored', 'a miss again');
is(fetches($id), 2, 'two calls');


=== one process, no master
--- processes: 0
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_wait 3s;
}
--- perl
my $id = task(size => 300, pending_ms => 600);
my @all = map { begin("/b/$id") } 1 .. 5;

is($_->answer()->{status}, 200, 'one that waited') for @all;
is(get("/b/$id")->source, 'l1', 'a hit');


=== four workers
--- processes: 4
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
--- perl
my $id = task(size => 30_000, delay_ms => 500);
my $png = cloud->result($id);
my @all = map { begin("/b/$id") } 1 .. 60;

is(scalar(grep { $_->answer()->{body} ne $png } @all), 0, 'sixty at once');
is(fetches($id), 1, 'one call');
