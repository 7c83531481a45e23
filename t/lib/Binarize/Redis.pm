package Binarize::Redis;

# A Redis server of a test, and a client of it.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;

use Binarize::Process;

my @all;


# Starts one; arguments are redis-server's own.  -port: that one.
sub new {
    my ($class, @args) = @_;
    my ($port, $dir) = (0, $Binarize::dir);

    if (@args && $args[0] eq '-port') {
        (undef, $port) = splice(@args, 0, 2);
    }

    my $self = bless { args => [@args], n => scalar(@all) }, $class;

    push @all, $self;

    $self->{sock} = "$dir/redis$self->{n}.sock";

    for (1 .. 20) {
        $self->{port} = $port || free_port();
        return $self if $self->start();
    }

    die "no Redis: " . Binarize::file_read("$dir/redis$self->{n}.err") . "\n";
}

sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
    return $socket->sockport();
}

# Starts it, also again after stop().
sub start {
    my ($self) = @_;

    @$self{qw(pid out)} = Binarize::Process::start(
        qr/Ready to accept connections/,
        "$Binarize::dir/redis$self->{n}.err",
        $ENV{BINARIZE_REDIS} // 'redis-server', '--bind', '127.0.0.1',
        '--port', $self->{port}, '--unixsocket', $self->{sock},
        '--unixsocketperm', '777', '--dir', $Binarize::dir, '--save', '',
        '--appendonly', 'no', '--daemonize', 'no', @{ $self->{args} });

    return $self->{pid};
}

sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return 0;
    delete $self->{client};
    return Binarize::Process::stop($pid, $signal // 'KILL');
}

sub stop_all {
    $_->stop() for @all;
}

# It answers no more, until it is resumed.
sub freeze {
    my ($self) = @_;
    kill('STOP', $self->{pid});
}

sub thaw {
    my ($self) = @_;
    kill('CONT', $self->{pid});
}

# A command as the superuser by the socket; an error reply is "-ERR ...".
sub cmd {
    my ($self, @words) = @_;
    my $client = $self->{client} //= IO::Socket::UNIX->new($self->{sock})
        // die "Redis: $!\n";

    my $text = '*' . @words . "\r\n" . join('', map {
        '$' . length($_) . "\r\n$_\r\n"
    } @words);

    local $SIG{PIPE} = 'IGNORE';
    print $client $text;
    $client->flush();

    return reply($client);
}

sub reply {
    my ($client) = @_;
    my $line = readline($client) // die "Redis: the connection is closed\n";

    $line =~ s/\r\n\z//;

    my ($type, $rest) = $line =~ /^(.)(.*)$/s;

    return $rest if $type eq '+' || $type eq ':';
    return $line if $type eq '-';
    return undef if $rest < 0;
    return [map { reply($client) } 1 .. $rest] if $type eq '*';

    my $bytes = '';

    while (length($bytes) < $rest + 2) {
        read($client, $bytes, $rest + 2 - length($bytes), length($bytes))
            or die "Redis: the connection is closed\n";
    }

    return substr($bytes, 0, $rest);
}

# A hash as { field => value }.
sub hash {
    my ($self, $key) = @_;
    my $reply = $self->cmd('HGETALL', $key);
    return ref $reply ? { @$reply } : {};
}

sub keys {
    my ($self) = @_;
    return sort @{ $self->cmd('KEYS', '*') };
}

# How often a command was called since CONFIG RESETSTAT.
sub count {
    my ($self, $command) = @_;
    my ($n) = $self->cmd('INFO', 'commandstats')
              =~ /^cmdstat_\Q$command\E:calls=(\d+)/m;
    return $n // 0;
}

1;
