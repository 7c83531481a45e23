
# What make says that it takes, it takes; nothing is built here.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use Fcntl qw(:flock);
use Time::HiRes qw(sleep);
use Test::More tests => 4;

my $top = dirname(dirname(abs_path(__FILE__)));
my $dir = File::Temp::tempdir('binarize-XXXXXX', TMPDIR => 1, CLEANUP => 1);

my $said = `make -C $top NGINX_SRC=$dir/nosuch BUILD=$dir/build 2>&1`;

isnt($?, 0, 'an nginx tree that is not there');
like($said, qr/no nginx sources in \Q$dir\E\/nosuch/, 'is the one looked for');

# who finds somebody building waits
for my $in ('.', 'standin') {
    my $build = "$dir/" . ($in eq '.' ? 'module' : $in);

    mkdir($build);
    open(my $lock, '>', "$build/lock") or die "lock: $!\n";
    flock($lock, LOCK_EX) or die "lock: $!\n";

    my $inode = (stat($lock))[1];
    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open(STDOUT, '>', '/dev/null');
        setpgrp();
        exec('make', '-C', "$top/$in", "BUILD=$build") or exit(1);
    }

    my $waits;

    for (1 .. 1500) {
        open(my $locks, '<', '/proc/locks') or die "locks: $!\n";
        $waits = grep { /-> FLOCK .*:$inode / } <$locks>;
        last if $waits || waitpid($pid, 1) == $pid;
        sleep(0.02);
    }

    is_deeply([$waits, glob("$build/*")], [1, "$build/lock"],
              "make -C $in waits for the other one");

    kill('TERM', -$pid);
    waitpid($pid, 0);
}
