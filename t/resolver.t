use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $dns = Binarize::DNS->new();
$ENV{TEST_NGINX_DNS} = "127.0.0.1:$dns->{port}";
$ENV{TEST_NGINX_CLOUD_PORT} = cloud->{port};

our $config = <<'CONFIG';
    resolver $TEST_NGINX_DNS ipv6=off;
    resolver_timeout 2s;

    location /b/ {
        binarize_pass http://cloud.test:$TEST_NGINX_CLOUD_PORT/v5.0/ocr/binarizeimage;
    }
CONFIG

$dns->set('cloud.test' => '127.0.0.1 1');

run_file();

__DATA__

=== a name, at run time
--- config eval: $::config
--- perl
my $dns = $main::dns;

$dns->set('cloud.test' => '127.0.0.1 60');

my $id = task(size => 300);
answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'resolved');
is((grep { $_->[0] eq 'Host' } @{ (cloud->last_fetch($id))[1] })[0][1],
   "cloud.test:$ENV{TEST_NGINX_CLOUD_PORT}", 'Host is the name');

is(get('/b/' . task(size => 300))->{status}, 200, 'again') for 1 .. 10;

# by each worker, for the token and for the fetch
cmp_ok($dns->asked('cloud.test'), '<=', 4, 'kept for the TTL');


=== the TTL is respected
--- config eval: $::config
--- perl
my $dns = $main::dns;

$dns->set('cloud.test' => '127.0.0.1 1');
nginx_restart();
is(get('/b/' . task(size => 300))->{status}, 200, 'there');

# nobody listens there
$dns->set('cloud.test' => '127.0.0.2 1');
my $failed = until_true {
    get('/b/' . task(size => 300))->{status} == 502
};
ok($failed, 'it has moved');

$dns->set('cloud.test' => '127.0.0.1 1');
ok(until_true(sub { get('/b/' . task(size => 300))->{status} == 200 }),
   'and back');


=== several addresses
--- config eval: $::config
--- perl
my $dns = $main::dns;

$dns->set('cloud.test' => '127.0.0.2 127.0.0.3 127.0.0.1 60');
nginx_restart();

for (1 .. 6) {
    my $id = task(size => 300);
    is(get("/b/$id")->{status}, 200, 'one of three is there');
    is(fetches($id), 1, 'one call');
}


=== no answer, no such name
--- config eval: $::config
--- perl
my $dns = $main::dns;

for (['nxdomain', 502], ['servfail', '50[24]'], ['empty', 502],
     ['silence', '50[24]'])
{
    my ($what, $status) = @$_;

    $dns->set('cloud.test' => $what);
    nginx_restart();

    my $answer = get('/b/' . guid());
    my ($slug) = ($answer->json->{type} // '') =~ /^urn:binarize:([a-z-]+)$/;

    like($answer->{status}, qr/^$status$/, $what);
    like($slug // '', qr/^cloud-(?:unreachable|timeout)$/, "a problem: $slug");
    cmp_ok($answer->{seconds}, '<', 4 + lag(), 'in time');

    $dns->set('cloud.test' => '127.0.0.1 1');
    ok(until_true(sub { get('/b/' . task(size => 300))->{status} == 200 }),
       'it recovers');
}


=== a client leaves while the name is resolved
--- config eval: $::config
--- perl
my $dns = $main::dns;

$dns->set('cloud.test' => 'silence');
nginx_restart();

my @all = map { begin('/b/' . guid()) } 1 .. 10;
until_true { $dns->asked('cloud.test') };
$_->leave() for @all;

$dns->set('cloud.test' => '127.0.0.1 1');
ok(until_true(sub { get('/b/' . task(size => 300))->{status} == 200 }),
   'others are well');

# nginx ends while a name is being resolved
$dns->set('cloud.test' => 'silence');
nginx_restart();
my $client = begin('/b/' . guid());
ok(nginx_stop(), 'it ends');
$client->leave();
nginx_start();
