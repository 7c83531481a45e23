package Binarize::DNS;

# A DNS server of a few names (RFC 1035), over UDP, in a process of its own.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();

use Binarize::Process;

my @all;


sub new {
    my ($class) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       Proto => 'udp') or die "dns: $!\n";
    my $self = bless { port => $socket->sockport(), n => scalar(@all),
                       file => "$Binarize::dir/dns" . @all }, $class;

    push @all, $self;
    $self->set();

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(HUP INT PIPE TERM);

        # END blocks are the parent's
        eval { serve($socket, $self->{file}) };
        POSIX::_exit(0);
    }

    $self->{pid} = $pid;

    return $self;
}

sub stop_all {
    for (@all) {
        my $pid = delete $_->{pid} or next;
        Binarize::Process::stop($pid, 'KILL');
    }
}

# The answers from now on: name => "address... ttl", "nxdomain", "servfail",
# "empty", or "silence".
sub set {
    my ($self, %names) = @_;
    Binarize::file_write($self->{file}, join('', map {
        "$_ $names{$_}\n"
    } keys %names));
}

# How often a name was asked for.
sub asked {
    my ($self, $name) = @_;
    my $n = () = Binarize::file_read("$self->{file}.log") =~ /^\Q$name\E$/mg;
    return $n;
}

sub serve {
    my ($socket, $file) = @_;

    while (my $from = $socket->recv(my $query, 512)) {
        my ($id, $flags, $n) = unpack('nnn', $query);
        my ($name, $at) = ('', 12);

        while (my $size = unpack('C', substr($query, $at, 1))) {
            $name .= ($at > 12 ? '.' : '') . substr($query, $at + 1, $size);
            $at += 1 + $size;
        }

        my $question = substr($query, 12, $at + 5 - 12);
        my ($type) = unpack('n', substr($query, $at + 1, 2));

        open(my $log, '>>', "$file.log") or return;
        print $log "$name\n" if $type == 1;
        close($log);

        my ($answer) = Binarize::file_read($file) =~ /^\Q$name\E (.*)$/m;
        my @words = split ' ', $answer // 'nxdomain';

        next if $words[0] eq 'silence';

        my $code = { nxdomain => 3, servfail => 2 }->{$words[0]} // 0;
        my $ttl = $words[0] =~ /^[a-z]/ ? 0 : pop(@words);
        my @addresses = $type == 1 ? grep { /^[\d.]+$/ } @words : ();

        $socket->send(pack('n6', $id, 0x8180 | $code, 1, scalar(@addresses),
                           0, 0) . $question
            . join('', map {
                  pack('nnnNn', 0xc00c, 1, 1, $ttl, 4)
                  . pack('C4', split /\./)
              } @addresses), 0, $from);
    }
}

1;
