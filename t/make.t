
# What make says that it takes, it takes; nothing is built here.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use Test::More tests => 2;

my $top = dirname(dirname(abs_path(__FILE__)));
my $dir = File::Temp::tempdir('binarize-XXXXXX', TMPDIR => 1, CLEANUP => 1);

my $said = `make -C $top NGINX_SRC=$dir/nosuch BUILD=$dir/build 2>&1`;

isnt($?, 0, 'an nginx tree that is not there');
like($said, qr/no nginx sources in \Q$dir\E\/nosuch/, 'is the one looked for');
