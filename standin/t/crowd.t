# Many at once.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Test::More;
use Time::HiRes qw(time);

use Standin qw(guid);

my $n = 800;
my $s = Standin->new();
my $id = guid();

$s->control('PUT', "tasks/$id?size=20000&delay_ms=3000");

my $request = $s->request('GET', "/v5.0/ocr/binarizeimage?id=$id",
                          headers => [$s->bearer()]);
my @sockets = map { $s->connect() } 1 .. $n;
my $t = time();

syswrite($_, $request) for @sockets;

my $ok = 0;

for my $socket (@sockets) {
    my ($bytes, $end) = $s->drain($socket);
    my $a = Standin::parse($bytes);
    $ok++ if $a->{status} == 200 && $a->{whole} && $end eq 'eof'
             && length($a->{body}) > 26000;
}

is($ok, $n, "$n at once");
cmp_ok(time() - $t, '<', 3 * $n / 10, 'together, not in a row');

my $calls = $s->calls($id);
is($calls->{fetches}, $n, 'all counted');
cmp_ok($calls->{max_in_air}, '>', $n / 2, 'most in the air together');
is($calls->{in_air}, 0, 'none left');

# one connection, many requests
my $other = guid();
$s->control('PUT', "tasks/$other?pending=3000");
my $socket = $s->connect();
$request = $s->request('GET', "/v5.0/ocr/binarizeimage?id=$other",
                       headers => [$s->bearer()], keepalive => 1);
$t = time();
my $bytes = '';

for (1 .. 20) {
    syswrite($socket, $request x 50);
    my $want = 50;

    while ($want > 0) {
        my ($got) = $s->drain($socket, undef, 1);
        last if $got eq '';
        $want -= () = $got =~ /NotReady/g;
        $bytes .= $got;
    }
}

is(scalar(() = $bytes =~ /^HTTP\/1\.1 200 OK\r$/mg), 1000,
   'a thousand on one connection');
diag(sprintf('%.0f requests/s, pipelined by Perl', 1000 / (time() - $t)));

is($s->stop(), 0, 'clean end');
is($s->file('err'), '', 'nothing on stderr');

done_testing();
