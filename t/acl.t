use FindBin;
use lib "$FindBin::Bin/lib";

# The module with no more rights in Redis than redis/users.acl gives it: Redis
# itself tells what it refused.

use Binarize;

our $password = secret('acl-p4ssw0rd');
file_write('redis-password', "$password\n");

my $acl = `sh $Binarize::top/redis/make-acl.sh $dir/redis-password`;
file_write('users.acl', "${acl}user tester on >tester ~* &* +\@all\n");

our $redis = redis_server('--aclfile', "$dir/users.acl");
$ENV{TEST_NGINX_REDIS} = "redis://binarize\@127.0.0.1:$redis->{port} "
                         . "password_file=$dir/redis-password";

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
    binarize_redis $TEST_NGINX_REDIS;
    binarize_wait 5s;
    binarize_poll 100ms max=200ms;
    binarize_purge on;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /budget/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_budget rate=100r/s burst=100 concurrency=5 quota=1000/month
                        shared;
    }
CONFIG

# As the user of this file; once a connection.
sub redis {
    $main::redis->cmd('AUTH', 'tester', 'tester');
    return $main::redis->cmd(@_);
}

sub refused {
    my @log = map { my %entry = @$_; "$entry{reason} $entry{object}" }
              @{ redis('ACL', 'LOG') };
    return "@log";
}

run_file();

__DATA__

=== results, leases and landings
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $node = node();

# on both nodes: a fetch, a hit, one that both wait for, and one not there
my $id = task(size => 200_000);

is(get("/b/$id")->{status}, 200, 'a miss');
until_true { main::redis('EXISTS', "binarize:binarizeimage:$id") };
answer_is(get("/b/$id", -port => $node->{port}), [200,
          'Cache-Status' => qr/^binarize; hit; ttl=\d+; detail=redis$/],
          "the other node's hit");

my $pending = task(size => 300, pending => 3);
my @all = map { begin("/b/$pending", -port => $_) } ($port, $node->{port}) x 4;

is(join(' ', map { $_->answer()->{status} } @all), join(' ', (200) x 8),
   'both wait');
is(fetches($pending), 4, 'for the same calls');

my $missing = guid();

is(get("/b/$missing")->{status}, 404, 'nothing there');
is(get("/b/$missing", -port => $node->{port})->{status}, 404, 'nor here');

is(get("/b/$id", -method => 'PURGE')->{status}, 204, 'removed');
is(main::redis('EXISTS', "binarize:binarizeimage:$id"), 0, 'from Redis, too');

is(main::refused(), '', 'Redis refused nothing');
ok(main::redis('INFO', 'commandstats') =~ /cmdstat_publish/, 'it was asked');


=== a budget that is shared
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(op => 'deskewimage', delay_ms => 30) } 1 .. 20;
my @all = map { begin("/budget/$_") } @ids;

is(join(' ', map { $_->answer()->{status} } @all), join(' ', (200) x 20),
   'all are served');
is_deeply([grep { /budget/ } @{ main::redis('KEYS', '*:quota') }],
          [main::redis('KEYS', '{binarize:budget:*')->[0] =~ s/:\w+$/:quota/r],
          'the quota is in Redis');

my $busy = task(op => 'deskewimage');

cloud->fault($busy, { http => 429, retry_after => 1, times => 1,
                      op => 'deskewimage' });
is(get("/budget/$busy")->{status}, 503, 'the cloud is busy');
until_true { @{ main::redis('KEYS', '{binarize:budget:*:pause') } };
is(scalar(@{ main::redis('KEYS', '{binarize:budget:*:pause') }), 1,
   'for all nodes');

is(main::refused(), '', 'Redis refused nothing');
