use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# Several gateways, clouds and credentials in one configuration.

our $other = $port + 2;

file_write('other-secret', secret("0ther-s3cret\n") =~ s/\n//r);

our $second = Binarize::Cloud->new($dir, '--client-id', 'other-id',
                                   '--client-secret-file',
                                   "$dir/other-secret");
$second->delete('credentials', { client_id => 'an-id' });

our $redis = redis_server();

$ENV{TEST_NGINX_SECOND} = "127.0.0.1:$second->{port}";

our $http = <<"CONFIG";
    binarize_zone one:8m;
    binarize_zone two:8m;
    binarize_max_size 2m;
    binarize_cache one;
    binarize_redis redis://127.0.0.1:$redis->{port} prefix=one:;
    binarize_credentials \$TEST_NGINX_CREDENTIALS;

    server {
        listen 127.0.0.1:$other;
        binarize_cache two;
        binarize_redis redis://127.0.0.1:$redis->{port} prefix=two:;
        binarize_credentials client_id=other-id
                             client_secret_file=$dir/other-secret;
        binarize_format json;

        location /b/ {
            binarize_pass http://\$TEST_NGINX_SECOND/v5.0/ocr/binarizeimage;
        }
        location /mint/ {
            binarize_pass http://\$TEST_NGINX_SECOND/v5.0/ocr/binarizeimage;
            binarize_redis off;
        }
    }
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /deskew/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
    }
    location /dewarp/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/DewarpImage;
    }
    location /upscale/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/upscaleimage;
    }
    location /mirror-of-b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
CONFIG

# Debian's, which fits no other nginx
our $image_filter = '/usr/lib/nginx/modules/ngx_http_image_filter_module.so';

file_write('try.conf', "load_module $image_filter;\npid $dir/try.pid;\n"
           . "error_log stderr;\nevents { }\n");

undef $image_filter
    if system("$nginx -t -q -e stderr -c $dir/try.conf 2> /dev/null") != 0;

run_file();

is($second->stop(), 0, 'the second stand-in ended in peace');

__DATA__

=== one id in two clouds
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();
my @clouds = (cloud, $main::second);
my @png;

for my $i (0, 1) {
    task(-id => $id, -cloud => $clouds[$i], size => 500 + $i);
    $png[$i] = $clouds[$i]->result($id);
}

for my $from ('stored', 'l1') {
    for my $i (0, 1) {
        my $answer = get("/b/$id.png", -port => $port + 2 * $i);
        answer_is($answer, [200, body => $png[$i]], "server $i");
        is($answer->source(), $from, "from $from");
    }
}

isnt($png[0], $png[1], 'two pictures');
answer_is(get("/b/$id", -port => $main::other),
          [200, 'Content-Type' => 'application/json'],
          'each server has its own defaults');

is(join(' ', grep { /\Q$id\E$/ } $main::redis->keys()),
   "one:binarizeimage:$id two:binarizeimage:$id", 'two records');

# each knows only its own pair
is($_->calls()->{token}{ok}, 1, 'its own credentials') for @clouds;
is($_->calls()->{token}{refused}, 0, 'no others') for @clouds;


=== sister endpoints are kept apart
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();
my %op = (b => 'binarizeimage', deskew => 'deskewimage',
          dewarp => 'dewarpimage', upscale => 'upscaleimage');
my %png;
my $n = 600;

for my $at (sort keys %op) {
    task(-id => $id, op => $op{$at}, size => $n++);
    $png{$at} = cloud->result($id, $op{$at});
}

for my $from ('stored', 'l1') {
    for my $at (sort keys %op) {
        my $answer = get("/$at/$id");
        answer_is($answer, [200, body => $png{$at},
                  'ETag' => qr/^"[0-9a-f]{32}"$/], "$op{$at}");
        is($answer->source(), $from, "from $from");
    }
}

answer_is(get("/mirror-of-b/$id"), [200, body => $png{b},
          'Cache-Status' => qr/detail=l1/], 'the same endpoint is one');
is(join(' ', grep { /:\w+:\Q$id\E$/ } $main::redis->keys()),
   join(' ', map { "one:$_:$id" } sort values %op), 'a record each');

# a task of another endpoint only
$id = task(op => 'deskewimage');
answer_is(get("/b/$id"), [404], 'not found here');
answer_is(get("/deskew/$id"), [200], 'found there');


=== image_filter makes other pictures of the same result
--- main_config eval
$::image_filter ? "load_module $::image_filter;" : ''
--- http_config eval: $::http
--- config eval
$::config . ($::image_filter ? '
    location /size/ {
        image_filter size;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /turned/ {
        image_filter rotate 90;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }' : '')
--- perl
SKIP: {
    Test::More::skip('no image_filter module', 5)
        unless $main::image_filter;

    my $id = task(size => 20_000);
    my $png = cloud->result($id);

    like(get("/size/$id")->{body}, qr/"type": "png"/, 'a miss');
    like(get("/turned/$id")->{body}, qr/^\x89PNG/, 'a hit');
    ok(get("/turned/$id")->{body} ne $png, 'another picture');
    answer_is(get("/b/$id"), [200, body => $png,
              'Cache-Status' => qr/detail=l1/], 'what was stored');
    is(fetches($id), 1, 'one cloud call');
}


=== reloads to other credentials, as many as there is room for
--- http_config
    binarize_zone small:1m;
    binarize_max_size 256k;
    binarize_wait 10s;
    binarize_poll 200ms max=400ms;
--- config eval
CORE::join '', map {
    "location /$_/ { binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/${_}image; "
    . "binarize_credentials client_id=first-$_ "
    . "client_secret_file=\$TEST_NGINX_DIR/other-secret; }\n"
} qw(binarize deskew dewarp upscale);
--- perl
my @ops = qw(binarize deskew dewarp upscale);
my @generations = qw(first second third);
my $conf = file_read("$dir/root/conf/nginx.conf");

for my $op (@ops) {
    cloud->put('credentials', { client_id => "$_-$op" }, '0ther-s3cret')
        for @generations;
}

my $before = cloud->calls()->{token}{ok};
my @clients;

for my $generation (@generations) {
    if ($generation ne 'first') {
        my @old = nginx_workers();

        $conf =~ s/client_id=\w+-/client_id=$generation-/g;
        file_write("$dir/root/conf/nginx.conf", $conf);
        nginx_signal('HUP');
        until_true {
            !grep { Binarize::alive($_)
                    && file_read("/proc/$_/cmdline") !~ /shutting down/ } @old
        };
    }

    my @ids = map { task(op => "${_}image", size => 300,
                         pending_ms => 5000) } @ops;

    push @clients, map { begin("/$ops[$_]/$ids[$_]") } 0 .. $#ops;
    until_true {
        !grep { !fetches($ids[$_], undef, op => "$ops[$_]image") } 0 .. $#ops
    };
}

is_deeply(tally(status => map { $_->answer() } @clients), { 200 => 12 },
          'all are answered');
is(cloud->calls()->{token}{ok} - $before, 12, 'a token for each');
