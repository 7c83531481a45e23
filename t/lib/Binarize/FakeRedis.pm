package Binarize::FakeRedis;

# What answers as if it were a Redis, or not even that: servers on loopback in
# processes of their own, which end with the test's.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);

# its end closes when we are gone, however that came
my $lifeline;


# Starts one server for each name; its function is called in a process of its
# own with each connection.  Returns name => port.
sub start {
    my (%functions) = @_;
    my (%port, @servers);

    for my $name (keys %functions) {
        my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            Listen => 64, ReuseAddr => 1) or die "listen: $!\n";

        $port{$name} = $listener->sockport();
        push @servers, [$listener, $functions{$name}];
    }

    pipe(my $life, $lifeline) or die "pipe: $!\n";

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        close($lifeline);
        setpgrp();
        eval { serve($life, @servers) };
        POSIX::_exit(0);
    }

    return %port;
}

sub serve {
    my ($life, @servers) = @_;
    my $select = IO::Select->new([$life], @servers);

    # nobody waits for an output of ours
    open(STDOUT, '>', '/dev/null');
    open(STDERR, '>', '/dev/null');

    $SIG{CHLD} = 'IGNORE';
    $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);

    while (1) {
        for my $ready ($select->can_read()) {

            my ($listener, $function) = @$ready;

            return kill('KILL', -$$) if !$function;

            my $client = $listener->accept() or next;
            my $child = fork() // next;

            if ($child == 0) {
                $client->autoflush(1);
                $SIG{PIPE} = sub { POSIX::_exit(0) };

                eval { $function->($client) };
                close($client);
                POSIX::_exit(0);
            }
        }
    }
}


# -- for the functions

# Speaks RESP: on->(command, argument...) returns the answer's bytes, or undef
# for the one of a Redis that has nothing.
sub resp {
    my ($client, $on) = @_;

    while (defined(my $line = readline($client))) {
        my ($n) = $line =~ /^\*(\d+)\r\n\z/ or return;
        my @words;

        for (1 .. $n) {
            readline($client) =~ /^\$(\d+)\r\n\z/ or return;
            read($client, my $word, $1 + 2) == $1 + 2 or return;
            push @words, substr($word, 0, $1);
        }

        my $name = uc(shift @words);

        print $client $on->($name, @words)
            // ($name eq 'PING' ? "+PONG\r\n"
                : $name =~ /^(?:CLIENT|SELECT|AUTH)$/ ? "+OK\r\n"
                : $name eq 'PTTL' ? ":-2\r\n"
                : "-ERR unknown command\r\n");
    }
}

# What it is closed with is a reset.
sub reset_on_close {
    my ($client) = @_;
    setsockopt($client, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
}

1;
