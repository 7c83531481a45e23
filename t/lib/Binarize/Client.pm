package Binarize::Client;

# An HTTP client that is strict about what it reads, and shows all of it.

use strict;
use warnings;

use IO::Select;
use Socket;
use Time::HiRes qw(time);


# -uri, -method, -port, -version, -body, -seconds; -raw: the whole request;
# -rcvbuf: bytes the kernel keeps for us; other names are headers.
sub new {
    my ($class, @args) = @_;
    my (%o, @headers);

    while (@args) {
        my ($key, $value) = splice(@args, 0, 2);

        if ($key =~ /^-(\w+)$/) {
            $o{$1} = $value;

        } else {
            push @headers, "$key: $value";
        }
    }

    $o{method} //= 'GET';
    $o{version} //= '1.1';

    unshift @headers, 'Host: localhost'
        unless grep { /^host:/i } @headers or $o{version} eq '1.0';
    push @headers, 'Connection: close'
        unless grep { /^connection:/i } @headers or $o{version} eq '1.0';
    push @headers, 'Content-Length: ' . length($o{body})
        if defined $o{body} && !grep { /^transfer-encoding:/i } @headers;

    my $self = bless { %o, received => '' }, $class;

    # the window is a matter of the handshake, so that the option comes first
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($socket, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf}) if $o{rcvbuf};
    connect($socket, sockaddr_in($o{port}, INADDR_LOOPBACK))
        or die "connect to $o{port}: $!\n";
    binmode($socket);

    $self->{socket} = $socket;

    $self->{started} = time();

    my $request = $o{raw} // join("\r\n", "$o{method} $o{uri} HTTP/$o{version}",
                                  @headers, '', $o{body} // '');

    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;

    while ($sent < length($request)) {
        $sent += syswrite($self->{socket}, $request,
                          length($request) - $sent, $sent) // last;
    }

    return $self;
}

# Its own port.
sub port {
    my ($self) = @_;
    return (sockaddr_in(getsockname($self->{socket})))[0];
}

# The client leaves.
sub leave {
    my ($self) = @_;
    close($self->{socket});
}

# The same at once and without a farewell: a reset.
sub reset {
    my ($self) = @_;
    setsockopt($self->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    close($self->{socket});
}

# Whether something has come within so many seconds.
sub has_answer {
    my ($self, $seconds) = @_;
    return scalar(IO::Select->new($self->{socket})->can_read($seconds // 0));
}

# Everything until the server closes, or the time is over.
sub drain {
    my ($self) = @_;
    my $deadline = time() + $self->{seconds};
    my $select = IO::Select->new($self->{socket});

    while ((my $left = $deadline - time()) > 0) {
        next unless $select->can_read($left);
        my $n = sysread($self->{socket}, $self->{received}, 262144,
                        length($self->{received}));
        return $self->{received} if !$n;
    }

    $self->{timed_out} = 1;

    return $self->{received};
}

# The answer to a request with "Connection: close".
sub answer {
    my ($self) = @_;
    my $answer = parse($self->drain(), $self->{method});

    $answer->{wrong} //= 'the connection stayed open' if $self->{timed_out};
    $answer->{seconds} = time() - $self->{started};
    close($self->{socket});

    return $answer;
}

# One answer out of the bytes, strictly by RFC 9112; the rest is in {rest}.
sub parse {
    my ($bytes, $method) = @_;
    my $self = bless { status => 0, head => '', body => '', headers => [],
                       rest => '' }, 'Binarize::Client::Answer';

    my ($head, $rest) = $bytes =~ /\A(.*?\r\n)\r\n(.*)\z/s;

    if (!defined $head) {
        $self->{wrong} = 'no header, only "' . substr($bytes, 0, 200) . '"';
        return $self;
    }

    my ($line, @lines) = split /\r\n/, $head;

    if ($line !~ m{^HTTP/1\.[01] (\d{3}) (.*)$}) {
        $self->{wrong} = "a bad status line, \"$line\"";
        return $self;
    }

    $self->{status} = $1;
    $self->{reason} = $2;
    $self->{head} = $head;

    for (@lines) {
        if (!/^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/) {
            $self->{wrong} = "a bad header, \"$_\"";
            next;
        }

        push @{ $self->{headers} }, [$1, $2];
    }

    my $length = $self->header('Content-Length');

    if (($method // 'GET') eq 'HEAD' || $self->{status} == 204
        || $self->{status} == 304)
    {
        $self->{rest} = $rest;

    } elsif (lc($self->header('Transfer-Encoding') // '') eq 'chunked') {
        my $at = 0;

        while (1) {
            pos($rest) = $at;

            if ($rest !~ /\G([0-9a-f]+)\r\n/gi) {
                $self->{wrong} = 'a bad chunk';
                last;
            }

            my $n = hex($1);
            $at = pos($rest);

            if ($n == 0) {
                $self->{wrong} = 'a bad last chunk'
                    if substr($rest, $at, 2) ne "\r\n";
                $self->{rest} = substr($rest, $at + 2);
                last;
            }

            if (length($rest) < $at + $n + 2) {
                $self->{wrong} = 'a chunk is cut short';
                last;
            }

            $self->{body} .= substr($rest, $at, $n);
            $at += $n + 2;
        }

    } elsif (defined $length) {
        $self->{wrong} = "Content-Length \"$length\"" if $length !~ /^\d+$/;
        $self->{body} = substr($rest, 0, $length);
        $self->{rest} = length($rest) > $length ? substr($rest, $length) : '';
        $self->{wrong} = length($self->{body}) . " of $length bytes"
            if length($self->{body}) != $length;

    } else {
        $self->{body} = $rest;
    }

    $self->{wrong} //= 'bytes behind it'
        if length($self->{rest}) && $self->{rest} !~ m{\AHTTP/1};

    return $self;
}


package Binarize::Client::Answer;

use JSON::PP ();

# All values of that name, joined; undef: there is none.
sub header {
    my ($self, $name) = @_;
    my @values = map { $_->[1] }
                 grep { lc($_->[0]) eq lc($name) } @{ $self->{headers} };
    return @values ? join(', ', @values) : undef;
}

sub json {
    my ($self) = @_;
    return eval { JSON::PP::decode_json($self->{body}) } // {};
}

# Where it came from, by Cache-Status.
sub source {
    my ($self) = @_;
    my $value = $self->header('Cache-Status') // return '';

    return $1 if $value =~ /^binarize; hit; ttl=\d+; detail=(\w+)$/;
    return $1 if $value =~ /^binarize; fwd=uri-miss; (stored|collapsed)$/;
    return $1 if $value =~ /^binarize; fwd=(uri-miss|bypass)$/;
    return "? $value";
}

1;
