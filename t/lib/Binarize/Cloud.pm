package Binarize::Cloud;

# A stand-in cloud, see standin/README.md.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;

use Binarize::Client;
use Binarize::Process;

my $serial = 0;
my @all;


# id and secret have all that a form has to escape; more arguments are the
# stand-in's own.  Dies if it does not start.
sub new {
    my ($class, $dir, @args) = @_;
    my $bin = $ENV{BINARIZE_STANDIN} // "$Binarize::top/build/standin/standin";
    my $n = $serial++;
    my $self = bless { id => 'an-id', log => "$dir/cloud$n.log",
                       secret => "s3cr3t&=+/%\xc3\xa4 \"x\\;\$y" }, $class;

    if ($n == 0) {
        open(my $f, '>', "$dir/secret") or die "secret: $!\n";
        print $f "$self->{secret}\n";
        close($f);
    }

    my ($pid, $out, $line) = Binarize::Process::start(
        qr/listening on/, "$dir/cloud$n.err", $bin, '--client-id', $self->{id},
        '--client-secret-file', "$dir/secret", '--log', $self->{log}, @args);

    die "no stand-in cloud: " . Binarize::file_read("$dir/cloud$n.err") . "\n"
        unless $pid;

    @$self{qw(pid out)} = ($pid, $out);
    ($self->{port}) = $line =~ /:(\d+)$/;
    $self->{tls} = grep { $_ eq '--tls-cert' } @args;
    push @all, $self;

    return $self;
}

# Ends it; returns its exit status.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return 0;
    return Binarize::Process::stop($pid);
}

# A pipe to a process that lives on is never closed.
sub stop_all {
    $_->stop() for @all;
}

# A control call; dies unless it is answered by 2xx.  \%parameters: as in
# standin/README.md.
sub control {
    my ($self, $method, $path, $parameters, $body) = @_;
    my $query = join '&', map {
        my ($key, $value) = ($_, $parameters->{$_});
        map { "$key=" . escape($_) } ref $value ? @$value : $value;
    } sort keys %{ $parameters // {} };

    my $answer = $self->request(
        -method => $method, -uri => "/_standin/$path"
                                    . ($query ne '' ? "?$query" : ''),
        defined $body ? (-body => $body) : ());

    die "the stand-in refused $method $path $query: $answer->{head}"
        . "$answer->{body}\n" if $answer->{status} !~ /^2/;

    return $answer->{body};
}

sub request {
    my ($self, @args) = @_;

    unshift @args, -port => $self->{port}, -seconds => $Binarize::patience;

    return $self->{tls} ? tls_call($self, @args)
                        : Binarize::Client->new(@args)->answer();
}

sub escape {
    my ($s) = @_;
    $s =~ s/([^A-Za-z0-9._~-])/sprintf('%%%02X', ord($1))/ge;
    return $s;
}

# by curl, since IO::Socket::SSL is not everywhere
sub tls_call {
    my ($self, %o) = @_;
    my $file = "$Binarize::dir/body";
    my @data = map { ('-H', "$_: $o{$_}") } grep { !/^-/ } keys %o;

    if (defined $o{-body}) {
        Binarize::file_write($file, $o{-body});
        push @data, '--data-binary', "\@$file";
    }

    open(my $f, '-|', 'curl', '-sk', '-i', '--http1.1', '-H', 'Expect:',
         '-m', $Binarize::patience, '-X', $o{-method} // 'GET', @data,
         @{ $self->{curl} // [] },
         "https://127.0.0.1:$self->{port}$o{-uri}") or die "curl: $!\n";
    local $/;
    my $bytes = readline($f) // '';
    close($f);

    return Binarize::Client::parse($bytes, $o{-method});
}

sub put {
    my ($self, @args) = @_;
    return $self->control('PUT', @args);
}

sub post {
    my ($self, @args) = @_;
    return $self->control('POST', @args);
}

sub delete {
    my ($self, @args) = @_;
    return $self->control('DELETE', @args);
}

# Rules of misbehaviour for an id, "any" or "token"; replaces earlier ones.
sub fault {
    my ($self, $target, $parameters, $body) = @_;
    return $self->put("faults/$target", $parameters, $body);
}

sub calls {
    my ($self, $id, @op) = @_;
    return decode_json($self->control('GET', 'calls',
                                      defined $id ? { id => $id, @op } : {}));
}

# The bytes of a task's result.
sub result {
    my ($self, $id, $op) = @_;
    return $self->control('GET', "result/$id", $op ? { op => $op } : {});
}

# The last fetch of that id: its first line, and a list of [name, value].
sub last_fetch {
    my ($self, $id) = @_;
    my $last = $self->calls($id)->{last_fetch};
    return ($last->{line}, $last->{headers});
}

# A fetch by ourselves: the document as the cloud sends it.
sub document {
    my ($self, $id, $op) = @_;
    my $token = $self->{token} //= $self->post('mint');

    $op //= 'binarizeimage';

    return $self->request(-uri => "/v5.0/ocr/$op?id=$id",
                          Authorization => "Bearer $token")->{body};
}

1;
