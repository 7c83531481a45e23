#!/usr/bin/perl

# What it costs to let many clients wait for one picture: memory of nginx, and
# its CPU time between polls.
#
#     waiting.pl [clients [seconds]]        10000 and 20
#
# Needs the stand-in and the module, see BENCH_STANDIN and BENCH_MODULE, and
# as many open files as there are clients.  Exits with 1 if 10,000 clients
# take 200 MB or more, or the CPU 1 % of a core.

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
use Binarize::Process;

my ($nclients, $seconds) = (@ARGV, 10_000, 20)[0, 1];
$seconds = 20 if @ARGV < 2;

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
my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
               ->sockport();
my $open = $nclients + 1000;

$Binarize::port = $port;

write_file("$dir/nginx.conf", <<"CONFIG");
load_module $module;
daemon off;
worker_processes 2;
worker_rlimit_nofile $open;
pid $dir/pid;
error_log $dir/error.log warn;
events { worker_connections $open; }
http {
    access_log off;
    client_body_temp_path $dir/temp;
    proxy_temp_path $dir/temp;
    fastcgi_temp_path $dir/temp;
    uwsgi_temp_path $dir/temp;
    scgi_temp_path $dir/temp;
    binarize_zone bench:8m;
    binarize_max_size 2m;
    binarize_credentials client_id=$cloud->{id} client_secret_file=$dir/secret;
    server {
        listen 127.0.0.1:$port backlog=1024;
        location / {
            binarize_pass http://127.0.0.1:$cloud->{port}/v5.0/ocr/binarizeimage;
            binarize_wait 10m;
            binarize_poll 4s max=4s;
        }
    }
}
CONFIG

my $pid = fork() // die "fork: $!\n";

if ($pid == 0) {
    exec($nginx, '-p', "$dir/", '-e', "$dir/error.log", '-c',
         "$dir/nginx.conf") or POSIX::_exit(127);
}

my $id = '00000000-0000-4000-8000-000000000001';
my ($failed, $crowd) = (1);

eval {
    until_workers();

    $cloud->put("tasks/$id", { status => 'Pending' });

    my %before = memory();

    $crowd = Binarize::Crowd->new([map { { uri => "/$id" } } 1 .. $nclients],
                                  -patience => $seconds + 60);
    sleep(5);

    my %after = memory();
    my ($cpu, $polls, $at) = (cpu_ms(), polls(), time());

    sleep($seconds);

    $cpu = cpu_ms() - $cpu;
    $polls = polls() - $polls;
    $at = time() - $at;

    $cloud->put("tasks/$id", { status => 'Completed', size => 1000 });

    my @answers = $crowd->answers();
    my $served = grep { $_->{status} == 200 && $_->{size} == 1000 } @answers;
    my ($landed) = (sort { $b <=> $a } map { $_->{end} } @answers)[0]
                   - Binarize::Cloud::calls($cloud, $id)->{fetches_ms}[-1]
                     / 1000;
    my $percent = $cpu / $at / 10;

    printf "%d clients wait for one picture\n", $nclients;
    printf "memory of nginx (sum of PSS)     %8.1f MB, %.1f MB of them before\n",
           $after{Pss} / 1024, $before{Pss} / 1024;
    printf "  sum of RSS                     %8.1f MB\n", $after{Rss} / 1024;
    printf "  a client                       %8.1f KB\n",
           ($after{Pss} - $before{Pss}) / $nclients;
    printf "CPU of nginx in %.0f s              %8.0f ms, %.2f %% of a core\n",
           $at, $cpu, $percent;
    printf "calls to the cloud in that time  %8d\n", $polls;
    printf "the last one was answered        %8.0f ms after the last call\n",
           1000 * $landed;
    printf "served                           %8d\n", $served;

    $failed = $served != $nclients
              || $nclients >= 10_000 && $after{Rss} >= 200 * 1024
              || $percent >= 1;
};

print STDERR $@ if $@;

kill('QUIT', $pid);
waitpid($pid, 0);
$cloud->stop();

print read_file("$dir/error.log");
print "FAILED\n" if $failed;

exit($failed ? 1 : 0);


sub until_workers {
    for (1 .. 500) {
        my @pids = pids();
        return if @pids == 3;
        die "nginx ended\n" . read_file("$dir/error.log")
            if waitpid($pid, WNOHANG) == $pid;
        sleep(0.02);
    }

    die "nginx did not start\n";
}

sub pids {
    return ($pid, split ' ', read_file("/proc/$pid/task/$pid/children"));
}

# KB
sub memory {
    my %sum;

    for my $pid (pids()) {
        my $text = read_file("/proc/$pid/smaps_rollup");
        $sum{$_} += $text =~ /^$_:\s+(\d+) kB/m ? $1 : 0 for 'Rss', 'Pss';
    }

    return %sum;
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

sub polls {
    return $cloud->calls($id)->{fetches};
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
