package Binarize::Node;

# A second nginx: what the first one is, with its ports and directory of its
# own.

use strict;
use warnings;

my @all;


# Starts it; every port of the first one is one higher.
sub new {
    my ($class) = @_;
    my $root = "$Binarize::dir/node" . @all;
    my $self = bless { root => $root, port => $Binarize::port + 1 }, $class;
    my $conf = Binarize::file_read("$Binarize::dir/root/conf/nginx.conf");

    mkdir($_) for $root, "$root/conf", "$root/logs", "$root/html";

    $conf =~ s/\Q$Binarize::dir\E\/root\b/$root/g;
    $conf =~ s/(127\.0\.0\.1:)(\d+)/
        $1 . ($2 == $Binarize::port || $2 == $Binarize::port + 2
              ? $2 + 1 : $2)/ge;

    Binarize::file_write("$root/conf/nginx.conf", $conf);

    push @all, $self;
    $self->start();

    return $self;
}

sub start {
    my ($self) = @_;
    my $nginx = $Test::Nginx::Util::NginxBinary // 'nginx';

    system("$nginx -e $self->{root}/logs/error.log -p $self->{root}/ "
           . "-c $self->{root}/conf/nginx.conf > /dev/null 2>&1") == 0
        or die "the second nginx did not start: $self->{root}\n";

    Binarize::until_true(sub { $self->pid() && $self->workers() });
}

sub pid {
    my ($self) = @_;
    my ($pid) = Binarize::file_read("$self->{root}/logs/nginx.pid")
                =~ /^(\d+)/;
    return $pid;
}

# Of all of them.
sub pids {
    return grep { defined } map { $_->pid() } @all;
}

sub workers {
    my ($self) = @_;
    my $pid = $self->pid() // return;
    return split ' ', Binarize::file_read("/proc/$pid/task/$pid/children");
}

# Ends it by QUIT, or KILL for all of it at once; false if it had to be killed.
sub stop {
    my ($self, $signal) = @_;
    my $pid = $self->pid() // return 1;
    my @all = ($pid, $self->workers());

    kill($signal // 'QUIT', defined $signal && $signal eq 'KILL' ? @all : $pid);

    my $gone = Binarize::until_true(sub {
        !grep { Binarize::alive($_) } @all
    });

    kill('KILL', @all) unless $gone;
    unlink("$self->{root}/logs/nginx.pid");

    # is looked through at the end of the file
    $Binarize::log .= Binarize::file_read("$self->{root}/logs/error.log");
    unlink("$self->{root}/logs/error.log");

    return $gone;
}

sub stop_all {
    $_->stop() for @all;
}

1;
