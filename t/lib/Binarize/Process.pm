package Binarize::Process;

# Starts and ends the servers of a test.

use strict;
use warnings;

use IO::Select;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

my $setpriv = (grep { -x } map { "$_/setpriv" } split(/:/, $ENV{PATH}))[0];


# Runs the command; its standard output up to a line that matches, the errors
# go to a file.  Returns process id, pipe and line.
sub start {
    my ($ready, $errors, @command) = @_;

    # it ends with us, whatever ends us
    unshift @command, $setpriv, '--pdeathsig', 'KILL', '--' if $setpriv;

    my $pid = open(my $out, '-|') // die "fork: $!\n";

    if ($pid == 0) {
        open(STDERR, '>', $errors);
        open(STDIN, '<', '/dev/null');
        exec(@command) or POSIX::_exit(127);
    }

    my ($text, $deadline) = ('', time() + $Binarize::patience);

    while (1) {
        return ($pid, $out, $1) if $text =~ /^(.*$ready.*)\n/m;

        my $left = $deadline - time();

        last if $left <= 0 || !IO::Select->new($out)->can_read($left)
                || !sysread($out, $text, 65536, length($text));
    }

    kill('KILL', $pid);
    waitpid($pid, 0);

    return;
}

# Ends it by the signal and returns its exit status; -1: it had to be killed.
sub stop {
    my ($pid, $signal) = @_;
    my $deadline = time() + $Binarize::patience;

    local $?;

    kill($signal // 'TERM', $pid);
    kill('CONT', $pid);

    while (time() < $deadline) {
        return $? if waitpid($pid, WNOHANG) == $pid;
        sleep(0.01);
    }

    kill('KILL', $pid);
    waitpid($pid, 0);

    return -1;
}

1;
