use FindBin;
use lib "$FindBin::Bin/../lib";

# Varnish in front of the gateway.  BINARIZE_VARNISH=1: it is there, Debian's
# package varnish.

BEGIN {
    if (!$ENV{BINARIZE_VARNISH}) {
        print "1..0 # SKIP BINARIZE_VARNISH is not set\n";
        exit 0;
    }
}

use Binarize;
use Binarize::Cdn;
use Binarize::Process;

our $front = $port + 2;

our $http = Binarize::Cdn::http();
our $config = Binarize::Cdn::config();

file_write('default.vcl', <<"VCL");
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "$port";
}
VCL

# no grace: what is stale is not served while it is fetched anew; keep: it is
# there to be revalidated
our @varnishd = ($ENV{BINARIZE_VARNISHD} // 'varnishd', '-F', '-j', 'none',
    '-a', "127.0.0.1:$front", '-n', "$dir/varnish", '-s', 'malloc,32m',
    '-f', "$dir/default.vcl", '-p', 'default_grace=0', '-p', 'default_keep=60',
    '-p', 'thread_pool_min=5', '-p', 'thread_pools=1');

our $varnish = fork() // die;

if ($varnish == 0) {
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>', "$dir/varnish.log");
    open(STDERR, '>&', \*STDOUT);
    exec(@varnishd) or POSIX::_exit(127);
}

run_file();

is(Binarize::Process::stop($varnish), 0, 'Varnish ended in peace');

__DATA__

=== Varnish
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $up = until_true {
    IO::Socket::INET->new(PeerAddr => "127.0.0.1:$main::front")
};

if (ok($up, 'Varnish is up')) {
    Binarize::Cdn::check($main::front);

} else {
    diag(file_read('varnish.log'));
}
