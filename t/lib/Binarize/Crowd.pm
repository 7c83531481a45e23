package Binarize::Crowd;

# Many clients at once: runs t/lib/crowd.c, which is compiled when needed.

use strict;
use warnings;

use IPC::Open2;
use Time::HiRes qw(time);

use Binarize::Client;

my $binary;


# Starts it with those clients, and returns when all requests were sent.  A
# client is a reference to uri, tag (0, 1...), rate, leave, and headers, a list
# of "name: value".  Options: -port, -patience; -at_once, -seconds: they come
# one after the other, by a function in place of the list that returns the
# next one or undef.
sub new {
    my ($class, $clients, %o) = @_;
    my $self = bless {}, $class;
    my @command = (binary(), '-p', $o{-port} // $Binarize::port,
                   '-T', $o{-patience} // 2 * $Binarize::patience);

    push @command, ('-c', $o{-at_once}) if $o{-at_once};
    push @command, ('-t', $o{-seconds}) if $o{-seconds};

    $self->{pid} = open2(my $out, my $in, @command);
    $self->{out} = $out;

    if (ref $clients eq 'CODE') {
        # a process of its own feeds it
        $self->{feeder} = fork() // die "fork: $!\n";

        if ($self->{feeder} == 0) {
            close($out);
            local $SIG{PIPE} = sub { POSIX::_exit(0) };
            my $n = 0;

            while (my $client = $clients->()) {
                print $in line($client, $n++);
            }

            close($in);
            POSIX::_exit(0);
        }

        close($in);

        return $self;
    }

    my $n = 0;
    print $in line($_, $n++) for @$clients;
    close($in);

    die "crowd ended\n" if (readline($out) // '') ne "sent\n";

    return $self;
}

sub line {
    my ($client, $n) = @_;
    return join("\t", $client->{tag} // $n, $client->{rate} // 0,
                $client->{leave} // -1, $client->{uri},
                @{ $client->{headers} // [] }) . "\n";
}

# All answers, in the order they ended: Binarize::Client::Answer without the
# body, with tag, fate, sent, first, end (seconds since the epoch), seconds,
# size, sha.
sub answers {
    my ($self) = @_;
    my $out = $self->{out};
    my @answers = map { parse($_) } readline($out);

    Binarize::has_gone($self->{pid});
    waitpid($self->{pid}, 0);
    warn "crowd: status $?\n" if $?;

    if ($self->{feeder}) {
        kill('KILL', $self->{feeder});
        waitpid($self->{feeder}, 0);
    }

    return @answers;
}

sub parse {
    my ($line) = @_;
    chomp($line);
    my ($tag, $fate, $sent, $first, $end, $size, $sha, @head)
        = split /\t/, $line;
    my $answer = @head
        ? Binarize::Client::parse(join('', map { "$_\r\n" } @head, ''),
                                  'HEAD')
        : bless({ status => 0, headers => [], head => '' },
                'Binarize::Client::Answer');
    my $length = $answer->header('Content-Length');

    $answer->{wrong} = "$size of $length bytes"
        if $fate eq 'end' && defined $length && $length != $size;
    $answer->{wrong} //= 'no answer' if $fate eq 'end' && !@head;
    $answer->{wrong} //= $fate if $fate eq 'late' || $fate eq 'reset';

    @$answer{qw(tag fate sent first end size sha)}
        = ($tag, $fate, $sent / 1000, $first / 1000, $end / 1000, $size, $sha);
    $answer->{seconds} = $answer->{end} - $answer->{sent};
    $answer->{body} //= '';

    return $answer;
}

# The clients are stopped, whatever they wait for.
sub stop {
    my ($self) = @_;
    my @pids = grep { defined } @$self{qw(pid feeder)};

    kill('KILL', @pids);
    waitpid($_, 0) for @pids;
}

sub binary {
    return $binary //= Binarize::compile('crowd.c', '-lcrypto');
}

1;
