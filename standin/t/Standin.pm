package Standin;

# Starts a stand-in cloud and talks to it over raw sockets.

use strict;
use warnings;

use Compress::Zlib ();
use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(guid pixels until_true);

# all waits are bounded by so many seconds: the machine may be busy
my $patience = 60;

my $serial = 0;

sub guid {
    return sprintf("0123abcd-0000-4000-8000-%012x", ++$serial);
}

sub new {
    my ($class, @args) = @_;
    my $bin = $ENV{STANDIN} or die "STANDIN names the program\n";
    my $self = bless { dir => tempdir(CLEANUP => 1), id => "an id+/&",
                       secret => "s3cret&=+/ \xc3\xa4", args => \@args },
                     $class;

    open(my $f, '>', "$self->{dir}/secret") or die;
    print $f "$self->{secret}\n";
    close($f);

    my $pid = open($self->{out}, '-|') // die "fork: $!";

    if ($pid == 0) {
        open(STDERR, '>', "$self->{dir}/err");
        exec($bin, '--client-id', $self->{id},
             '--client-secret-file', "$self->{dir}/secret",
             '--log', "$self->{dir}/log", @args) or exit(127);
    }

    $self->{pid} = $pid;

    my $ready = IO::Select->new($self->{out})->can_read($patience);
    my $line = $ready ? readline($self->{out}) : '';

    ($self->{port}) = ($line // '') =~ /^listening on 127\.0\.0\.1:(\d+)$/
        or die "no stand-in: " . $self->file("err");

    return $self;
}

# Ends it and returns its exit status.
sub stop {
    my ($self, $signal) = @_;

    return unless $self->{pid};

    kill($signal // 'TERM', $self->{pid});

    for (1 .. 10 * $patience) {
        my $got = waitpid($self->{pid}, WNOHANG);

        if ($got == $self->{pid}) {
            my $status = $?;
            delete $self->{pid};
            return $status;
        }

        sleep(0.1);
    }

    kill('KILL', $self->{pid});
    waitpid($self->{pid}, 0);
    delete $self->{pid};

    return -1;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->stop();
}

sub file {
    my ($self, $name) = @_;
    open(my $f, '<', "$self->{dir}/$name") or return '';
    local $/;
    return scalar readline($f);
}

sub connect {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $self->{port},
                                 Timeout => $patience) || die "connect: $!";
}

# What comes within some seconds, and how it ended: eof, reset, timeout.  With a
# pattern they begin when it matches.
sub drain {
    my ($self, $socket, $seconds, $limit, $until) = @_;
    my $deadline = time() + ($until ? $patience : $seconds // $patience);
    my ($bytes, $select) = ('', IO::Select->new($socket));

    while ((my $left = $deadline - time()) > 0) {

        if ($until && $bytes =~ $until) {
            undef $until;
            $deadline = time() + $seconds;
            next;
        }

        last unless $select->can_read($left);
        my $n = sysread($socket, $bytes, 65536, length($bytes));
        return ($bytes, 'reset') unless defined $n;
        return ($bytes, 'eof') if $n == 0;
        return ($bytes, 'limit') if $limit && length($bytes) > $limit;
    }

    return ($bytes, 'timeout');
}

sub request {
    my ($self, $method, $target, %o) = @_;
    my $body = $o{body};
    my $text = "$method $target HTTP/1.1\r\nHost: cloud.test\r\n";

    $text .= "Connection: close\r\n" unless $o{keepalive};
    $text .= "$_\r\n" for @{ $o{headers} || [] };
    $text .= "Content-Length: " . length($body) . "\r\n" if defined $body;

    return "$text\r\n" . ($body // '');
}

# Bytes of the answer and how it ended.
sub raw {
    my ($self, $method, $target, %o) = @_;
    my $socket = $self->connect();
    syswrite($socket, $self->request($method, $target, %o));
    return $self->drain($socket, @o{qw(seconds limit until)});
}

# The result of a picture, waiting for it.
sub work {
    my ($self, $picture, $op) = @_;
    $op //= 'binarizeimage';

    my $id = $self->call('POST', "/v5.0/ocr/$op", headers => [$self->bearer()],
        body => encode_json({ image => encode_base64($picture, '') }))
        ->{body};

    for (1 .. 20 * $patience) {
        my $doc = decode_json($self->fetch($id, op => $op)->{body});
        return decode_base64($doc->{results}[0]{data})
            if $doc->{taskStatus} eq 'Completed';
        return $doc->{error}{messages}[0] if $doc->{taskStatus} eq 'Error';
        sleep(0.05);
    }

    return '';
}

# Waits for the code to be true, returns its value.
sub until_true {
    my ($code) = @_;
    my $deadline = time() + $patience;

    while (1) {
        my $value = $code->();
        return $value if $value || time() > $deadline;
        sleep(0.02);
    }
}

# A whole answer: status, head and body; framing is undone, strictly.
sub call {
    my ($self, @args) = @_;
    my ($bytes, $end) = $self->raw(@args);
    my $a = parse($bytes);
    $a->{end} = $end;
    return $a;
}

sub parse {
    my ($bytes) = @_;
    my %a = (raw => $bytes, interim => []);
    my $rest = $bytes;

    while (1) {
        my ($head, $after) = $rest =~ /\A(.*?\r\n)\r\n(.*)\z/s
            or return { %a, status => 0 };
        my ($status) = $head =~ m{\AHTTP/1\.[01] (\d{3}) [^\r\n]+\r\n}
            or return { %a, status => 0 };

        $rest = $after;

        if ($status < 200) {
            push @{ $a{interim} }, $status;
            next;
        }

        %a = (%a, head => $head, status => $status);
        last;
    }

    if ($a{head} =~ /^Transfer-Encoding: chunked\r$/mi) {
        my $body = '';
        my $whole = 0;

        while ($rest =~ s/\A([0-9a-f]+)\r\n//i) {
            my $n = hex($1);

            if ($n == 0) {
                $whole = $rest eq "\r\n";
                last;
            }

            $body .= substr($rest, 0, $n);
            last if length($rest) < $n + 2;
            substr($rest, 0, $n + 2) = '';
        }

        return { %a, body => $body, whole => $whole };
    }

    my $whole = $a{head} !~ /^Content-Length: (\d+)\r$/mi
                || $1 == length($rest);

    return { %a, body => $rest, whole => $whole };
}

sub token_form {
    my ($self, %o) = @_;
    my %form = (grant_type => 'client_credentials', client_id => $self->{id},
                client_secret => $self->{secret}, %o);

    return join '&', map {
        my $v = $form{$_};
        $v =~ s/([^A-Za-z0-9])/sprintf("%%%02X", ord($1))/ge;
        "$_=$v";
    } sort grep { defined $form{$_} } keys %form;
}

sub token_call {
    my ($self, %o) = @_;
    return $self->call('POST', '/connect/token',
        headers => ['Content-Type: application/x-www-form-urlencoded'],
        body => $self->token_form(%o));
}

sub authorize {
    my ($self) = @_;
    my $a = $self->token_call();
    $self->{token} = decode_json($a->{body})->{access_token};
    return $self->{token};
}

sub bearer {
    my ($self) = @_;
    return "Authorization: Bearer " . ($self->{token} // $self->authorize());
}

sub fetch {
    my ($self, $id, %o) = @_;
    my $op = $o{op} // 'binarizeimage';
    return $self->call('GET', "/v5.0/ocr/$op?id=$id", %o,
                       headers => [$self->bearer(), @{ $o{headers} || [] }]);
}

sub fetch_raw {
    my ($self, $id, %o) = @_;
    return $self->raw('GET', "/v5.0/ocr/binarizeimage?id=$id", %o,
                      headers => [$self->bearer()]);
}

# The control plane; dies on refusal.
sub control {
    my ($self, $method, $path, $body) = @_;
    my $a = $self->call($method, "/_standin/$path", body => $body);
    die "control $path: $a->{raw}" unless $a->{status} =~ /^2/;
    return $a->{body};
}

sub calls {
    my ($self, $id) = @_;
    return decode_json($self->control('GET', 'calls'
                                      . ($id ? "?id=$id" : '')));
}

# rows of samples of an 8-bit grey PNG (RFC 2083, filters of section 6)
sub pixels {
    my ($png, $width) = @_;
    my ($pos, $idat) = (8, '');

    while ($pos < length($png)) {
        my ($n, $type) = unpack('Na4', substr($png, $pos, 8));
        $idat .= substr($png, $pos + 8, $n) if $type eq 'IDAT';
        $pos += $n + 12;
    }

    my ($raw, @rows) = Compress::Zlib::uncompress($idat);
    my @up = (0) x $width;

    for my $row (unpack('(a' . ($width + 1) . ')*', $raw)) {
        my ($filter, @x) = unpack('C*', $row);

        for my $i (0 .. $#x) {
            my ($l, $u, $ul) = ($i ? $x[$i - 1] : 0, $up[$i],
                                $i ? $up[$i - 1] : 0);
            my ($pl, $pu, $pul) = (abs($u - $ul), abs($l - $ul),
                                   abs($l + $u - 2 * $ul));
            my $paeth = $pl <= $pu && $pl <= $pul ? $l
                        : $pu <= $pul ? $u : $ul;

            $x[$i] += (0, $l, $u, ($l + $u) >> 1, $paeth)[$filter];
            $x[$i] &= 255;
        }

        push @rows, [@x];
        @up = @x;
    }

    return @rows;
}

1;
