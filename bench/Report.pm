package Report;

# Collects rows of measurements, prints them as they come, and writes the
# table, the raw numbers and the plot.

use strict;
use warnings;

use File::Path qw(make_path);


sub new {
    my ($class, $dir, $machine) = @_;

    make_path($dir);

    return bless { dir => $dir, machine => $machine, rows => [], of => {},
        order => [], targets => [], memory => [], skipped => [],
        failed => 0, failures => [] }, $class;
}


# one measurement: numbers by name

sub row {
    my ($self, $what, $who, $round, $numbers) = @_;

    push @{$self->{order}}, $what if !$self->{of}{$what};
    push @{$self->{of}{$what}{order}}, $who if !$self->{of}{$what}{$who};

    $self->{of}{$what}{$who}[$round] = $numbers;
    push @{$self->{rows}}, [$what, $who, $round, $numbers];
}


sub print {
    my ($self, $what, @who) = @_;

    for my $who (@who) {
        printf "  %-18s %-24s %s\n", $what, $who, join '  ',
            map { sprintf '%s %s', $_, pretty($self->median($what, $who, $_)) }
            $self->columns($what, $who);
    }
}


sub columns {
    my ($self, $what, $who) = @_;

    my $first = $self->{of}{$what}{$who}[0] or return ();
    my @all = qw(rps cpu_us p50_us p99_us stall_cpu_us stall_wall_us over_1ms
        extra_kb ms cpu_ms instructions);

    return grep { defined $first->{$_} } @all;
}


sub median {
    my ($self, $what, $who, $column) = @_;

    return median_of(map { $_->{$column} } @{$self->{of}{$what}{$who}});
}


sub median_of {
    my @sorted = sort { $a <=> $b } grep { defined } @_;

    return undef if !@sorted;

    my $n = @sorted / 2;

    return @sorted % 2 ? $sorted[$n] : ($sorted[$n - 1] + $sorted[$n]) / 2;
}


# The median of the rounds' ratios against a limit, which is an upper one, or
# if negative a lower one.

sub target {
    my ($self, $title, $size, $what, $who, $peer, $column, $limit) = @_;

    my ($ours, $theirs) = @{$self->{of}{$what}}{$who, $peer};

    return if !$ours || !$theirs;

    my @ratios = map { $ours->[$_]{$column} / $theirs->[$_]{$column} }
        grep { $ours->[$_] && $theirs->[$_] && $theirs->[$_]{$column} }
        0 .. $#$ours;

    $self->judged($title, $size, median_of(@ratios), $limit,
                  scalar(@ratios) ? [sort { $a <=> $b } @ratios] : []);
}


# an absolute limit, or undef: only reported

sub absolute {
    my ($self, $title, $size, $what, $who, $column, $limit) = @_;

    my @values = map { $_->{$column} } @{$self->{of}{$what}{$who}};

    $self->judged($title, $size, median_of(@values), $limit,
                  [sort { $a <=> $b } @values]);
}


sub judged {
    my ($self, $title, $size, $value, $limit, $all) = @_;

    my $reached = !defined $limit || !defined $value ? ''
        : $limit < 0 ? ($value >= -$limit ? 'reached' : 'NOT REACHED')
        : ($value <= $limit ? 'reached' : 'NOT REACHED');
    my $wanted = !defined $limit ? '' : $limit < 0 ? '≥ ' . pretty(-$limit)
        : '≤ ' . pretty($limit);

    printf "  => %s, %s: %s (%s .. %s) %s %s\n", $title, $size,
        pretty($value), pretty($all->[0]), pretty($all->[-1]), $wanted,
        $reached;

    push @{$self->{targets}}, [$title, $size, $value, $all->[0], $all->[-1],
        $wanted, $reached];
}


sub memory {
    my ($self, $what, $list) = @_;

    for my $each (@$list) {
        printf "  memory             %-24s %d KiB\n", @$each;
        push @{$self->{memory}}, [$what, @$each];
    }
}


sub skipped {
    my ($self, $what) = @_;

    push @{$self->{skipped}}, $what
        if !grep { $_ eq $what } @{$self->{skipped}};
}


sub failed {
    my ($self, $part, $why) = @_;

    $self->{failed}++;
    push @{$self->{failures}}, "$part: $why";
}


sub pretty {
    my ($n) = @_;

    return '-' if !defined $n;
    return sprintf '%.0f', $n if abs $n >= 1000;
    return sprintf '%.1f', $n if abs $n >= 20;
    return sprintf '%.2f', $n;
}


sub write {
    my ($self) = @_;

    $self->file('raw.tsv', join '', map {
        my ($what, $who, $round, $numbers) = @$_;
        map { join("\t", $what, $who, $round, $_, $numbers->{$_}) . "\n" }
            sort keys %$numbers;
    } @{$self->{rows}});

    $self->file('results.tsv', join '', map {
        join("\t", map { $_ // '' } @$_) . "\n";
    } @{$self->{targets}});

    $self->file('table.md', $self->table());
    $self->file('plot.svg', $self->plot());

    print "\nwritten: $self->{dir}/{table.md,results.tsv,raw.tsv,plot.svg}\n";
}


sub file {
    my ($self, $name, $text) = @_;

    open my $file, '>', "$self->{dir}/$name"
        or die "$self->{dir}/$name: $!\n";
    print $file $text;
    close $file or die "$self->{dir}/$name: $!\n";
}


sub table {
    my ($self) = @_;

    my $text = "$self->{machine}.\n\n"
        . "Medians of interleaved rounds; a ratio is the median of the"
        . " rounds' ratios,\nbehind it the least and the largest.\n\n";

    if (@{$self->{targets}}) {
        $text .= "| measure | size | median | least | largest | wanted | |\n"
            . "|---|---|---:|---:|---:|---:|---|\n";

        $text .= sprintf "| %s | %s | %s | %s | %s | %s | %s |\n", $_->[0],
            $_->[1], pretty($_->[2]), pretty($_->[3]), pretty($_->[4]),
            $_->[5], $_->[6] for @{$self->{targets}};

        $text .= "\n";
    }

    if (grep { /^(?:hit|304|redis|miss|entries|workers)/ } @{$self->{order}}) {
        $text .= "| run | server | requests/s | CPU µs a request | p50 µs |"
            . " p99 µs |\n|---|---|---:|---:|---:|---:|\n";
    }

    for my $what (@{$self->{order}}) {
        next if $what =~ /^(?:arrive|landing|instructions)/;

        for my $who (@{$self->{of}{$what}{order}}) {
            $text .= sprintf "| %s | %s | %s | %s | %s | %s |\n", $what, $who,
                map { pretty($self->median($what, $who, $_)) }
                qw(rps cpu_us p50_us p99_us);
        }
    }

    if ($self->{of}{instructions}) {
        $text .= "\n| instructions in user space | a request |\n"
            . "|---|---:|\n";

        $text .= sprintf "| %s | %s |\n", $_,
            pretty($self->median('instructions', $_, 'instructions'))
            for @{$self->{of}{instructions}{order}};
    }

    if (@{$self->{memory}}) {
        $text .= "\n| memory after | server | KiB |\n|---|---|---:|\n";
        $text .= sprintf "| %s | %s | %d |\n", @$_ for @{$self->{memory}};
    }

    $text .= "\nSkipped: " . join(', ', @{$self->{skipped}}) . ".\n"
        if @{$self->{skipped}};
    $text .= "\nFailed: " . join('; ', @{$self->{failures}}) . "\n"
        if @{$self->{failures}};

    return $text;
}


# bars of CPU time a request, a panel for each run that has it

sub plot {
    my ($self) = @_;

    my ($y, $body) = (64, '');

    for my $what (@{$self->{order}}) {
        next if $what !~ /^(?:hit|304|miss|redis)/;

        my %cpu = map { $_ => $self->median($what, $_, 'cpu_us') }
            @{$self->{of}{$what}{order}};
        my @who = sort { $cpu{$a} <=> $cpu{$b} } grep { $cpu{$_} } keys %cpu;

        next if !@who;

        my $largest = $cpu{$who[-1]};

        $body .= sprintf '<text x="16" y="%d" class="t">%s</text>' . "\n",
            $y, $what;
        $y += 10;

        for my $who (@who) {
            $body .= sprintf '<text x="196" y="%d" class="l">%s</text>'
                . '<rect x="204" y="%d" width="%.1f" height="14" class="%s"/>'
                . '<text x="%.1f" y="%d">%s</text>' . "\n",
                $y + 12, $who, $y, 440 * $cpu{$who} / $largest,
                $who =~ /^gateway/ ? 'g' : 'p',
                210 + 440 * $cpu{$who} / $largest, $y + 12,
                pretty($cpu{$who});
            $y += 19;
        }

        $y += 26;
    }

    my $machine = $self->{machine} =~ s/&/&amp;/gr =~ s/</&lt;/gr;

    return <<"SVG";
<svg xmlns="http://www.w3.org/2000/svg"
     width="720" height="$y" viewBox="0 0 720 $y">
<style>
text { font: 12px sans-serif; fill: #222 }
.h { font-size: 15px; font-weight: bold } .t { font-weight: bold }
.l { text-anchor: end } .g { fill: #0b7a4b } .p { fill: #9aa5b1 }
</style>
<rect width="720" height="$y" fill="#fff"/>
<text x="16" y="22" class="h">CPU time of the server, µs a request</text>
<text x="16" y="40">$machine</text>
$body</svg>
SVG
}


1;
