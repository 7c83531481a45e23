use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);

use Binarize;

our $password = secret("p4ss&w/rd %\xc3\xa4 #1");
our $redis = redis_server();
our $guarded = redis_server('--requirepass', $password);
our $prefix = 'binarize:binarizeimage:';

$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
$ENV{TEST_NGINX_REDIS_PORT} = $redis->{port};
$ENV{TEST_NGINX_GUARDED} = "127.0.0.1:$guarded->{port}";
$ENV{TEST_NGINX_SOCK} = $redis->{sock};
$ENV{TEST_NGINX_DEAD} = '127.0.0.1:' . ($port + 3);

file_write('redis-password', "$password\n");
file_write('redis-bad-password', "wrong\n");

# the URL has to escape what is not safe in it
$redis->cmd('ACL', 'SETUSER', 'gate', 'on', '>' . secret('url-p4ss/w0rd'),
            '~user:*', '~{user:*', '&*', '+@all');
$ENV{TEST_NGINX_REDIS_PASSWORD} = 'url-p4ss%2Fw0rd';
secret($ENV{TEST_NGINX_REDIS_PASSWORD});

our $location = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
        binarize_cache off;
    }
CONFIG

sub record {
    my ($id) = @_;
    return $redis->hash("$prefix$id");
}

# Until Redis has the record: it is written behind the answer.
sub stored {
    my ($id, $on, $seconds) = @_;
    return Binarize::until_true(sub {
        ($on // $redis)->cmd('EXISTS', "$prefix$id") eq '1';
    }, $seconds);
}

run_file();

__DATA__

=== the record, as other programs read it
--- config eval: $::location
--- perl
for my $size (300, 100_000, 2_000_000) {
    my $id = task(size => $size, messages => "\xc3\xa4", escape => 'all');
    my $png = cloud->result($id);
    my $before = time();
    my $answer = get("/b/$id");
    my $key = "$main::prefix$id";

    is($answer->source, 'stored', 'stored');
    ok(main::stored($id), 'there is a record');

    my $record = main::record($id);
    is_deeply([sort keys %$record], ['doc', 'etag', 'png', 'stored'],
              'its fields');
    is($record->{png}, $png, 'png: the raw bytes');
    is($record->{etag}, substr(sha256_hex($png), 0, 32), 'etag: of the PNG');
    is($answer->header('ETag'), "\"$record->{etag}\"", 'that of the answer');
    cmp_ok(abs($record->{stored} - $before), '<=', 2 + lag(),
           'stored: unix seconds');

    (my $document = cloud->document($id)) =~ s/"data":"[^"]*"/"data":""/;
    is($record->{doc}, $document, 'doc: the document with an empty payload');

    my $ttl = $main::redis->cmd('TTL', $key);
    cmp_ok($ttl, '<=', 2592000, 'TTL: binarize_valid');
    cmp_ok($ttl, '>', 2591970, 'TTL');
}

# by redis-cli
my $id = task(size => 300);
get("/b/$id");
main::stored($id);
my $cli = "redis-cli -p $main::redis->{port} --raw HGET $main::prefix$id";
is(`$cli png`, cloud->result($id) . "\n", 'redis-cli: png');

is_deeply([grep { !/^\{?\Q$main::prefix\E/ } $main::redis->keys()], [],
          'no key of another name');


=== a hit
--- config eval: $::location
--- perl
for my $size (300, 100_000, 2_000_000) {
    my $id = task(size => $size);
    my $first = get("/b/$id");
    main::stored($id);

    for ('', '.json', '.png') {
        answer_is(get("/b/$id$_"), [200,
                  'Cache-Status' => qr/^binarize; hit; ttl=\d+; detail=redis$/,
                  'Last-Modified' => $first->header('Last-Modified')],
                  "from Redis, $size bytes");
    }

    answer_is(get("/b/$id"), [200, body => $first->{body},
              ETag => $first->header('ETag')], 'the same bytes');
    is(fetches($id), 1, 'one cloud call');
}


=== ttl is Redis' own
--- config eval: $::location
--- perl
my $id = task(size => 300);
get("/b/$id");
main::stored($id);
$main::redis->cmd('EXPIRE', "$main::prefix$id", 100);
like(get("/b/$id")->header('Cache-Status'), qr/ttl=(100|9\d);/, 'ttl');

# L1 does not outlive it
$main::redis->cmd('PERSIST', "$main::prefix$id");
is(get("/b/$id")->{status}, 200, 'a record that never expires');


=== L1 takes the ttl of Redis
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                   connect_timeout=10s;
    binarize_valid 50s;
}
--- perl
my $id = task(size => 300);
get("/b/$id");
ok(main::stored($id), 'stored');
like($main::redis->cmd('TTL', "$main::prefix$id"), qr/^(50|4\d)$/, 'TTL');
like(get("/b/$id")->header('Cache-Status'), qr/ttl=(50|4\d); detail=l1/,
     'that of L1');

nginx_restart();
$main::redis->cmd('EXPIRE', "$main::prefix$id", 30);
like(get("/b/$id")->header('Cache-Status'), qr/ttl=(30|2\d); detail=redis/,
     'what is left');
like(get("/b/$id")->header('Cache-Status'), qr/ttl=(30|2\d); detail=l1/,
     'not longer in L1');


=== user, password, db, socket, prefix
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone z0:1m;
    binarize_zone z1:1m;
    binarize_zone z2:1m;
    binarize_zone z3:1m;
    binarize_zone z4:1m;
    binarize_zone z5:1m;
    binarize_zone z6:1m;
    binarize_zone z7:1m;
    binarize_cache z0 off;
--- config
location /password/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_GUARDED password_file=$TEST_NGINX_DIR/redis-password
                   timeout=10s connect_timeout=10s;
}
location /wrong/ {
    binarize_cache z1 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_GUARDED password_file=$TEST_NGINX_DIR/redis-bad-password prefix=w:
                   timeout=10s connect_timeout=10s;
}
location /nopass/ {
    binarize_cache z2 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_GUARDED prefix=n: timeout=10s
                   connect_timeout=10s;
}
location /user/ {
    binarize_cache z3 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://gate:$TEST_NGINX_REDIS_PASSWORD@$TEST_NGINX_REDIS prefix=user:
                   timeout=10s connect_timeout=10s;
}
location /db/ {
    binarize_cache z4 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_REDIS/7 timeout=10s
                   connect_timeout=10s;
}
location /sock/ {
    binarize_cache z5 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis unix:$TEST_NGINX_SOCK?db=3 prefix=s:;
}
location /prefix/ {
    binarize_cache z6 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/DeskewImage;
    binarize_redis redis://$TEST_NGINX_REDIS prefix=a:b- timeout=10s
                   connect_timeout=10s;
}
location /name/ {
    binarize_cache z7 off;
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://localhost:$TEST_NGINX_REDIS_PORT prefix=name:
                   timeout=10s connect_timeout=10s;
}
--- perl
my $redis = $main::redis;

for (['password', $main::guarded, 0, 'binarize:binarizeimage:'],
     ['user', $redis, 0, 'user:binarizeimage:'],
     ['db', $redis, 7, 'binarize:binarizeimage:'],
     ['sock', $redis, 3, 's:binarizeimage:'],
     ['prefix', $redis, 0, 'a:b-deskewimage:'],
     ['name', $redis, 0, 'name:binarizeimage:'])
{
    my ($at, $server, $db, $prefix) = @$_;
    my @op = $at eq 'prefix' ? (op => 'deskewimage') : ();
    my $id = task(size => 300, @op);

    is(get("/$at/$id")->{status}, 200, $at);

    $server->cmd('AUTH', $main::password) if $at eq 'password';
    $server->cmd('SELECT', $db);
    ok(until_true(sub { $server->cmd('EXISTS', "$prefix$id") }),
       "$at: a record in db $db");
    $server->cmd('SELECT', 0);

    answer_is(get("/$at/$id"), [200, 'Cache-Status' => qr/detail=redis$/],
              "$at: a hit");
}

for my $at ('wrong', 'nopass') {
    for (1 .. 3) {
        my $id = task(size => 300);
        is(get("/$at/$id")->{status}, 200, "$at: a miss and no error");
        is(fetches($id), 1, 'a cloud call');
    }
}

logged(qr/\[(?:error|warn)\].*(?:WRONGPASS|invalid username-password)/i,
       'a wrong password is told');
logged(qr/\[(?:error|warn)\].*NOAUTH/, 'a password that is wanted is told');


=== what is no record of ours is a miss, and is replaced
--- config eval: $::location
--- perl
my $redis = $main::redis;

sub intact {
    my $id = task(size => 300);
    get("/b/$id");
    main::stored($id);
    return $id;
}

my $png = cloud->result(intact());

for (['a string', sub { $_[0]->cmd('SET', $_[1], 'x') }],
     ['a list', sub { $_[0]->cmd('RPUSH', $_[1], 'x') }],
     ['a set', sub { $_[0]->cmd('SADD', $_[1], 'x') }],
     ['a sorted set', sub { $_[0]->cmd('ZADD', $_[1], 1, 'x') }],
     ['a stream', sub { $_[0]->cmd('XADD', $_[1], '*', 'png', 'x') }],
     ['other fields', sub { $_[0]->cmd('HSET', $_[1], 'a', 'b') }],
     map({
         my ($field, $value) = @$_;
         ["$field is " . (defined $value ? substr($value, 0, 20) : 'gone'),
          sub {
              my ($on, $key, $whole) = @_;
              $on->cmd('HSET', $key, %$whole);
              defined $value ? $on->cmd('HSET', $key, $field, $value)
                             : $on->cmd('HDEL', $key, $field);
          }]
     } ['png'], ['png', ''], ['png', 'x'], ['png', substr($png, 0, -1)],
       ['png', $png . 'x'], ['png', substr($png, 0, 100) . 'X'
                                    . substr($png, 101)],
       ['doc'], ['doc', ''], ['doc', '{'], ['doc', '{}'], ['doc', '[]'],
       ['doc', '{"taskStatus":"Pending"}'],
       ['doc', '{"taskStatus":"Completed","responseStatusCode":"Ok",'
               . '"results":[{"type":"ImagePNG","data":"AAAA"}]}'],
       ['doc', '{"id":"f0000000-0000-4000-8000-00000000000f",'
               . '"taskStatus":"Completed","responseStatusCode":"Ok",'
               . '"results":[{"type":"ImagePNG","data":""}]}'],
       ['doc', 'x' x 70_000],
       ['etag'], ['etag', ''], ['etag', 'x' x 32], ['etag', '0' x 31],
       ['etag', '0' x 32], ['etag', "\"\r\nX-Evil: 1\r\n\""],
       ['stored'], ['stored', ''], ['stored', 'x'], ['stored', '1.5'],
       ['stored', '9' x 30]))
{
    my ($name, $make) = @$_;
    my $id = intact();

    $name =~ tr/\x20-\x7e/?/c;

    my $key = "$main::prefix$id";
    my $whole = main::record($id);

    $redis->cmd('DEL', $key);
    my $reply = $make->($redis, $key, $whole);
    die "$name: $reply" if defined $reply && $reply =~ /^-/;
    $redis->cmd('EXPIRE', $key, 1000);

    my $answer = get("/b/$id");

    answer_is($answer, [200, body => cloud->result($id),
              'X-Evil' => undef], "$name: 200");
    is(fetches($id), 2, 'from the cloud');
    ok(until_true(sub {
           my $type = $redis->cmd('TYPE', $key);
           $type eq 'hash' && (main::record($id)->{png} // '') eq $whole->{png}
           && scalar(keys %{ main::record($id) }) == 4;
       }), 'it is replaced');
    answer_is(get("/b/$id"), [200, 'Cache-Status' => qr/detail=redis$/],
              'a hit again');
    is(fetches($id), 2, 'no further call');
}

# unknown fields beside ours do not matter
my $id = intact();
$redis->cmd('HSET', "$main::prefix$id", 'note', 'x' x 1000);
answer_is(get("/b/$id"), [200, 'Cache-Status' => qr/detail=redis$/],
          'a field more');


=== Redis is away
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_DEAD;
    binarize_cache off;
}
--- perl
for (1 .. 20) {
    my $id = task(size => 300);
    my $answer = get("/b/$id");
    answer_is($answer, [200, body => cloud->result($id)], 'a miss');
    cmp_ok($answer->{seconds}, '<', 1 + lag(), 'soon');
}

my $lines = () = error_log() =~ /\[(?:error|warn|alert|crit)\].*redis/gi;
cmp_ok($lines, '>=', 1, 'it is logged');
cmp_ok($lines, '<=', 4, 'once for each worker');

# it comes up
my ($port) = $ENV{TEST_NGINX_DEAD} =~ /:(\d+)/;
my $late = redis_server(-port => $port);
my $id;

ok(until_true(sub {
       $id = task(size => 300);
       get("/b/$id");
       $late->cmd('EXISTS', "$main::prefix$id");
   }), 'it is tried again');

$late->stop();
is(get('/b/' . task(size => 300))->{status}, 200, 'down again') for 1 .. 10;
$late->start();
ok(until_true(sub {
       my $id = task(size => 300);
       get("/b/$id");
       $late->cmd('EXISTS', "$main::prefix$id");
   }), 'and up again');
$late->stop();


=== Redis hangs
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis redis://$TEST_NGINX_REDIS timeout=300ms connect_timeout=300ms;
    binarize_cache off;
}
--- perl
my $redis = $main::redis;

get('/b/' . task(size => 300)) for 1 .. 4;
$redis->freeze();

my $slow = 0;

for (1 .. 20) {
    my $id = task(size => 300);
    my $lag = lag();
    my $answer = get("/b/$id");

    $lag = lag() - $lag;

    answer_is($answer, [200, body => cloud->result($id)], 'a miss');
    cmp_ok($answer->{seconds}, '<', 2 + $lag, 'in bounded time');
    $slow++ if $answer->{seconds} > 0.25 + $lag;
}

cmp_ok($slow, '<=', 8, 'not each of them pays the time-out');
$redis->thaw();

ok(until_true(sub {
       my $id = task(size => 300);
       get("/b/$id");
       $redis->cmd('EXISTS', "$main::prefix$id");
   }), 'it is used again');


=== Redis takes nothing
--- config eval: $::location
--- perl
my $redis = $main::redis;

for (['read-only', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
     ['no memory', ['CONFIG', 'SET', 'maxmemory', '1'],
      ['CONFIG', 'SET', 'maxmemory', '0']],
     ['no write allowed', ['ACL', 'SETUSER', 'default', '-@write'],
      ['ACL', 'SETUSER', 'default', '+@all']],
     ['nothing allowed', ['ACL', 'SETUSER', 'default', '-hgetall', '-hmget',
      '-hget', '-eval', '-evalsha', '-hset', '-multi'],
      ['ACL', 'SETUSER', 'default', '+@all']])
{
    my ($name, $break, $mend) = @$_;

    my $reply = $redis->cmd(@$break);
    like($reply, qr/^OK/, $name);

    for (1 .. 10) {
        my $id = task(size => 300);
        answer_is(get("/b/$id"), [200, body => cloud->result($id)],
                  "$name: a miss");
    }

    $redis->cmd(@$mend);

    ok(until_true(sub {
           my $id = task(size => 300);
           get("/b/$id");
           $redis->cmd('EXISTS', "$main::prefix$id");
       }), "$name: over");
}


=== connections that are killed
--- config eval: $::location
--- perl
my $redis = $main::redis;

for (1 .. 5) {
    my $id = task(size => 300);
    is(get("/b/$id")->{status}, 200, 'well');

    # unless that worker's connection died and it had not noticed
    main::stored($id, $redis, 1);
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    my $answer = get("/b/$id");
    is($answer->{status}, 200, 'after a kill');
    cmp_ok($answer->{seconds}, '<', 1 + lag(), 'soon');
}


=== none of Redis, by "off"
--- http_config
    binarize_max_size 8m;
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_redis redis://$TEST_NGINX_REDIS prefix=outer: timeout=10s
                   connect_timeout=10s;
--- config
location /outer/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
}
location /off/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_redis off;
}
--- perl
my ($outer, $off) = map { task(size => 300) } 1 .. 2;

get("/off/$off");
get("/outer/$outer");
ok(until_true(sub {
       $main::redis->cmd('EXISTS', "outer:binarizeimage:$outer");
   }), 'inherited');
is($main::redis->cmd('EXISTS', "outer:binarizeimage:$off"), 0, 'off');
