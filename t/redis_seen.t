use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# A record that was verified once is not verified again, but any other is.

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $config = <<'CONFIG';
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
        binarize_cache off;
    }
    location /small/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
        binarize_cache off;
        binarize_max_size 20k;
    }
CONFIG

sub key {
    return "binarize:binarizeimage:$_[0]";
}

run_file();

__DATA__

=== hits, and a byte that changes in each field
--- config eval: $::config
--- perl
my $id = task(size => 30_000);
my $other = task(size => 30_001);
my $key = main::key($id);
my $png = cloud->result($id);
my $document = get("/redis/$id.json")->{body};

get("/redis/$other.png");
tolerate(qr/redis record .* ignored/);

# both workers have seen it
for (1 .. 20) {
    answer_is(get("/redis/$id.png"), [200, body => $png,
              'Cache-Status' => qr/detail=redis/], "PNG, $_");
    answer_is(get("/redis/$id.json"), [200, body => $document,
              'Cache-Status' => qr/detail=redis/], "JSON, $_");
}

is(fetches($id), 1, 'one call');

my %good = map { $_ => $::redis->cmd('HGET', $key, $_) }
    qw(png doc etag stored);
my $calls = 1;

my $flipped = $good{png};

substr($flipped, 20_000, 1) ^= "\1";

for (['png', $flipped],
     ['png', substr($good{png}, 0, 29_999)],
     ['etag', $good{etag} =~ tr/0-9a-f/1-9a-f0/r],
     ['doc', $good{doc} =~ s/"Ok"/"No"/r],
     ['stored', 'x'],
     ['png', $::redis->cmd('HGET', main::key($other), 'png')])
{
    my ($field, $bad) = @$_;

    isnt($bad, $good{$field}, "$field is another");
    $::redis->cmd('HSET', $key, $field, $bad);

    my $answer = get("/redis/$id.png");

    answer_is($answer, [200, body => $png], "$field: the right PNG");
    is(fetches($id), ++$calls, "$field: from the cloud");

    until_true { ($::redis->cmd('HGET', $key, $field) // '') ne $bad };
}

is(get("/redis/$id.json")->{body}, $document, 'a record again');


=== what one location takes, another may not
--- config eval: $::config
--- perl
my $id = task(size => 30_000);

get("/redis/$id.png") for 1 .. 10;
tolerate(qr/redis record .* ignored|too large|no document/);

isnt(get("/small/$id.png")->{status}, 200, 'larger than its binarize_max_size')
    for 1 .. 6;
