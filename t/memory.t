use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;
use Binarize::Memory;

worker_connections(4096);

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 60s;
        binarize_poll 30s;
    }
    location /often/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
        binarize_wait 60s;
        binarize_poll 50ms max=50ms;
    }
CONFIG

sub memory {
    return Binarize::Memory->new(nginx_pid(), nginx_workers());
}

run_file();

__DATA__

=== what a request takes that waits, each for a picture of its own
--- config eval: $::config
--- perl
return pass('valgrind takes more') if $valgrind;

my $n = 1000;

# what a worker's first requests take
get('/b/' . guid()) for 1 .. 20;

# all calls are in the air at once
cloud->fault('any', { status => 'Pending', delay_ms => 8000 });
cloud->post('reset');

my $memory = main::memory();
my $crowd = crowd([map { { uri => '/b/' . guid() } } 1 .. $n]);

ok($memory->watch(sub { cloud->calls->{in_air} == $n }, $patience),
   'all calls are in the air');

my $flying = $memory->now() / $n;

ok($memory->watch(sub { cloud->calls->{in_air} == 0 }, $patience),
   'all calls are over');

# the last answers are read by then
$memory->watch(sub { $memory->now() < 16 * $n }, $patience);
my $held = $memory->now() / $n;

# most of it is nginx's own: its connection, its request, their buffers
diag(sprintf('%.1f KB a request while its call is in the air, %.1f then',
             $flying, $held)) if $ENV{BINARIZE_MEMORY};
cmp_ok($flying, '<', 23, 'while the calls are in the air');
cmp_ok($held, '<', 17, 'between polls');

$crowd->stop();
cloud->delete('faults/any');


=== it does not grow with each poll
--- config eval: $::config
--- perl
return pass('valgrind takes more') if $valgrind;

my $n = 100;

# what a call takes while it is in the air is not what grows: both times all
# of them are
my $slow = sub {
    cloud->fault('any', { status => 'Pending', delay_ms => 8000 });
};
my $in_air = sub { cloud->calls->{in_air} == $n };

$slow->();
cloud->post('reset');

my $memory = main::memory();
my $crowd = crowd([map { { uri => '/often/' . guid() } } 1 .. $n]);

ok($memory->watch($in_air, $patience), 'all calls are in the air');
my $before = $memory->now();

cloud->fault('any', { status => 'Pending' });

ok($memory->watch(sub { cloud->calls->{fetches} >= 150 * $n }, 2 * $patience),
   'many polls');

$slow->();
ok($memory->watch($in_air, $patience), 'all calls are in the air again');

my $grown = ($memory->now() - $before) / $n;

diag(sprintf('%.1f KB a request', $grown)) if $ENV{BINARIZE_MEMORY};
cmp_ok($grown, '<', 20, 'no more memory');

$crowd->stop();
cloud->delete('faults/any');
