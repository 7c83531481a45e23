package Binarize;

# What the tests of t/ share: nginx by Test::Nginx::Socket, with two workers,
# behind it a stand-in cloud and Redis, all on loopback and for one file only.
#
# A block has, besides the sections of Test::Nginx::Socket, "--- perl": code
# that runs while its nginx does, with the functions below, and "--- processes",
# the number of workers, two if there is none.
#
# Environment, all optional:
#
#   TEST_NGINX_BINARY         nginx
#   TEST_NGINX_LOAD_MODULES   the modules, build/ngx_http_binarize_module.so;
#                             empty: nginx has ours linked in
#   BINARIZE_STANDIN          the stand-in cloud, build/standin/standin
#   BINARIZE_REDIS            redis-server
#   BINARIZE_VALGRIND         1: nginx runs under valgrind, and an error or a
#                             leak of memory fails the file
#   BINARIZE_KEEP             1: the directory of logs is kept, and named

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Scalar::Util qw(blessed);
use Test::More ();
use Time::HiRes qw(sleep time);

use Binarize::Client;
use Binarize::Cloud;
use Binarize::Crowd;
use Binarize::Node;
use Binarize::DNS;
use Binarize::Redis;

our $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
our $modules;
our $top;
our $dir;
our $port;
our $valgrind;
our $patience;
our @locks;

BEGIN {
    $top = dirname(dirname(dirname(abs_path(__FILE__))));
    $dir = File::Temp::tempdir('binarize-XXXXXX', TMPDIR => 1);
    $valgrind = $ENV{BINARIZE_VALGRIND};

    # all waits are bounded by so many seconds: the machine may be busy
    $patience = $valgrind ? 120 : 60;

    chmod(0755, $dir);

    # four ports that no other file of tests takes: the lock is a socket's
    # name, it is gone with us; below those the kernel gives to clients

    for (1 .. 1000) {
        my $first = 10000 + 4 * int(rand(5000));
        my $lock = IO::Socket::UNIX->new(Local => "\0binarize-test-$first",
                                         Listen => 1) or next;
        my @busy = grep {
            !IO::Socket::INET->new(LocalAddr => '127.0.0.1', ReuseAddr => 1,
                                   LocalPort => $_, Listen => 1)
        } $first .. $first + 3;

        next if @busy;

        push @locks, $lock;
        $port = $first;
        last;
    }

    die "no free port\n" unless $port;

    delete $ENV{TEST_NGINX_RANDOMIZE};
    delete $ENV{TEST_NGINX_USE_VALGRIND};

    $ENV{TEST_NGINX_PORT} = $port;
    $ENV{TEST_NGINX_SERVER_PORT} = $port;
    $ENV{TEST_NGINX_STREAM_PORT} = $port + 1;
    $ENV{TEST_NGINX_SERVROOT} = "$dir/root";
    $ENV{TEST_NGINX_LOAD_MODULES} //=
        "$top/build/ngx_http_binarize_module.so";

    # what a configuration of a test's own begins with
    $modules = join '', map { "load_module $_;\n" }
               split ' ', $ENV{TEST_NGINX_LOAD_MODULES};

    $ENV{TEST_NGINX_TIMEOUT} ||= $patience;
    $ENV{TEST_NGINX_DIR} = $dir;

    # whether nginx is started anew is decided in our block preprocessor
    $ENV{TEST_NGINX_FORCE_RESTART_ON_TEST} = 0;
}

use Test::Nginx::Socket 'no_plan';

our @EXPORT = qw(cloud redis_server node answer_is problem_is get begin crowd
    tally guid task fetches until_true file_write file_read nginx_pid nginx_workers
    nginx_signal nginx_reload nginx_stop nginx_start nginx_restart error_log
    logged zone_status zone_is_clean freeze compile run_file
    lag secret tolerate $nginx $modules $dir $port $patience $valgrind);

our @secrets;
our @tolerated;
our ($cloud, $log, $configuration, $delays, %gone);

my $serial = 0;
my $owner = $$;

# then END is run
$SIG{$_} = sub { exit(1) } for qw(HUP INT PIPE TERM);


sub import {
    my $caller = caller;

    strict->import;
    warnings->import;

    no strict 'refs';

    for my $name (@EXPORT) {
        my ($sigil, $bare) = $name =~ /^(\$?)(\w+)$/;
        *{"${caller}::$bare"} = $sigil ? \${"Binarize::$bare"}
                                       : \&{"Binarize::$bare"};
    }

    # Test::More's and Test::Nginx::Socket's, too
    for my $name (qw(is isnt ok like unlike is_deeply diag note pass fail skip
                     cmp_ok))
    {
        *{"${caller}::$name"} = \&{"Test::More::$name"};
    }

    for my $name (qw(no_shuffle workers log_level worker_connections)) {
        *{"${caller}::$name"} = \&{"Test::Nginx::Util::$name"};
    }
}


# -- ids, files, time

# An id nobody used before in this file.
sub guid {
    return sprintf('%08x-%04x-4000-8000-%04x%08x', $$, $port, time() & 0xffff,
                   ++$serial);
}

# Calls the code until it is true, for some seconds; returns its value.
sub until_true(&;$) {
    my ($code, $seconds) = @_;
    my $deadline = time() + ($seconds // $patience);

    while (1) {
        my $value = $code->();
        return $value if $value || time() > $deadline;
        sleep(0.01);
    }
}

# Seconds that the processes of this test have waited for a CPU since its
# block began: so much later than it should be may anything be, and that is
# nobody's fault.  0 where the kernel does not count it; valgrind has its part.
sub lag {
    my $now = delays();
    my $lag = $valgrind ? 5 : 0;

    $lag += $now->{$_} - ($delays->{$_} // 0) for keys %$now;

    return $lag;
}

# That of each process, since it began.
sub delays {
    my @servers = grep { $_ } nginx_pid(), Binarize::Node::pids();

    return { %gone, map { $_ => delay($_) }
                        $$, children($$), @servers,
                        map { children($_) } @servers };
}

sub delay {
    my ($pid) = @_;
    my (undef, $ns) = split ' ', file_read("/proc/$pid/schedstat");
    return ($ns // 0) / 1e9;
}

# A child that has ended, and not been waited for: it counts as well.
sub has_gone {
    my ($pid) = @_;
    $gone{$pid} = delay($pid);
}

# All of them, also those of children.
sub children {
    my ($pid) = @_;
    my @pids = split ' ', file_read("/proc/$pid/task/$pid/children");
    return (@pids, map { children($_) } @pids);
}

sub file_write {
    my ($name, $bytes) = @_;
    $name = "$dir/$name" unless $name =~ m{^/};

    # replaced, as a rotation does
    open(my $f, '>', "$name.new") or die "$name: $!\n";
    binmode($f);
    print $f $bytes;
    close($f) or die "$name: $!\n";
    rename("$name.new", $name) or die "$name: $!\n";

    return $name;
}

sub file_read {
    my ($name) = @_;
    $name = "$dir/$name" unless $name =~ m{^/};
    open(my $f, '<', $name) or return '';
    binmode($f);
    local $/;
    return scalar(readline($f)) // '';
}

# What must appear nowhere: it is searched for at the end of the file.
sub secret {
    push @secrets, @_;
    return $_[0];
}

# A pattern of lines that the final check of the error log lets pass.
sub tolerate {
    push @tolerated, @_;
}


# -- behind the gateway

sub cloud {
    return $cloud;
}

sub redis_server {
    return Binarize::Redis->new(@_);
}

# A second nginx like the one of the block, see Binarize::Node.
sub node {
    return Binarize::Node->new();
}

# Makes a task, returns its id; the parameters are those of the stand-in's
# PUT tasks, and -id, -body, -cloud.
sub task {
    my (%o) = @_;
    my $id = delete $o{-id} // guid();
    my $cloud = delete $o{-cloud} // $Binarize::cloud;
    my $body = delete $o{-body};

    $cloud->put("tasks/$id", \%o, $body);

    return $id;
}

# How often the cloud was asked for it.
sub fetches {
    my ($id, $on, @op) = @_;
    return ($on // $cloud)->calls($id, @op)->{fetches};
}


# -- the gateway's clients

# Sends a request: get($uri, header => value, ...), with options
# -method, -port, -version, -raw, -body, -rcvbuf, -seconds; returns the answer.
sub get {
    return begin(@_)->answer();
}

sub begin {
    return Binarize::Client->new(-port => $port, -seconds => $patience,
                                 -uri => @_);
}

# Many clients at once: crowd($n, $uri, "name: value"...), or
# crowd([{ uri => ... }...], options), see Binarize::Crowd.  Returns when all
# requests were sent; ->answers() waits for the end of the last.
sub crowd {
    my ($clients, @rest) = @_;

    if (!ref $clients) {
        my ($uri, @headers) = @rest;
        $clients = [map { { uri => $uri, headers => \@headers } }
                    1 .. $clients];
        @rest = ();
    }

    return Binarize::Crowd->new($clients, @rest);
}

# How many of the answers have each value: of a member (status, source, fate,
# sha, size, tag), or the value the code returns.
sub tally {
    my ($what, @answers) = @_;
    my %n;

    for (@answers) {
        my $value = ref $what ? $what->($_)
                  : $what eq 'source' ? $_->source() : $_->{$what};
        $n{$value // 'none'}++;
    }

    return \%n;
}

# One test: the status, each given header (undef: it is not there), and the
# body if it is given.  $want: [status, header => value, ..., body => value].
sub answer_is {
    my ($answer, $want, $name) = @_;
    my ($status, @want) = @$want;
    my @wrong;

    push @wrong, "status: $answer->{status}, not $status"
        if $answer->{status} ne $status;

    while (@want) {
        my ($key, $value) = splice(@want, 0, 2);
        my $got = $key eq 'body' ? $answer->{body} : $answer->header($key);
        my $show = defined $got ? printable($got) : 'absent';

        if (!defined $value) {
            push @wrong, "$key: $show, not absent" if defined $got;

        } elsif (ref $value eq 'Regexp') {
            push @wrong, "$key: $show, not like $value"
                if !defined $got || $got !~ $value;

        } elsif (!defined $got || $got ne $value) {
            push @wrong, "$key: $show, not " . printable($value);
        }
    }

    push @wrong, "the answer is not whole: $answer->{wrong}"
        if $answer->{wrong};

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::ok(!@wrong, $name)
        or Test::More::diag(join("\n", @wrong, 'of ' . $answer->{head}
                                 . printable($answer->{body})));
    return !@wrong;
}

# One test: it is a problem document of that status and slug.
sub problem_is {
    my ($answer, $status, $slug, $name, @more) = @_;
    my $body = $answer->{body};
    my $doc = eval { decode_json($body) };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @wrong = grep {
        !defined $doc || !defined $doc->{$_} || $doc->{$_} eq ''
    } qw(type title status detail);

    if (@wrong) {
        Test::More::fail($name);
        Test::More::diag("no " . join(', ', @wrong)
                         . " in the problem of $answer->{head}$body");
        return 0;
    }

    if ($doc->{status} != $status || $doc->{type} ne "urn:binarize:$slug") {
        Test::More::fail($name);
        Test::More::diag("expected $status $slug, got $body");
        return 0;
    }

    my %more = @more;

    return answer_is($answer, [$status, %{ {
        'Content-Type' => 'application/problem+json',
        'Content-Length' => length($body),
        'X-Content-Type-Options' => 'nosniff', ETag => undef,
        'Last-Modified' => undef, 'Accept-Ranges' => undef,
        'Cache-Control' => 'no-store', %more } }], $name);
}

sub printable {
    my ($bytes) = @_;
    $bytes = substr($bytes, 0, 200) . '...' if length($bytes) > 200;
    $bytes =~ s/([^\x20-\x7e])/sprintf('\\x%02x', ord($1))/ge;
    return "\"$bytes\"";
}


# -- nginx

sub nginx_pid {
    my ($pid) = file_read("$dir/root/logs/nginx.pid") =~ /^(\d+)/;
    return $pid;
}

sub nginx_workers {
    my $pid = nginx_pid();
    return split ' ', file_read("/proc/$pid/task/$pid/children");
}

sub nginx_signal {
    my ($signal) = @_;
    kill($signal, nginx_pid()) or die "nginx is gone\n";
}

# HUP, until no worker of before is left; false: they have not gone.
sub nginx_reload {
    my %old = map { $_ => 1 } nginx_workers();

    nginx_signal('HUP');

    return until_true {
        my @now = nginx_workers();
        @now && !grep { $old{$_} } @now;
    };
}

# A process that is there and no zombie.
sub alive {
    my ($pid) = @_;
    return file_read("/proc/$pid/stat") =~ /^\d+ \(.*\) [^ZX]/s;
}

# Stops the process until a CONT, and returns when it has: a connection that
# came while it still waits for one might be given to it, and to nobody else.
sub freeze {
    my ($pid) = @_;

    kill('STOP', $pid) or die "$pid is gone\n";
    until_true { file_read("/proc/$pid/stat") =~ /^\d+ \(.*\) T/s };
}

# Ends nginx by QUIT, or the signal; false if it had to be killed.
sub nginx_stop {
    my ($signal) = @_;
    my $pid = nginx_pid() // return 1;
    my @all = ($pid, nginx_workers());
    my $kill = defined $signal && $signal eq 'KILL';

    kill($signal // 'QUIT', $kill ? @all : $pid);

    my $gone = until_true { !grep { alive($_) } @all };

    kill('KILL', @all) unless $gone;
    unlink("$dir/root/logs/nginx.pid") if $kill || !$gone;

    log_take();

    return $gone;
}

# Starts nginx again with the configuration that it had.
sub nginx_start {
    system("$Test::Nginx::Util::NginxBinary -e $dir/root/logs/error.log "
           . "-p $dir/root/ "
           . "-c $dir/root/conf/nginx.conf > /dev/null 2>&1") == 0
        or Test::More::diag("nginx did not start:\n" . error_log());
    until_true { nginx_pid() };
}

sub nginx_restart {
    nginx_stop();
    nginx_start();
}

# What this nginx has logged so far.
sub error_log {
    return file_read("$dir/root/logs/error.log");
}

# One test: a line that matches is logged, or comes to be soon.
sub logged {
    my ($pattern, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $found = until_true { error_log() =~ $pattern };

    Test::More::ok($found, $name)
        or Test::More::diag("nothing like $pattern in\n", map { "$_\n" }
                            grep { /\[(?:warn|error|crit|alert|emerg)\]/ }
                            split /\n/, error_log());
}

# What /json, a location with "binarize_status json", says of the zone, by
# default the first; undef if it says nothing.
sub zone_status {
    my ($name) = @_;
    my $status = eval { get('/json')->json() } or return;
    my ($zone) = grep { !defined $name || $_->{name} eq $name }
                      @{ $status->{zones} };
    return $zone;
}

# Three tests: nothing is left in the zone of who went, or it goes soon.
sub zone_is_clean {
    my ($name) = @_;
    my $of = defined $name ? " in $name" : '';
    my @what = qw(l1_building_entries l1_building_bytes l1_zombie_entries
                  l1_zombie_bytes l1_pinned_entries l1_claimed_bytes
                  waiting_requests);
    my $status;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    until_true {
        $status = zone_status($name);
        $status && !grep { $status->{$_} } @what
    };

    Test::More::is_deeply({ map { $_ => $status->{$_} } @what },
                          { map { $_ => 0 } @what }, "nothing is held$of");

    my $used = 0;
    $used += $_ for values %{ $status->{l1_used_bytes} };

    Test::More::is($used + $status->{l1_free_bytes}, $status->{l1_blocks_bytes},
                   "every block is used or free$of");
    Test::More::is_deeply([grep { $status->{flights}{$_} }
                                keys %{ $status->{flights} }],
                          [], "nobody flies$of");
}

# Compiles a C file of t/lib into the test's directory, returns its path there.
sub compile {
    my ($file, @options) = @_;
    my ($name) = $file =~ /^(\w+)\.c$/;
    my @cc = split(' ', $ENV{CC} // 'cc');

    system(@cc, '-O2', '-o', "$dir/$name", "$top/t/lib/$file", @options) == 0
        or die "$file does not compile\n";

    return "$dir/$name";
}

# Test::Nginx removes the log of a block before the next one.
sub log_take {
    $log .= error_log();
    truncate("$dir/root/logs/error.log", 0);
}


# -- a file of tests

my $helper = $Test::Nginx::Util::RunTestHelper;

$Test::Nginx::Util::RunTestHelper = sub {
    my ($block, @rest) = @_;

    $helper->($block, @rest) if $block->request || $block->pipelined_requests
                                || $block->raw_request;
    run_perl($block) if defined $block->perl;
};

# Errors in the code are told by the file's own lines.
sub run_perl {
    my ($block) = @_;
    my ($code, $source) = ($block->perl, file_read(abs_path($0)));
    my $at = index($source, $code);
    my $line = $at < 0 ? 1 : 1 + (substr($source, 0, $at) =~ tr/\n//);

    Test::More::note($block->name);

    # the first to answer may not be the last to start
    my $n = Test::Nginx::Util::workers();
    until_true { nginx_workers() >= $n } if nginx_pid();

    $delays = delays();

    eval "package main; use strict; use warnings;\n#line $line \"$0\"\n$code;1"
        or do {
            Test::More::fail($block->name . ': died');
            Test::More::diag($@);
        };
}

sub run_file {
    run_tests();
    finish();
}

# After the last block: nginx ends in peace, and its log is looked through.
sub finish {
    Binarize::Node::stop_all();
    Test::More::ok(nginx_stop(), 'nginx ended gracefully');

    my @bad = grep {
        my $line = $_;
        $line =~ /\[(?:alert|emerg)\]|exited\ on\ signal|open\ socket.*left
                  |Sanitizer|runtime\ error:|Assertion.*failed/x
        && !grep { $line =~ $_ } @tolerated
    } split /\n/, $log;

    Test::More::is(scalar(@bad), 0, 'nothing alarming in the error log')
        or Test::More::diag(join "\n", splice(@bad, 0, 20));

    my @told = grep { length && index($log, $_) >= 0 } @secrets;

    # the stand-in's tokens look like this
    push @told, $1 if $log =~ /(eyJ[\w-]{8,}\.[\w-]{8,})/;

    Test::More::is("@told", '', 'no secret in the error log');

    if ($valgrind) {
        my @reports = map { file_read($_) } glob("$dir/valgrind.*");
        my @errors = grep { /\S/ } @reports;

        Test::More::is(scalar(@errors), 0, 'valgrind found nothing')
            or Test::More::diag(map { substr($_, 0, 20000) } @errors);
    }

    Test::More::is($cloud->stop(), 0, 'the stand-in ended in peace');
}

sub prepare {
    $cloud = Binarize::Cloud->new($dir);
    $log = '';

    $ENV{TEST_NGINX_CLOUD} = "127.0.0.1:$cloud->{port}";
    $ENV{TEST_NGINX_CREDENTIALS} = "client_id=$cloud->{id} "
                                   . "client_secret_file=$dir/secret";
    secret($cloud->{secret});

    Test::Nginx::Util::server_port("127.0.0.1:$port");
    Test::Nginx::Util::master_on();
    Test::Nginx::Util::workers(2);
    Test::Nginx::Util::worker_connections(512);
    Test::Nginx::Util::no_long_string();
    Test::Nginx::Util::no_shuffle();

    if ($valgrind) {
        my $tool = "valgrind -q --leak-check=full --show-leak-kinds=definite "
                   . "--keep-debuginfo=yes "
                   . "--errors-for-leak-kinds=definite --num-callers=40 "
                   . "--suppressions=$top/t/valgrind.suppress "
                   . "--log-file=$dir/valgrind.%p";

        # only what serves: "-v" and "-V" need no valgrind
        file_write('nginx', "#!/bin/sh\ncase \" \$* \" in *\" -c \"*) "
                   . "exec $tool $nginx \"\$@\" ;; esac\n"
                   . "exec $nginx \"\$@\"\n");
        chmod(0755, "$dir/nginx");
        $Test::Nginx::Util::NginxBinary = "$dir/nginx";
    }
}

Test::Nginx::Util::add_block_preprocessor(sub {
    my ($block) = @_;

    if (!defined $block->http_config) {
        $block->set_value('http_config',
                          "    binarize_credentials "
                          . "\$TEST_NGINX_CREDENTIALS;\n"
                          . "    binarize_max_size 8m;\n");
    }

    # warnings and errors are in the log
    $block->set_value('suppress_stderr', 1);

    # "--- processes": workers; 0: one process, no master

    my $processes = $block->processes // 2;

    Test::Nginx::Util::master_process_enabled($processes > 0);
    Test::Nginx::Util::workers($processes || 1);

    # the same nginx goes on with the same configuration

    my $all = join("\0", map { $block->$_ // '' }
                   qw(config http_config main_config processes));

    if (!defined $configuration || $configuration ne $all) {
        nginx_stop();
        undef $Test::Nginx::Util::PrevConfig;
        $configuration = $all;
    }
});

prepare();

END {
    if ($$ == $owner) {
        local $?;

        Binarize::Node::stop_all();
        nginx_stop();
        Binarize::Redis::stop_all();
        Binarize::Cloud::stop_all();
        Binarize::DNS::stop_all();

        if ($ENV{BINARIZE_KEEP}) {
            open(my $f, '>', "$dir/error.log");
            print $f $log // '';
            close($f);
            print STDERR "# kept: $dir\n";

        } else {
            system('rm', '-rf', $dir);
        }
    }
}

1;
