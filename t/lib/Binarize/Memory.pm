package Binarize::Memory;

# What processes take of memory: the sum of their PSS, so that what they share
# (a zone, say) counts once; KB above what they began with.

use strict;
use warnings;

use Time::HiRes qw(sleep time);


sub new {
    my ($class, @pids) = @_;
    my $self = bless { pids => \@pids, peak => 0 }, $class;

    $self->{start} = $self->sum();

    return $self;
}

sub sum {
    my ($self) = @_;
    my $sum = 0;

    for my $pid (@{ $self->{pids} }) {
        open(my $f, '<', "/proc/$pid/smaps_rollup")
            or die "smaps_rollup of $pid: $!\n";
        local $/;
        $sum += $1 if readline($f) =~ /^Pss:\s+(\d+) kB/m;
    }

    return $sum;
}

sub now {
    my ($self) = @_;
    my $now = $self->sum() - $self->{start};

    $self->{peak} = $now if $now > $self->{peak};

    return $now;
}

# Looks again and again until the condition is true (then so is this), or so
# many seconds have passed.
sub watch {
    my ($self, $condition, $seconds) = @_;
    my $until = time() + $seconds;

    while (time() < $until) {
        $self->now();
        return 1 if $condition && $condition->();
        sleep(0.05);
    }

    return 0;
}

sub start {
    my ($self) = @_;
    return $self->{start};
}

sub peak {
    my ($self) = @_;
    return $self->{peak};
}

1;
