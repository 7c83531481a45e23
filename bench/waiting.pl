#!/usr/bin/perl

# What it costs to let many clients wait for one picture, and for one each:
# memory of nginx, and its CPU time between polls.
#
#     waiting.pl [clients [seconds [case...]]]        10000, 20 and all
#
# A case is "one" (picture) or "many" (one a client), and a number of workers:
# one/2 many/1 many/2.
#
# Needs the stand-in and the module, see BENCH_STANDIN and BENCH_MODULE, and
# twice as many open files as there are clients.  Exits with 1 if in any case
# 10,000 clients take 200 MB or more at any time, or the CPU 1 % of a core.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use File::Temp ();
use IO::Socket::INET;
use POSIX qw(:sys_wait_h sysconf _SC_CLK_TCK);
use Time::HiRes qw(sleep time);

use Binarize::Cloud;
use Binarize::Crowd;
use Binarize::Memory;
use Binarize::Process;

my ($nclients, $seconds, @cases) = @ARGV;
$nclients ||= 10_000;
$seconds ||= 20;
@cases = qw(one/2 many/1 many/2) unless @cases;

my $top = "$FindBin::Bin/..";
my $module = $ENV{BENCH_MODULE} // "$top/build/ngx_http_binarize_module.so";
my $nginx = $ENV{BENCH_NGINX} // 'nginx';
my $tick_ms = 1000 / sysconf(_SC_CLK_TCK);

$ENV{BINARIZE_STANDIN} = $ENV{BENCH_STANDIN}
                         // "$top/build/standin/standin";

our $dir = File::Temp::tempdir('waiting-XXXXXX', TMPDIR => 1, CLEANUP => 1);

$Binarize::dir = $dir;
$Binarize::patience = $seconds + 60;
chmod(0755, $dir);

my $cloud = Binarize::Cloud->new($dir);
my $failed = 0;
my $pid;

for (@cases) {
    my ($what, $workers) = m{^(one|many)/([1-9]\d*)$} or die "$_: no case\n";

    start($workers);
    eval { measure($what, $workers); 1 } or do { print $@; $failed = 1 };
    kill('QUIT', $pid);
    waitpid($pid, 0);
    print read_file("$dir/error.log");
}

$cloud->stop();
print "FAILED\n" if $failed;

exit($failed);


sub start {
    my ($workers) = @_;
    my $connections = int($nclients * 2.2) + 1000;
    my ($open) = sort { $a <=> $b } $connections, most_open();

    $Binarize::port = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                            Listen => 1)->sockport();
    unlink("$dir/error.log");

    write_file("$dir/nginx.conf", <<"CONFIG");
load_module $module;
daemon off;
worker_processes $workers;
worker_rlimit_nofile $open;
pid $dir/pid;
error_log $dir/error.log warn;
events { worker_connections $connections; }
http {
    access_log off;
    client_body_temp_path $dir/temp;
    proxy_temp_path $dir/temp;
    fastcgi_temp_path $dir/temp;
    uwsgi_temp_path $dir/temp;
    scgi_temp_path $dir/temp;
    binarize_zone bench:16m;
    binarize_max_size 2m;
    binarize_credentials client_id=$cloud->{id} client_secret_file=$dir/secret;
    binarize_wait 10m;
    server {
        listen 127.0.0.1:$Binarize::port backlog=1024;
        location /one/ {
            binarize_pass http://127.0.0.1:$cloud->{port}/v5.0/ocr/binarizeimage;
            binarize_poll 4s max=4s;
        }
        location /many/ {
            binarize_pass http://127.0.0.1:$cloud->{port}/v5.0/ocr/binarizeimage;
            binarize_poll ${\ ($seconds + 10)}s;
        }
    }
}
CONFIG

    $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        exec($nginx, '-p', "$dir/", '-e', "$dir/error.log", '-c',
             "$dir/nginx.conf") or POSIX::_exit(127);
    }

    for (1 .. 500) {
        my @pids = pids();
        return if @pids == 1 + $workers;
        die "nginx ended\n" . read_file("$dir/error.log")
            if waitpid($pid, WNOHANG) == $pid;
        sleep(0.02);
    }

    die "nginx did not start\n";
}

# The tasks are pending until the end; polls of many come at once after
# $seconds, those of one go on all the time.
sub measure {
    my ($what, $workers) = @_;
    my $ids = $what eq 'one' ? 1 : $nclients;

    $cloud->fault('any', { status => 'Pending' });
    $cloud->post('reset');

    my $memory = Binarize::Memory->new(pids());
    my $crowd = Binarize::Crowd->new(
        [map { { uri => "/$what/" . id($_ % $ids) } } 1 .. $nclients],
        -patience => 2 * $seconds + 60);

    $memory->watch(sub { fetches() >= $ids }, 60) or die "no calls\n";
    $memory->watch(undef, 3);

    my $held = $memory->now();
    my ($cpu, $polls, $at) = (cpu_ms(), fetches(), time());

    sleep($seconds);

    $cpu = cpu_ms() - $cpu;
    $polls = fetches() - $polls;
    $at = time() - $at;

    # all of them are polled once more
    $memory->watch(sub { fetches() >= 2 * $ids }, 60) or die "no polls\n";
    $memory->watch(undef, 2);

    my $again = $memory->now();

    $cloud->delete('faults/any');

    my @answers = $crowd->answers();
    my $answered = grep { $_->{status} == 404 } @answers;
    my $percent = $cpu / $at / 10;
    my $peak = $memory->peak();

    printf "\n%d clients wait for %s, %d worker%s\n", $nclients,
           $what eq 'one' ? 'one picture' : 'one picture each', $workers,
           $workers == 1 ? '' : 's';
    printf "memory of nginx (sum of PSS)   %8.1f MB, %.1f MB of them before\n",
           $memory->start() / 1024 + $again / 1024, $memory->start() / 1024;
    printf "  while they wait              %8.1f MB, %.1f KB a client\n",
           $held / 1024, $held / $nclients;
    printf "  after another poll           %8.1f MB\n", $again / 1024;
    printf "  at most                      %8.1f MB\n", $peak / 1024;
    printf "CPU of nginx in %.0f s            %8.0f ms, %.2f %% of a core\n",
           $at, $cpu, $percent;
    printf "calls to the cloud in that time%8d\n", $polls;
    printf "at once, at most               %8d\n",
           $cloud->calls()->{max_in_air};
    printf "answered                       %8d\n", $answered;

    die "not all were answered\n" if $answered != $nclients;
    die "it is too much\n"
        if $nclients >= 10_000 && $peak >= 200 * 1024 || $percent >= 1;
}

sub id {
    return sprintf('00000000-0000-4000-8000-%012x', $_[0]);
}

sub fetches {
    return $cloud->calls()->{fetches};
}

# one more is refused
sub most_open {
    my ($most) = read_file('/proc/self/limits')
                 =~ /^Max open files\s+\S+\s+(\d+)/m;
    return $most // 1e9;
}

sub pids {
    return ($pid, split ' ', read_file("/proc/$pid/task/$pid/children"));
}

sub cpu_ms {
    my $ticks = 0;

    for my $pid (pids()) {
        my ($rest) = read_file("/proc/$pid/stat") =~ /\) (.*)/s;
        my @field = split ' ', $rest;
        $ticks += $field[11] + $field[12];
    }

    return $ticks * $tick_ms;
}

sub read_file {
    my ($name) = @_;
    open(my $f, '<', $name) or return '';
    local $/;
    return scalar(readline($f)) // '';
}

sub write_file {
    my ($name, $text) = @_;
    open(my $f, '>', $name) or die "$name: $!\n";
    print $f $text;
    close($f) or die "$name: $!\n";
}

# what the modules of t/lib take from Binarize.pm
sub Binarize::file_read { return read_file(@_) }
