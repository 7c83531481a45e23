package Binarize::Browser;

# A headless Chromium, over its debugging protocol by two pipes.

use strict;
use warnings;

use Fcntl;
use IO::Select;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical;


# Starts it with a profile of its own below the directory; dies if it can not.
sub new {
    my ($class, $dir) = @_;
    my $bin = $ENV{BINARIZE_CHROMIUM} // 'chromium';
    my $self = bless { n => 0, in => '', events => [] }, $class;

    pipe(my $from_us, my $to_it) or die "pipe: $!\n";
    pipe(my $from_it, my $to_us) or die "pipe: $!\n";

    # nothing of ours may sit on 3 and 4, where Chromium looks for its ends
    my @ends = map { fcntl($_, F_DUPFD, 20) } $from_us, $to_us;

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        setpgrp(0, 0);
        POSIX::dup2($ends[0], 3);
        POSIX::dup2($ends[1], 4);
        POSIX::close($_)
            for @ends, grep { $_ > 4 } map { fileno($_) } $to_it, $from_it;
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', "$dir/chromium.log");
        open(STDERR, '>&', \*STDOUT);
        $ENV{HOME} = $dir;

        no warnings 'exec';
        exec($bin, '--headless', '--no-sandbox', '--disable-gpu',
             '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
             '--disable-background-networking', '--disable-component-update',
             '--disable-sync', '--disable-default-apps', '--disable-breakpad',
             '--no-default-browser-check', '--metrics-recording-only',
             '--hide-scrollbars', "--user-data-dir=$dir/profile",
             '--window-size=1280,1000', '--remote-debugging-pipe',
             'about:blank') or POSIX::_exit(127);
    }

    POSIX::close($_) for @ends;
    close($from_us);
    close($to_us);

    @$self{qw(pid to from)} = ($pid, $to_it, $from_it);
    $to_it->autoflush(1);

    my $target = $self->call('Target.createTarget', url => 'about:blank');
    my $session = $self->call('Target.attachToTarget', flatten => JSON::PP::true,
                              targetId => $target->{targetId});

    $self->{session} = $session->{sessionId};
    $self->call("$_.enable") for qw(Page Runtime Log);

    return $self;
}

# A method and its parameters; returns its result, dies of its error.
sub call {
    my ($self, $method, %parameters) = @_;
    my $id = ++$self->{n};
    my $call = { id => $id, method => $method, params => \%parameters };

    $call->{sessionId} = $self->{session} if $self->{session};

    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } $json->encode($call), "\0";

    my $deadline = time() + $Binarize::patience;

    while (time() < $deadline) {
        my $message = $self->message($deadline - time()) // next;

        if (!defined $message->{id}) {
            push @{ $self->{events} }, $message;
            next;
        }

        next unless $message->{id} == $id;
        die "$method: $message->{error}{message}\n" if $message->{error};
        return $message->{result};
    }

    die "$method: no answer\n";
}

# The next message within so many seconds, or undef.
sub message {
    my ($self, $seconds) = @_;
    my $deadline = time() + $seconds;

    while (1) {
        return $json->decode($1) if $self->{in} =~ s/\A([^\0]*)\0//;

        my $left = $deadline - time();
        return if $left <= 0 || !IO::Select->new($self->{from})->can_read($left);

        sysread($self->{from}, $self->{in}, 262144, length($self->{in}))
            or die "Chromium is gone\n";
    }
}

# Whether an event of that name comes within so many seconds, or has come
# since the last wait for it.
sub wait_for {
    my ($self, $name, $seconds) = @_;
    my $deadline = time() + $seconds;
    my $events = $self->{events};

    while (1) {
        for my $i (0 .. $#$events) {
            next unless $events->[$i]{method} eq $name;
            return splice(@$events, $i, 1);
        }

        my $left = $deadline - time();
        return if $left <= 0;

        my $message = $self->message($left);
        push @$events, $message if $message;
    }
}

# Events of that name so far.
sub seen {
    my ($self, $name) = @_;
    1 while $self->message_kept(0);
    return grep { $_->{method} eq $name } @{ $self->{events} };
}

sub message_kept {
    my ($self, $seconds) = @_;
    my $message = $self->message($seconds) or return 0;
    push @{ $self->{events} }, $message;
    return 1;
}

# The value of a JavaScript expression in the page.
sub value {
    my ($self, $expression) = @_;
    my $result = $self->call('Runtime.evaluate', expression => $expression,
                             returnByValue => JSON::PP::true,
                             awaitPromise => JSON::PP::true);

    die "$expression: $result->{exceptionDetails}{text}\n"
        if $result->{exceptionDetails};

    return $result->{result}{value};
}

# The bytes of a PNG of the whole page.
sub screenshot {
    my ($self) = @_;
    my $shot = $self->call('Page.captureScreenshot', format => 'png',
                           captureBeyondViewport => JSON::PP::true);
    return decode_base64($shot->{data});
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    my $deadline = time() + $Binarize::patience;

    local $?;

    eval {
        delete $self->{session};
        $self->call('Browser.close');
    };

    while (time() < $deadline) {
        if (waitpid($pid, POSIX::WNOHANG) == $pid) {
            undef $pid;
            last;
        }

        sleep(0.05);
    }

    if ($pid) {
        kill('KILL', -$pid);
        waitpid($pid, 0);
    }
}

sub DESTROY {
    $_[0]->stop();
}

1;
