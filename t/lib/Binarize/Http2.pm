package Binarize::Http2;

# One HTTP/2 connection with many requests (RFC 9113), in the clear.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4,
               PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8 };

# what nginx writes for statuses in HPACK's static table
my %indexed = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304,
               0x8c => 400, 0x8d => 404, 0x8e => 500);


# Connects, and asks for each uri.
sub new {
    my ($class, $port, @uris) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $port)
        or die "connect to $port: $!\n";
    my $self = bless { socket => $socket, received => '', streams => {} },
               $class;

    # windows without an end
    my $text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
               . frame(SETTINGS, 0, 0, pack('nN', 4, 0x7fffffff))
               . frame(WINDOW_UPDATE, 0, 0, pack('N', 0x7fff0000));
    my $id = 1;

    for my $uri (@uris) {
        $text .= frame(HEADERS, 5, $id, join('', map { literal(@$_) }
            [':method', 'GET'], [':scheme', 'http'], [':path', $uri],
            [':authority', 'localhost']));
        $self->{streams}{$id} = { uri => $uri, status => 0, size => 0 };
        $id += 2;
    }

    local $SIG{PIPE} = 'IGNORE';
    print $socket $text;
    $socket->flush();

    return $self;
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length($payload)), 1)
           . pack('CCN', $type, $flags, $stream) . $payload;
}

sub literal {
    my ($name, $value) = @_;
    return pack('C C/a C/a', 0, $name, $value);
}

# Ends a stream before its answer.
sub reset_stream {
    my ($self, $id) = @_;
    $self->{streams}{$id}{left} = 1;
    syswrite($self->{socket}, frame(RST_STREAM, 0, $id, pack('N', 8)));
}

sub leave {
    my ($self) = @_;
    close($self->{socket});
}

# Reads until every stream has ended, or for so many seconds; returns the
# streams: references to uri, status, size, whole, in the order asked.
sub answers {
    my ($self, $seconds) = @_;
    my $deadline = time() + $seconds;
    my $select = IO::Select->new($self->{socket});

    while (grep { !$_->{whole} && !$_->{left} } values %{ $self->{streams} }) {
        my $left = $deadline - time();

        last if $left <= 0 || !$select->can_read($left)
                || !sysread($self->{socket}, $self->{received}, 262144,
                            length($self->{received}));
        $self->frames();
    }

    return map { $self->{streams}{$_} }
           sort { $a <=> $b } keys %{ $self->{streams} };
}

sub frames {
    my ($self) = @_;

    while (length($self->{received}) >= 9) {
        my ($high, $low, $type, $flags, $id)
            = unpack('nCCCN', $self->{received});
        my $length = $high << 8 | $low;

        last if length($self->{received}) < 9 + $length;

        my $payload = substr($self->{received}, 9, $length);
        substr($self->{received}, 0, 9 + $length) = '';

        my $stream = $self->{streams}{$id & 0x7fffffff};

        if ($type == SETTINGS && !($flags & 1)) {
            syswrite($self->{socket}, frame(SETTINGS, 1, 0, ''));

        } elsif ($type == PING && !($flags & 1)) {
            syswrite($self->{socket}, frame(PING, 1, 0, $payload));

        } elsif ($type == HEADERS && $stream) {
            # nginx may change the size of the table first
            $payload =~ s/^[\x20-\x3f]//;
            my $first = ord($payload);
            $stream->{status} = $indexed{$first}
                                // ($payload =~ /^\x48\x03(\d{3})/ ? $1
                                    : $payload =~ /^\x48\x82/ ? 'huffman' : 0);

        } elsif ($type == DATA && $stream) {
            $stream->{size} += $length;

        } elsif ($type == RST_STREAM && $stream) {
            $stream->{whole} = $stream->{reset} = 1;
        }

        $stream->{whole} = 1
            if $stream && ($type == DATA || $type == HEADERS) && $flags & 1;
    }
}

1;
