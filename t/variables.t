use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 256k;
    binarize_zone one:1m;
    binarize_zone two:1m;
    log_format vars '$uri $binarize_id $binarize_cache $binarize_task_status '
                    '$binarize_cloud_calls $binarize_wait_time';
    access_log $TEST_NGINX_DIR/vars.log vars;
CONFIG

our $locations = <<'CONFIG';
    binarize_cache one;
    binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                   connect_timeout=10s;
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        add_header X-Id $binarize_id always;
        add_header X-Cache $binarize_cache always;
        add_header X-Task $binarize_task_status always;
        add_header X-Calls $binarize_cloud_calls always;
        add_header X-Wait $binarize_wait_time always;
    }
    location /redis/ {
        binarize_cache two off;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /none/ {
        binarize_redis off;
        binarize_cache one off;
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
    }
    location /wait/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 5s;
        binarize_poll 100ms;
    }
    location /other {
        return 200 "$binarize_id|$binarize_cache|$binarize_task_status|$binarize_cloud_calls|$binarize_wait_time";
    }
CONFIG

# The line the access log has for that URL, last.
sub line {
    my ($url) = @_;
    my $found;
    $url =~ s/\?.*//;

    Binarize::until_true(sub {
        my @lines = Binarize::file_read('vars.log') =~ /^\Q$url\E (.*)$/mg;
        return defined($found = $lines[-1]);
    }, 2);
    return $found // '';
}

run_file();

__DATA__

=== log_format
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my ($id, $none, $pending, $error) = map { task(size => 300, @$_) }
    [], [status => 'NotExist'], [status => 'Pending'], [status => 'Error'];
my $bypass = task(size => 300, op => 'deskewimage');
my $twice = task(size => 300);
my $bad = task(http => 500);
my $empty = task(results => 'empty');
my $time = qr/\d+\.\d\d\d/;

get("/other");      # the connection to Redis is made in each worker
cloud->fault($twice, { http => 401, times => 1 });

for (["/b/$id", qr/^\Q$id\E MISS Completed 1 $time$/],
     ["/b/\U$id", qr/^\Q$id\E L1 Completed 0 0\.00\d$/],
     ["/b/$id.json", qr/^\Q$id\E L1 Completed 0 0\.00\d$/],
     ["/redis/$id", qr/^\Q$id\E REDIS Completed 0 $time$/],
     ["/b/$none", qr/^\Q$none\E MISS NotExist 1 $time$/],
     ["/b/$none.json", qr/^\Q$none\E NEGATIVE NotExist 0 0\.00\d$/],
     ["/b/$pending", qr/^\Q$pending\E MISS Pending 1 $time$/],
     ["/b/$pending.json", qr/^\Q$pending\E PENDING Pending 0 0\.00\d$/],
     ["/b/$error", qr/^\Q$error\E MISS Error 1 $time$/],
     ["/b/$error.json", qr/^\Q$error\E NEGATIVE Error 0 0\.00\d$/],
     ["/b/$empty", qr/^\Q$empty\E MISS Completed 1 $time$/],
     ["/b/$empty.json", qr/^\Q$empty\E NEGATIVE Completed 0 0\.00\d$/],
     ["/none/$bypass", qr/^\Q$bypass\E BYPASS Completed 1 $time$/],
     ["/b/$twice", qr/^\Q$twice\E MISS Completed 2 $time$/],
     ["/b/$bad", qr/^\Q$bad\E MISS - 1 $time$/],
     ["/b/$bad.json", qr/^\Q$bad\E NEGATIVE - 0 $time$/],
     ["/b/x", qr/^- - - (?:0|-) (?:-|0\.00\d)$/],
     ["/b/$id.gif", qr/^- - - (?:0|-) (?:-|0\.00\d)$/],
     ["/other", qr/^- - - - -$/])
{
    my ($url, $want) = @$_;
    get($url);
    (my $name = $url) =~ s/[0-9a-f]{8}-[0-9a-f-]{27}/ID/i;
    like(main::line($url), $want, $name);
}

is(get('/other')->{body}, '||||', 'elsewhere they are empty');

# in a header of the answer
my $answer = get('/b/' . ($id = task(size => 300)));
answer_is($answer, [200, 'X-Id' => $id, 'X-Cache' => 'MISS',
          'X-Task' => 'Completed', 'X-Calls' => 1, 'X-Wait' => qr/^$time$/],
          'in add_header');


=== waiting and collapsed requests
--- http_config eval: $::http
--- config eval: $::locations
--- perl
my $id = task(size => 300, pending_ms => $valgrind ? 2500 : 700);
my @all = map { begin("/wait/$id") } 1 .. 10;

is(join(' ', map { $_->answer()->{status} } @all), join(' ', (200) x 10),
   'ten wait');

# an answer comes before its line in the log
my (@lines, %n);

until_true {
    @lines = file_read('vars.log') =~ m{^/wait/\Q$id\E (.*)$}mg;
    @lines == 10;
};

my $sum = 0;

for (@lines) {
    my (undef, $cache, $task, $calls, $wait) = split ' ';
    $n{"$cache $task"}++;
    $n{callers}++ if $calls;
    $n{patient}++ if $wait >= 0.4 && $wait < 5 + lag();
    $sum += $calls;
}

is($n{'MISS Completed'}, 1, 'one has fetched it');
is($n{'COLLAPSED Completed'}, 9, 'the others have waited for it')
    or diag(join "\n", @lines);
is($n{patient}, 10, 'for as long as it took');

# a flight of each worker, by turns
cmp_ok($n{callers}, '<=', 2, 'calls are told by those who began');
is($sum, fetches($id), 'each of them once');


=== a connection that is refused is a try
--- http_config eval: $::http
--- config eval
$::locations . "location /refused/ {
    binarize_pass http://127.0.0.1:@{[ $Binarize::port + 3 ]}/v5.0/ocr/upscaleimage;
    binarize_credentials \$TEST_NGINX_CREDENTIALS
                         token_url=http://\$TEST_NGINX_CLOUD/connect/token;
    add_header X-Calls \$binarize_cloud_calls always;
}"
--- perl
answer_is(get('/refused/' . guid()), [502, 'X-Calls' => 1], 'one call');
