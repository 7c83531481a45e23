use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";
$ENV{TEST_NGINX_H2_PORT} = $port + 2;

tolerate(qr/exited on signal 9/);

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone z:8m;
    binarize_max_size 2m;
    binarize_negative_valid 20s;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 20s;
        binarize_poll 200ms max=200ms;
    }
    location /slow/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        limit_rate 10k;
    }
    location /none/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /deskew/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
    }
    location /page/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_intercept_errors on;
        error_page 404 =410 /own.html;
    }
    location = /own.html { return 200 gone; }
    location = /status { binarize_status; }
    location = /prometheus { binarize_status prometheus; }
    location = /json { binarize_status json; }
    location = /html { binarize_status html; }
CONFIG

our $redis_config = <<'CONFIG' . $config;
    location /r/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                       connect_timeout=10s;
        binarize_cache off;
    }
CONFIG

# Reads Prometheus' text as strictly as its description has it; returns
# ({ family => type }, { series => value }).  A series is called by its name
# without "binarize_" and the values of its labels but for the zone's, which
# has to be the first one: answers_total{200}.  Dies of what is wrong.
sub parse_text {
    my ($text, $zone) = @_;
    my (%type, %help, %value, %seen, $family);

    die "does not end with a line feed\n" unless $text =~ /\n\z/;

    for (split /\n/, $text) {

        if (/^# HELP ([a-z][a-z0-9_]*) ([A-Z].*\.)$/) {
            die "twice: $_\n" if $help{$1}++;
            $family = $1;
            next;
        }

        if (my ($of, $type) = /^# TYPE (\w+) (counter|gauge|histogram)$/) {
            die "not behind its HELP: $_\n" if $of ne $family || $type{$of};
            die "a counter without _total: $_\n"
                if ($type eq 'counter') != ($of =~ /_total$/);
            die "not a base unit: $_\n"
                if $of =~ /milli|micro|kilo|mega|minutes|_ms|_kb/;
            $type{$of} = $type;
            next;
        }

        my ($name, $labels, $number) =
            /^(binarize_[a-z0-9_]+)\{(.*)\} (\d+(?:\.\d+)?)$/
            or die "not a sample: $_\n";

        my $of = $name;
        $of =~ s/_(bucket|sum|count)$// if $type{$family} eq 'histogram';
        die "not of the family $family: $_\n" if $of ne $family;
        die "no type: $_\n" unless $type{$family};

        my (@values, %names);

        while ($labels =~ /\G([a-z_]+)="((?:[^"\\]|\\["\\n])*)"(?:,|\z)/gc) {
            die "a label twice: $_\n" if $names{$1}++;
            push @values, [$1, $2];
        }

        die "bad labels: $_\n" if (pos($labels) // 0) != length($labels);
        die "twice: $_\n" if $seen{"$name\{$labels}"}++;

        next if $family eq 'binarize_build_info';

        my $first = shift @values;
        die "no zone: $_\n" if $first->[0] ne 'zone';
        next if $first->[1] ne ($zone // 'z');

        $name =~ s/^binarize_//;
        $name .= '{' . join(',', map { $_->[1] } @values) . '}' if @values;
        $value{$name} = $number;
    }

    die "no numbers\n" unless %value;

    for my $name (grep { $type{$_} eq 'histogram' } keys %type) {
        $name =~ s/^binarize_//;

        my @bounds = sort { $a <=> $b } grep { $_ ne '+Inf' }
                     map { /^\Q$name\E_bucket\{(.*)\}$/ ? $1 : () } keys %value;
        my $before = 0;

        for (@bounds, '+Inf') {
            my $n = $value{"${name}_bucket{$_}"} // die "$name: no $_\n";
            die "$name: fewer in $_\n" if $n < $before;
            $before = $n;
        }

        die "$name: count\n" if $before != $value{"${name}_count"};
        die "$name: no sum\n" unless defined $value{"${name}_sum"};
    }

    return (\%type, \%value);
}

sub numbers {
    my ($zone) = @_;
    return (main::parse_text(Binarize::get('/prometheus')->{body}, $zone))[1];
}

# One test: what the code changes, and nothing else does.  Counted by others,
# or differently each time, and not looked at: memory, Redis, time, wake-ups.
sub changes {
    my ($code, $want, $name, $look) = @_;
    my $before = main::numbers();

    $code->();

    my ($after, %got) = main::numbers();

    $look //= qr/^(?!l1_|redis_|leases|wake|flights|.*seconds)
                 |^(?!wake).*_seconds_count$|^redis_lookups|^flights_started/x;

    for (keys %$after) {
        next if !/$look/ || /_bucket/;
        my $n = $after->{$_} - $before->{$_};
        $got{$_} = $n if $n;
    }

    my %all = (%got, %$want);
    my @wrong = map {
        ($got{$_} // 0) == ($want->{$_} // 0)
            ? () : "$_: " . ($got{$_} // 0) . ', not ' . ($want->{$_} // 0)
    } sort keys %all;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@wrong, $name) or Test::More::diag(join "\n", @wrong);
}

# a result that is answered n times, bytes each, and its other changes
sub served {
    my ($what, $status, $n, $bytes, %more) = @_;
    return { "requests_total{$what}" => $n, "answers_total{$status}" => $n,
             'answer_size_bytes_sum' => $n * $bytes,
             'answer_size_bytes_count' => $n, %more };
}

# a call to the cloud that one request leads
sub called {
    my ($outcome, $bytes, %more) = @_;
    return ('cloud_tries_total{binarizeimage}' => 1,
            "cloud_calls_total{$outcome}" => 1,
            'cloud_received_bytes_total' => $bytes,
            'flights_started_total{leader}' => 1,
            'fetch_duration_seconds_count' => 1,
            'wait_duration_seconds_count' => 1, %more);
}

# Starts n requests and waits until they wait.
sub wait_for_all {
    my ($n, $url) = @_;
    my @all = map { Binarize::begin($url) } 1 .. $n;
    Binarize::until_true { main::numbers()->{waiting_requests} == $n };
    return @all;
}

sub flights {
    my ($numbers) = @_;
    my $n = 0;
    $n += $numbers->{$_} for grep { /^flights\{/ } keys %$numbers;
    return $n;
}

# nginx -t with these lines; its standard error
sub try {
    my ($http, $location) = @_;

    Binarize::file_write('try.conf', <<CONFIG);
${modules}error_log stderr;
pid $dir/try.pid;
events { }
http {
    $http
    server { listen 127.0.0.1:$port; location / { $location } }
}
CONFIG

    return `$nginx -t -e stderr -p $dir -c $dir/try.conf 2>&1`;
}

run_file();

__DATA__

=== each kind of answer is counted
--- http_config eval: $::http
--- config eval: $::config
--- perl
# the token
get('/b/' . task());

my $id = task(size => 5000);
my $png = 'binarizeimage,png';
my $json = 'binarizeimage,json';
my $document = cloud->document($id);

main::changes(sub { get("/b/$id") },
    main::served("$png,MISS", 200, 1, 5000,
                 main::called('completed', length($document))), 'a miss');

main::changes(sub { get("/b/$id") for 1 .. 20 },
    main::served("$png,L1", 200, 20, 5000), 'hits, by either worker');

my $n = length(get("/b/$id.json")->{body});

main::changes(sub { get("/b/$id.json") },
    main::served("$json,L1", 200, 1, $n), 'JSON');

main::changes(sub { get("/b/$id", -method => 'HEAD') },
    main::served("$png,L1", 200, 1, 0), 'HEAD');

main::changes(sub { get("/b/$id", Range => 'bytes=10-109') },
    main::served("$png,L1", 206, 1, 100), 'a range');

main::changes(sub { get("/b/$id", Range => 'bytes=9999-') },
    main::served("$png,L1", 416, 1,
                 length(get("/b/$id", Range => 'bytes=9999-')->{body})),
    'not a range');

main::changes(sub { get("/b/$id", 'If-None-Match' => '*') },
    main::served("$png,L1", 304, 1, 0), 'not modified');

for ([400, '/b/x', 'none'], [400, "/b/$id?format=gif", 'none'],
     [405, "/b/$id.png", 'png', -method => 'POST'],
     [406, "/b/$id", 'none', Accept => 'image/gif'])
{
    my ($status, $url, $format, @more) = @$_;
    my $body = get($url, @more)->{body};

    main::changes(sub { get($url, @more) },
        main::served("binarizeimage,$format,NONE", $status, 1, length($body)),
        "status $status");
}

my $gone = guid();
my $nothing = length(cloud->document($gone));
my $body = length(get("/b/" . guid())->{body});

main::changes(sub { get("/b/$gone") },
    main::served("$png,MISS", 404, 1, $body,
                 main::called('not-found', $nothing)), 'no such task');

main::changes(sub { get("/b/$gone") for 1 .. 3 },
    main::served("$png,NEGATIVE", 404, 3, $body), 'it is remembered');

my $bad = task();
cloud->fault('any', { http => 500 });
$body = length(get("/b/$bad")->{body});
$bad = task();

main::changes(sub { get("/b/$bad") },
    main::served("$png,MISS", 502, 1, $body, main::called('cloud-status', 0)),
    'the cloud fails');

cloud->delete('faults/any');

my $error = task(status => 'Error', messages => 'no');
my $failed = length(cloud->document($error));

main::changes(sub { get("/b/$error.json") },
    main::served("$json,MISS", 200, 1, $failed,
                 main::called('task-failed', $failed)), 'a task that failed');

my $later = task(pending => 5);
my $pending = length(cloud->document($later));

main::changes(sub { get("/b/$later") },
    main::served("$png,MISS", 202, 1, $pending,
                 main::called('pending', $pending)), 'pending');

main::changes(sub { get("/b/$later") },
    main::served("$png,PENDING", 202, 1, $pending), 'too early to ask again');

my $each = task(size => 300);
$n = length(cloud->document($each));

main::changes(sub { get("/none/$each") for 1 .. 3 },
    main::served("$png,BYPASS", 200, 3, 300,
                 map { $_, 3 * { main::called('completed', $n) }->{$_} }
                 keys %{ { main::called('completed', $n) } }),
    'no cache at all');


=== buckets include their bounds
--- http_config eval: $::http
--- config eval: $::config
--- perl
my @ids = map { task(size => $_) } 1023, 1024, 1025;
my @bounds = qw(0 1024 4096 +Inf);
my (%n, $before, $after);

get("/b/$_") for @ids;

for (['1023', $ids[0]], ['1024', $ids[1]], ['1025', $ids[2]],
     ['0', $ids[0], 'If-None-Match' => '*'])
{
    my ($size, $id, @more) = @$_;

    $before = main::numbers();
    get("/b/$id", @more);
    $after = main::numbers();

    $n{$size} = join ' ', map {
        $after->{"answer_size_bytes_bucket{$_}"}
        - $before->{"answer_size_bytes_bucket{$_}"}
    } @bounds;
}

is($n{0}, '1 1 1 1', '0 bytes');
is($n{1023}, '0 1 1 1', '1023 bytes');
is($n{1024}, '0 1 1 1', '1024 bytes');
is($n{1025}, '0 0 1 1', '1025 bytes');


=== each try is billed
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS
                         token_url=http://$TEST_NGINX_CLOUD/connect/token;
    upstream two {
        server 127.0.0.1:$TEST_NGINX_STREAM_PORT max_fails=0;
        server $TEST_NGINX_CLOUD max_fails=0;
    }
--- config
    location /two/ { binarize_pass http://two/v5.0/ocr/binarizeimage; }
    location = /prometheus { binarize_status prometheus; }
--- perl
# round robin, in each worker: either the second at once, or both
is(scalar(grep { get('/two/' . task())->{status} == 200 } 1 .. 12), 12,
   'all are answered');

my $numbers = main::numbers('binarize');
my $refused = () = error_log() =~ /connect\(\) failed/g;

cmp_ok($refused, '>', 0, "refused: $refused");
is($numbers->{'cloud_tries_total{binarizeimage}'}, 12 + $refused, 'tries');
is($numbers->{'cloud_calls_total{completed}'}, 12, 'calls');
is($numbers->{fetch_duration_seconds_count}, 12, 'durations');


=== HTTP/2, and a subrequest
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone z:8m;
    binarize_max_size 2m;

    server {
        listen 127.0.0.1:$TEST_NGINX_H2_PORT http2;
        location /b/ {
            binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        }
    }
--- config
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /ssi/ {
        default_type text/html;
        ssi on;
        root $TEST_NGINX_DIR;
    }
    location = /prometheus { binarize_status prometheus; }
--- perl
my $id = task(size => 70_000);
my $curl = 'curl -s -o /dev/null --http2-prior-knowledge '
           . "http://127.0.0.1:$ENV{TEST_NGINX_H2_PORT}/b/$id";

get("/b/$id");

my $before = main::numbers();

# curl ends before the connection does
main::changes(sub {
    system("$curl; $curl -r 0-99");
    until_true {
        main::numbers()->{answer_size_bytes_count}
        == $before->{answer_size_bytes_count} + 2
    };
}, {
    'requests_total{binarizeimage,png,L1}' => 2, 'answers_total{200}' => 1,
    'answers_total{206}' => 1, 'answer_size_bytes_sum' => 70_100,
    'answer_size_bytes_count' => 2 }, 'HTTP/2');

mkdir("$dir/ssi");
file_write('ssi/page.html', "<!--#include virtual=\"/b/$id.json\" -->");

main::changes(sub {
    answer_is(get('/ssi/page.html'), [200, body => qr/"Completed"/], 'a page');
}, {
    'requests_total{binarizeimage,json,L1}' => 1, 'answers_total{200}' => 1,
}, 'a part of a page: the bytes are the page\'s');


=== an error_page is counted as what the client got
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = guid();

get("/page/$id");

main::changes(sub { answer_is(get("/page/$id"), [410, body => 'gone']) },
    main::served('binarizeimage,png,NEGATIVE', 'other', 1, 4), 'error_page');


=== namespaces are counted apart
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(op => 'deskewimage', size => 400);

get('/b/' . task());

main::changes(sub { get("/deskew/$id") },
    { 'requests_total{deskewimage,png,MISS}' => 1,
      'cloud_tries_total{deskewimage}' => 1 },
    'deskewimage', qr/^requests|^cloud_tries/);


=== a crowd is one call, those who wait are counted while they do
--- http_config eval: $::http
--- config eval: $::config
--- perl
get('/b/' . task());

my $id = task(size => 2000, delay_ms => 1500);
my $n = length(cloud->document($id));

main::changes(sub {
    my @all = map { begin("/b/$id") } 1 .. 20;
    my $numbers = until_true {
        my $numbers = main::numbers();
        $numbers->{waiting_requests} == 20 ? $numbers : undef;
    };

    ok($numbers, 'all wait');
    is($numbers->{'flights{fetching}'}, 1, 'one call is in the air');
    is(scalar(grep { $_->answer()->{status} == 200 } @all), 20, 'all answered');
}, {
    'requests_total{binarizeimage,png,MISS}' => 1,
    'requests_total{binarizeimage,png,COLLAPSED}' => 19,
    'answers_total{200}' => 20,
    'answer_size_bytes_count' => 20, 'answer_size_bytes_sum' => 40000,
    'wait_duration_seconds_count' => 20, 'fetch_duration_seconds_count' => 1,
    'cloud_tries_total{binarizeimage}' => 1,
    'cloud_calls_total{completed}' => 1, 'cloud_received_bytes_total' => $n,
}, 'a crowd', qr/^(?!l1_|wake|flights|.*seconds)|^(?!wake).*_seconds_count$/);

my $numbers = main::numbers();
is($numbers->{waiting_requests}, 0, 'nobody waits');
is(main::flights($numbers), 0, 'nothing flies');
cmp_ok($numbers->{'wait_duration_seconds_sum'}, '>', 20 * 0.5,
       'the time they waited');
cmp_ok($numbers->{'wait_duration_seconds_sum'}, '<', 20 * 15,
       'and not more');


=== polls
--- http_config eval: $::http
--- config eval: $::config
--- perl
get('/b/' . task());

my $id = task(pending => 3);

main::changes(sub {
    my @all = map { begin("/wait/$id") } 1 .. 10;
    $_->answer() for @all;
}, {
    'cloud_calls_total{pending}' => 3, 'cloud_calls_total{completed}' => 1,
    'polls_total' => 3, 'answers_total{200}' => 10,
}, 'three polls', qr/^cloud_calls|^polls|^answers/);

$id = task(status => 'Pending');

my @all = main::wait_for_all(6, "/wait/$id");
my $numbers = until_true {
    my $numbers = main::numbers();
    $numbers->{'flights{sleeping}'} ? $numbers : undef;
};

ok($numbers, 'it sleeps until the next poll');

main::changes(sub {
    $_->leave() for @all;
    until_true { main::numbers()->{waiting_requests} == 0 };
}, {
    'requests_total{binarizeimage,png,NONE}' => 6, 'answers_total{499}' => 6,
    'waiting_requests' => -6
}, 'clients that left', qr/^requests|^answers|^waiting/);

ok(until_true { main::flights(main::numbers()) == 0 }, 'nothing flies');


=== wake-ups across workers
--- http_config eval: $::http
--- config eval: $::config
--- perl
my ($before, $after) = (main::numbers());

# both workers have some of them, sooner or later
for (1 .. 50) {
    my $id = task(delay_ms => 100);
    my @all = map { begin("/b/$id") } 1 .. 8;
    $_->answer() for @all;
    $after = main::numbers();
    last if $after->{'flights_started_total{follower}'}
            > $before->{'flights_started_total{follower}'};
}

cmp_ok($after->{'flights_started_total{follower}'}, '>',
       $before->{'flights_started_total{follower}'}, 'a worker has followed');
cmp_ok($after->{wakes_total}, '>', $before->{wakes_total}, 'it was woken');
is($after->{wakes_total}, $after->{wake_duration_seconds_count},
   'the time it took is known');
is($after->{wakes_sent_total}, $after->{wakes_total}, 'no wake-up was lost');
cmp_ok($after->{wake_duration_seconds_sum},
       '<', $after->{wakes_total} * 0.5 + lag(), 'it is short');


=== tokens
--- http_config eval: $::http
--- config eval: $::config
--- perl
get('/b/' . task());

my $left = main::numbers()->{'token_expires_seconds{1}'};
ok($left > 3000 && $left <= 3600, "the token's life: $left");

cloud->post('revoke');
delete cloud->{token};

my $id = task(size => 1000);

main::changes(sub { answer_is(get("/b/$id"), [200], 'with a new token') }, {
    'cloud_calls_total{cloud-unauthorized}' => 1,
    'cloud_calls_total{completed}' => 1,
    'cloud_tries_total{binarizeimage}' => 2,
    'token_calls_total{ok}' => 1,
}, 'a revoked token', qr/^cloud_calls|^cloud_tries|^token_calls/);

unlike(get('/html')->{body}, qr/class="bad"/, 'nothing needs attention');

nginx_restart();

is(main::numbers()->{'token_expires_seconds{1}'}, 0, 'no token yet');

cloud->fault('token', { http => 400 });

main::changes(sub { answer_is(get('/b/' . task()), [502], 'no token') },
    { 'token_calls_total{credentials-refused}' => 1 },
    'a refused call', qr/^cloud_calls|^cloud_tries|^token_calls/);

like(get('/html')->{body},
     qr/class="bad">Credential 1: .*credentials-refused.*There is no token/,
     'it is said what is wrong');

cloud->delete('faults/token');


=== the budget
--- http_config eval: $::http
--- config
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_budget rate=2r/s quota=5/month;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_budget rate=2r/s quota=5/month;
        binarize_wait 20s;
    }
    location = /prometheus { binarize_status prometheus; }
    location = /html { binarize_status html; }
--- perl
my $numbers = main::numbers();
is($numbers->{'budget_quota{1}'}, 5, 'the quota');
is($numbers->{'budget_spent{1}'}, 0, 'nothing is spent');

get('/b/' . task());

my @all = map { begin('/wait/' . task()) } 1 .. 3;

ok(until_true { main::numbers()->{'flights{budget}'} }, 'some wait for turns');
is(scalar(grep { $_->answer()->{status} == 200 } @all), 3, 'they get them');

$numbers = main::numbers();
is($numbers->{'budget_spent{1}'}, 4, 'four calls');
cmp_ok($numbers->{'budget_turns_total{waited}'}, '>=', 3, 'three have waited');
is($numbers->{'budget_turns_total{refused}'}, 0, 'none was refused');

get('/wait/' . task());
like(get('/html')->{body}, qr/its quota of 5 calls is spent/,
     'it is said that the quota is spent');

main::changes(sub { answer_is(get('/b/' . task()), [503], 'refused') },
    { 'budget_turns_total{refused}' => 1, 'answers_total{503}' => 1,
      'requests_total{binarizeimage,png,MISS}' => 1 },
    'a refused call', qr/^budget|^answers|^requests|^cloud/);


=== Redis
--- http_config eval: $::http
--- config eval: $::redis_config
--- perl
get('/r/' . task());

my $id = task(size => 3000);
my $png = 'binarizeimage,png';
my $n = length(cloud->document($id));

main::changes(sub { get("/r/$id") },
    main::served("$png,MISS", 200, 1, 3000, main::called('completed', $n,
        'redis_lookups_total{miss}' => 1,
        'redis_lookup_duration_seconds_count' => 1)), 'a miss');

until_true { $::redis->hash("binarize:binarizeimage:$id")->{etag} };

main::changes(sub { get("/redis/$id") },
    main::served("$png,REDIS", 200, 1, 3000,
        'flights_started_total{leader}' => 1,
        'wait_duration_seconds_count' => 1,
        'redis_lookups_total{hit}' => 1,
        'redis_lookup_duration_seconds_count' => 1), 'a hit');

my $numbers = until_true {
    my $numbers = main::numbers();
    $numbers->{redis_connections} == 2
    && $numbers->{redis_usable_connections} == 2 ? $numbers : undef;
};

ok($numbers, 'both workers have a connection');
is($numbers->{'redis_stores_total{sent}'}, 2, 'both results were stored');

# the first one gave its lease back while it waited for the token
is($numbers->{'leases_total{held}'}, 3, 'under a lease each');
cmp_ok($numbers->{redis_commands_total}, '>', 10, 'commands');
cmp_ok($numbers->{redis_received_bytes_total}, '>', 3000, 'bytes received');
cmp_ok($numbers->{redis_sent_bytes_total}, '>', 3700, 'bytes sent');
is($numbers->{redis_connects_total}, 2, 'connected once each');
is($numbers->{redis_connect_failures_total}, 0, 'no failure');

$::redis->stop();
nginx_restart();

ok(until_true {
    $numbers = main::numbers();
    $numbers->{redis_connections} == 2
    && $numbers->{redis_usable_connections} == 0
    && $numbers->{redis_connect_failures_total} >= 2;
}, 'Redis is gone: two connections should be there, none is');

$id = task(size => 3000);

# before its token, and after it
main::changes(sub { answer_is(get("/r/$id"), [200], 'served all the same') },
    { 'redis_lookups_total{unusable}' => 2,
      'redis_stores_total{unusable}' => 1 },
    'a miss without Redis', qr/^redis_lookups|^redis_stores/);

like(get('/html')->{body},
     qr/class="bad">Redis: only 0 of 2 connections are usable/,
     'it is said what is wrong');

$::redis->start();

ok(until_true { main::numbers()->{redis_usable_connections} == 2 },
   'Redis is back');


=== L1
--- http_config eval: $::http
--- config eval: $::config
--- perl
nginx_restart();

my $before = main::numbers();

is($before->{zone_size_bytes}, 8 * 1024 * 1024, 'size of the zone');
cmp_ok($before->{l1_blocks_bytes}, '>', 7 * 1024 * 1024, 'most is for L1');
is($before->{l1_free_bytes}, $before->{l1_blocks_bytes}, 'and free');

get('/b/' . task(size => 50_000)) for 1 .. 10;
get('/b/' . guid()) for 1 .. 3;

my $after = main::numbers();

is($after->{'l1_entries{result}'}, 10, 'results');
is($after->{'l1_entries{negative}'}, 3, 'failures');
is($after->{'l1_inserts_total{result}'}, 10, 'stored');
cmp_ok($after->{'l1_data_bytes{result}'}, '>', 500_000, 'their data');
is($after->{'l1_used_bytes{result}'} + $after->{'l1_used_bytes{negative}'}
   + $after->{l1_free_bytes}, $before->{l1_free_bytes}, 'blocks add up');
is($after->{l1_pinned_entries}, 0, 'nothing is being sent');

get('/b/' . task(size => 1_000_000)) for 1 .. 12;

$after = main::numbers();
cmp_ok($after->{'l1_evictions_total{result}'}, '>', 4, 'evictions');

is($after->{l1_declined_total}, $before->{l1_declined_total}, 'all fit');

get('/b/' . task(size => 2_050_000));
cmp_ok(main::numbers()->{l1_declined_total}, '>',
       $before->{l1_declined_total}, 'too large for the zone');


=== a client that is slow pins what it reads
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 1_500_000);
get("/b/$id");

my $client = begin("/slow/$id");

ok(until_true { main::numbers()->{l1_pinned_entries} == 1 }, 'pinned');

$client->leave();

ok(until_true { main::numbers()->{l1_pinned_entries} == 0 }, 'and not');


=== reload
--- http_config eval: $::http
--- config eval: $::config
--- perl
get("/b/" . task()) for 1 .. 3;

my $id = task(pending_ms => 2500);
my @all = main::wait_for_all(4, "/wait/$id");
my @old = nginx_workers();
my $before = main::numbers();

is($before->{workers}, 2, 'two workers');

nginx_signal('HUP');

ok(until_true { main::numbers()->{workers} > 2 }, 'old and new workers');

my $after = until_true {
    my $now = main::numbers();
    my %now = map { $_ => 1 } nginx_workers();
    (grep { !$now{$_} } @old) == 0 || $now->{workers} ? $now : undef;
};

is($after->{waiting_requests}, 4, 'those in the old workers are counted');

for ('requests_total{binarizeimage,png,MISS}', 'answers_total{200}',
     'cloud_tries_total{binarizeimage}', 'answer_size_bytes_sum',
     'l1_inserts_total{result}')
{
    cmp_ok($after->{$_}, '>=', $before->{$_}, "$_ goes on");
    cmp_ok($after->{$_}, '>=', 3, "$_ is there");
}

is(scalar(grep { $_->answer()->{status} == 200 } @all), 4, 'they are answered');

ok(until_true { main::numbers()->{workers} == 2 }, 'the old ones are gone');

my $last = main::numbers();
is($last->{waiting_requests}, 0, 'nobody waits');
is(main::flights($last), 0, 'nothing flies');
is($last->{'answers_total{200}'}, $before->{'answers_total{200}'} + 4,
   'what the old workers did is counted');


=== kill -9
--- http_config eval: $::http
--- config eval: $::config
--- perl
get('/b/' . task()) for 1 .. 5;

my $id = task(status => 'Pending');
my @all = main::wait_for_all(12, "/wait/$id");
my $before = main::numbers();
my ($first, $second) = nginx_workers();

kill('KILL', $first);

my $left;

ok(until_true {
    my %now = map { $_ => 1 } nginx_workers();
    $left = grep { !$_->has_answer() } @all;
    my $now = main::numbers();
    !$now{$first} && keys(%now) == 2 && $now->{workers} == 2
    && $now->{waiting_requests} == $left;
}, 'who waited in the dead worker is no longer counted');

my $now = main::numbers();
is($now->{workers}, 2, 'two workers');

kill('KILL', nginx_workers());

ok(until_true {
    my $now = eval { main::numbers() } // {};
    ($now->{workers} // 0) == 2 && $now->{waiting_requests} == 0
    && main::flights($now) == 0;
}, 'nobody waits, nothing flies');

$now = main::numbers();

for ('requests_total{binarizeimage,png,MISS}', 'answers_total{200}',
     'cloud_tries_total{binarizeimage}', 'answer_size_bytes_sum')
{
    cmp_ok($now->{$_}, '>=', $before->{$_}, "$_ goes on");
}

$id = task(size => 100);

main::changes(sub { get("/b/$id"); get("/b/$id") },
    { 'requests_total{binarizeimage,png,MISS}' => 1,
      'requests_total{binarizeimage,png,L1}' => 1, 'answers_total{200}' => 2 },
    'and counts on', qr/^requests|^answers/);


=== formats
--- http_config eval: $::http
--- config eval: $::redis_config
--- perl
my $id = task();
get("/b/$id") for 1 .. 2;

my @common = ('Cache-Control' => 'no-store', 'Content-Length' => qr/^\d+$/,
              'X-Content-Type-Options' => 'nosniff', ETag => undef);
my $text = 'text/plain; version=0.0.4; charset=utf-8';
my $html = 'text/html; charset=utf-8';
my $json = 'application/json';

for (['/prometheus', $text], ['/json', $json], ['/html', $html]) {
    my ($url, $type) = @$_;
    my $full = get($url, Accept => 'image/png');

    answer_is($full, [200, @common, 'Content-Type' => $type, Vary => undef],
              $url);
    answer_is(get($url, -method => 'HEAD'), [200, @common, body => '',
              'Content-Type' => $type], "HEAD $url");

    for my $method (qw(POST PUT DELETE)) {
        answer_is(get($url, -method => $method), [405, Allow => 'GET, HEAD'],
                  "$method $url");
    }
}

for ([undef, $text], ['*/*', $text], ['text/*', $text],
     ['application/openmetrics-text;version=1.0.0,'
      . 'application/openmetrics-text;version=0.0.1;q=0.75,'
      . 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1', $text],
     ['application/openmetrics-text', $text], ['text/plain', $text],
     ['application/json', $json], ['application/*', $text],
     ['application/json, text/plain;q=0.9', $json],
     ['text/html', $html], ['image/png', $text], ['', $text],
     ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', $html])
{
    my ($accept, $type) = @$_;
    answer_is(get('/status', defined $accept ? (Accept => $accept) : ()),
              [200, @common, 'Content-Type' => $type, Vary => 'Accept'],
              'Accept: ' . ($accept // 'none'));
}

my $page = get('/html')->{body};
unlike($page, qr/<(script|link|img|iframe)|https?:|javascript|\bon\w+=/i,
       'the page stands alone');
like($page, qr/<tr><th>L1<td class="n">\d+<td class="n">[\d.]+ %/, 'requests');

my $all = join('', map { get($_)->{body} } qw(/prometheus /json /html));

for ($id, cloud->{secret}, cloud->{id}, 'eyJ', $dir) {
    ok(index($all, $_) < 0, 'not in the page: ' . ($_ eq $id ? 'the id' : $_));
}


=== README.md names them all
--- http_config eval: $::http
--- config eval: $::redis_config
--- perl
my $readme = file_read("$Binarize::top/README.md");
my ($table) = $readme =~ /^## Status$(.*?)^## /ms;
my ($type) = main::parse_text(get('/prometheus')->{body});
my %in = map { s/^binarize_//r =~ s/_total$//r => 1 } keys %$type;
my %named;

for (grep { /^\| `/ } split /\n/, $table) {
    my ($names) = /^\| (.*?) \|/;
    $named{$_} = 1 for $names =~ /`(\w+)`/g;
}

is(join(' ', grep { !$named{$_} } sort keys %in), '', 'none is missing');
is(join(' ', grep { !$in{$_} } sort keys %named), '', 'none is invented');


=== JSON has the numbers of Prometheus' text
--- http_config eval: $::http
--- config eval: $::redis_config
--- perl
get('/b/' . task()) for 1 .. 2;
get('/b/' . guid() . '.json');

my $json = get('/json')->json();
my ($type, $numbers) = main::parse_text(get('/prometheus')->{body});
my (%got, @zones);

@zones = @{ $json->{zones} };
is(scalar(@zones), 1, 'one zone');
is($zones[0]{name}, 'z', 'its name');
like($json->{build_info}{nginx}, qr/^1\.\d+\.\d+$/, 'nginx');
like($json->{build_info}{version}, qr/^\d+\.\d+\.\d+$/, 'version');
cmp_ok(abs($json->{time} - time()), '<', 60, 'time');

for my $family (keys %$type) {
    my $name = $family =~ s/^binarize_//r =~ s/_total$//r;
    next if $name eq 'build_info';

    my $value = $zones[0]{$name};

    if ($type->{$family} eq 'histogram') {
        $got{"${name}_count"} = $value->{count};
        $got{"${name}_sum"} = $value->{sum};
        $got{"${name}_bucket{$_}"} = $value->{buckets}{$_}
            for keys %{ $value->{buckets} };
        next;
    }

    $name .= '_total' if $family =~ /_total$/;

    my $walk;
    $walk = sub {
        my ($at, @path) = @_;

        if (ref $at) {
            $walk->($at->{$_}, @path, $_) for keys %$at;

        } else {
            $got{@path ? "$name\{" . join(',', @path) . '}' : $name} = $at;
        }
    };
    $walk->($value);
}

my @differ = grep {
    my $times = /token_expires|_seconds_sum/;
    !defined $got{$_} || ($got{$_} != $numbers->{$_} && !$times)
} sort keys %$numbers;

is("@differ", '', 'all are there and the same');

@differ = grep { !defined $numbers->{$_} && $got{$_} } sort keys %got;
is("@differ", '', 'and no others');


=== promtool
--- http_config eval: $::http
--- config eval: $::redis_config
--- perl
my $promtool = $ENV{BINARIZE_PROMTOOL} // 'promtool';

SKIP: {
    skip('no promtool', 1) if system("$promtool --version > /dev/null 2>&1");

    file_write('metrics', get('/prometheus')->{body});
    my $said = `$promtool check metrics < $dir/metrics 2>&1`;
    is($said, '', 'promtool has nothing to say');
}


=== several zones, with odd names
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 200k;
    binarize_zone 'a"<b>\\é&c:1m';
    binarize_zone two:2m;
--- config
    location /a/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache 'a"<b>\\é&c';
    }
    location /two/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache two;
    }
    location = /status { binarize_status; }
    location = /prometheus { binarize_status prometheus; }
--- perl
my $name = "a\"<b>\\\xc3\xa9&c";
my $label = $name =~ s/(["\\])/\\$1/gr;
my $id = task(size => 200);

get("/a/$id") for 1 .. 3;
get("/two/$id") for 1 .. 4;

is(main::numbers($label)->{'requests_total{binarizeimage,png,L1}'}, 2,
   'the first zone');
is(main::numbers('two')->{'requests_total{binarizeimage,png,L1}'}, 3,
   'the other zone');
is(main::numbers($label)->{zone_size_bytes}, 1024 * 1024, 'its size');

my @zones = @{ get('/status', Accept => 'application/json')->json()->{zones} };
utf8::encode($_->{name}) for @zones;
is(join('|', map { $_->{name} } @zones), "$name|two", 'names in JSON');
like(get('/status', Accept => 'text/html')->{body},
     qr/<h2>Zone a&quot;&lt;b&gt;\\\xc3\xa9&amp;c<\/h2>/, 'and in HTML');


=== more namespaces than are counted apart
--- http_config eval: $::http
--- config
    location /1/ { binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/one; }
    location /2/ { binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/two; }
    location /3/ { binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/three; }
    location /4/ { binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/four; }
    location /5/ { binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/five; }
    location /6/ { binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/six; }
    location = /prometheus { binarize_status prometheus; }
--- perl
get("/$_/x") for 1 .. 6;

my $numbers = main::numbers();
is($numbers->{"requests_total{$_,none,NONE}"}, 1, $_)
    for qw(one two three four);
is($numbers->{'requests_total{other,none,NONE}'}, 2, 'the others');


=== without a gateway
--- http_config
--- config
    location = /status { binarize_status; }
--- perl
answer_is(get('/status'), [200, body => qr/^binarize_build_info/m], 'text');
is_deeply(get('/status', Accept => 'application/json')->json()->{zones}, [],
          'JSON');
answer_is(get('/status', Accept => 'text/html'),
          [200, body => qr/No zone is configured/], 'HTML');


=== if and limit_except
--- http_config
--- config
    location /json {
        binarize_status json;
        if ($arg_x) { add_header X-If yes; }
        if ($arg_html) { binarize_status html; }
        limit_except GET { allow all; }
    }
--- perl
answer_is(get('/json'), [200, 'Content-Type' => 'application/json'], 'none');
answer_is(get('/json?x=1'), [200, 'Content-Type' => 'application/json',
                             'X-If' => 'yes', Vary => undef], 'it is inherited');
answer_is(get('/json?html=1'), [200, 'Content-Type' => qr/^text\/html/],
          'it is set anew');
answer_is(get('/json', -method => 'POST'), [405, Allow => 'GET, HEAD'],
          'and inherited by limit_except');


=== configuration
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $pass = "binarize_credentials client_id=a client_secret_file=$dir/secret; "
           . 'binarize_pass http://127.0.0.1/a;';

like(main::try('', 'binarize_status xml;'),
     qr/invalid value "xml" in .*try.conf/, 'an unknown format');
like(main::try('', 'binarize_status; binarize_status json;'),
     qr/"binarize_status" directive is duplicate/, 'twice');
like(main::try('', "$pass binarize_status;"),
     qr/"binarize_status" directive can not be in a location with "binarize_pass"/,
     'both, pass first');
like(main::try('', "binarize_status; $pass"),
     qr/"binarize_pass" directive can not be in a location with "binarize_status"/,
     'both, status first');
like(main::try('binarize_status;', ''),
     qr/"binarize_status" directive is not allowed here/, 'not in http');
like(main::try('', 'binarize_status json;'), qr/syntax is ok/, 'a good one');
