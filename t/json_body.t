use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Uncompress::Gunzip qw(gunzip);

use Binarize;

# The document's text is made as its client takes it.

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_zone z:80m;
    binarize_max_size 20m;
    sendfile on;
CONFIG

our $config = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /none/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /filtered/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        gzip on;
        gzip_types *;
        gzip_buffers 4 4k;
        sub_filter '"Completed"' '"completed"';
        sub_filter_types *;
        addition_types *;
        add_after_body /tail;
    }
    location = /tail {
        return 200 tail;
    }
    location /rate/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        limit_rate 1m;
    }
    location = /ssi {
        ssi on;
        default_type text/html;
        return 200 '<!--# include virtual="/b/$arg_a.json" -->|<!--# include virtual="/none/$arg_b.json" -->|<!--# include virtual="/b/$arg_a.json" -->';
    }
CONFIG

sub plain {
    return $_[0] =~ s/\\u002B/+/gir;
}

# kilobytes of the workers' own memory, not of the zone
sub memory {
    my $sum = 0;

    for (nginx_workers()) {
        my ($kb) = file_read("/proc/$_/status") =~ /^RssAnon:\s+(\d+)/m;
        $sum += $kb // 0;
    }

    return $sum;
}

run_file();

__DATA__

=== where one buffer ends and the next begins
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $n (49_150 .. 49_156, 98_302 .. 98_307, 147_456, 147_457,
        393_215 .. 393_217, 500_000, 589_823 .. 589_825) {
    for my $task ([], [payload => 'unpadded']) {
        my $id = task(size => $n, @$task);
        my $document = main::plain(cloud->document($id));

        for my $at ('none', 'b', 'b') {
            my $answer = get("/$at/$id.json");
            ok($answer->{body} eq $document && !$answer->{wrong},
               "$n bytes, /$at, @$task");
        }
    }
}

my $id = task(size => 400_000);
my $document = get("/b/$id.json")->{body};
my $n = length($document);

for (['0-0', 0, 1], ['-1', $n - 1, 1], ['65536-131071', 65536, 65536],
     ['100-400000', 100, 399_901], ['200000-', 200_000, $n - 200_000])
{
    my ($range, $first, $length) = @$_;
    my $answer = get("/b/$id.json", Range => "bytes=$range");

    is($answer->{status}, 206, "bytes=$range");
    ok($answer->{body} eq substr($document, $first, $length)
       && !$answer->{wrong}, 'its bytes');
}

my $answer = get("/b/$id.json", -version => '1.0');
ok($answer->{body} eq $document && !$answer->{wrong}, 'HTTP/1.0');

$answer = get("/rate/$id.json");
ok($answer->{body} eq $document && !$answer->{wrong}, 'limit_rate');

my $other = task(size => 300_000);
my $second = get("/b/$other.json")->{body};

$answer = get("/ssi?a=$id&b=$other");
ok($answer->{body} eq join('|', $document, $second, $document)
   && !$answer->{wrong}, 'subrequests') or diag(length($answer->{body}));

$answer = get("/filtered/$id.json", 'Accept-Encoding' => 'gzip');
gunzip(\$answer->{body}, \my $body);
ok($body eq ($document =~ s/"Completed"/"completed"/r) . 'tail',
   'gzip, sub_filter, addition') or diag(length($body));

# one after another on a connection
my $bytes = begin(undef, -raw => join('', map {
    "GET /b/$id.json HTTP/1.1\r\nHost: a\r\n"
    . ($_ == 3 ? "Connection: close\r\n" : '') . "\r\n"
} 1 .. 3))->drain();
my $good = 0;

while (length($bytes)) {
    my $answer = Binarize::Client::parse($bytes);
    $good++ if !$answer->{wrong} && $answer->{body} eq $document;
    $bytes = $answer->{rest};
}

is($good, 3, 'pipelined');


=== slow clients cost little memory
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 12_000_000);
my $first = get("/b/$id.json");
my $document = $first->{body};

is($first->{status}, 200, 'a large one');
get("/b/$id.json") for 1 .. 8;

my $before = main::memory();
my @slow = map { begin("/b/$id.json") } 1 .. 20;

$_->has_answer(10) for @slow;
sleep(1);

my $grown = main::memory() - $before;

SKIP: {
    Test::More::skip('valgrind has memory of its own', 1) if $valgrind;
    cmp_ok($grown, '<', 60_000, "20 clients: $grown KB");
}

my $good = grep {
    my $answer = $_->answer();
    !$answer->{wrong} && $answer->{body} eq $document
} @slow;

is($good, 20, 'all get all of it');

# and some that leave

@slow = map { begin("/b/$id.json") } 1 .. 10;
$_->has_answer(10) for @slow;
$_->leave() for @slow;

is(get("/b/$id.json")->{body} eq $document, 1, 'others go on');
is(fetches($id), 1, 'one cloud call');
