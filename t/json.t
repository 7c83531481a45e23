use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

# JSON is made while the client takes it, in windows which a worker keeps.

our $http = <<'CONFIG';
    binarize_zone main:64m;
    binarize_credentials $TEST_NGINX_CREDENTIALS;
CONFIG

our $tls = $port + 2;

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
       . "-keyout $dir/key.pem -out $dir/cert.pem > $dir/openssl.log 2>&1") == 0
    or die "openssl: " . file_read('openssl.log');

our $config = <<"CONFIG";
    listen 127.0.0.1:$tls ssl http2;
    ssl_certificate $dir/cert.pem;
    ssl_certificate_key $dir/key.pem;

    location /b/ {
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /paced/ {
        limit_rate 8m;
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /impatient/ {
        send_timeout 1s;
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /short/ {
        binarize_valid 1s;
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/deskewimage;
    }
    location /gzip/ {
        gzip on;
        gzip_comp_level 1;
        gzip_types application/json;
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /changed/ {
        sub_filter_types *;
        sub_filter_once off;
        sub_filter AAAA BBBB;
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
CONFIG

our @sizes = (700, 49_150, 49_151, 49_152, 49_153, 300_000, 1_572_863,
              1_572_864, 1_572_865, 3_145_728, 5_000_000);

# as the gateway has it, but for what only the first answer has
sub document {
    my ($id, @op) = @_;
    my $document = cloud->document($id, @op);

    $document =~ s/\\u002B/+/g;

    return $document;
}

# too long for a diagnostic
sub same {
    my ($answer, $body, $name) = @_;

    is($answer->{status}, 200, "$name: status");
    is($answer->{wrong}, undef, "$name: by the book");
    ok($answer->{body} eq $body, "$name: all of it")
        or diag(length($answer->{body}) . ' of ' . length($body) . ' bytes');
}

run_file();

__DATA__

=== each size, once made and once kept, and without padding
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $size (@::sizes) {
    my $id = task(size => $size);
    my $document = main::document($id);

    for my $name ('miss', 'hit', 'hit again') {
        main::same(get("/b/$id.json"), $document, "$size bytes, $name");
    }

    $id = task(size => $size, payload => 'unpadded', escape => 'none');
    $document = main::document($id);

    get("/b/$id.png");

    for my $name ('made', 'kept') {
        main::same(get("/b/$id.json"), $document,
                   "$size bytes, no padding, $name");
    }
}


=== one's text is not another's
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $size (30_000, 300_000, 3_000_000) {
    my @ids = map { task(size => $size + $_) } 1 .. 20;
    my %document = map { $_ => main::document($_) } @ids;

    for my $id (@ids, reverse(@ids)) {
        main::same(get("/b/$id.json"), $document{$id}, "$size bytes, $id");
    }
}


=== a new result of the same id has a new text
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(op => 'deskewimage', size => 30_000);

get("/short/$id.json") for 1 .. 8;
main::same(get("/short/$id.json"), main::document($id, 'deskewimage'),
           'the first one');

task(-id => $id, op => 'deskewimage', size => 30_030);
my $document = main::document($id, 'deskewimage');

sleep(1.2);

main::same(get("/short/$id.json"), $document, 'the second one') for 1 .. 8;


=== clients that read late, side by side, and one that leaves
--- http_config eval: $::http
--- config eval: $::config
--- perl
for my $place ('/b/', '/paced/', '/changed/') {
    my $id = task(size => 9_000_000);
    my $document = main::document($id);

    $document =~ s/AAAA/BBBB/gi if $place eq '/changed/';

    get("$place$id.png");

    # of a size that does not fit into sockets
    my @clients = map { begin("$place$id.json") } 1 .. 6;

    $clients[2]->leave();
    sleep(0.5);
    $clients[3]->leave();

    my $n = 0;

    for my $client (@clients[0, 1, 4, 5]) {
        main::same($client->answer(), $document, "$place, client " . $n++);
    }
}


=== one that does not read at all
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 9_000_000);

get("/impatient/$id.png");

my $client = begin("/impatient/$id.json");

until_true { error_log() =~ /client timed out/ };

my $bytes = $client->drain();

cmp_ok(length($bytes), '<', 12_000_000, 'the connection was closed');
ok(!$client->{timed_out}, 'by the server');
logged(qr/client timed out/, 'and logged');


=== ranges across windows
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 5_000_000);
my $document = main::document($id);
my $last = length($document) - 1;
my $window = 256 * 1024;

get("/b/$id.png");

for ([0, 0], [0, $last], [$last, $last], [10, 70_000],
     [$window - 10, $window + 1000], [$window + 100, $window + 120],
     [$window - 1, $window - 1], [$window + 137, 2 * $window + 3],
     [2 * $window + 500, $last])
{
    my ($from, $to) = @$_;
    my $answer = get("/b/$id.json", Range => "bytes=$from-$to");

    is($answer->{status}, 206, "$from-$to: status");
    is($answer->{wrong}, undef, "$from-$to: by the book");
    ok($answer->{body} eq substr($document, $from, $to - $from + 1),
       "$from-$to: these bytes");
}

my $answer = get("/b/$id.json", -method => 'HEAD');

is($answer->header('Content-Length'), $last + 1, 'HEAD: its length');
is($answer->{body}, '', 'HEAD: no body');


=== the connection is kept, and what was asked ahead is answered
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 5_000_000);
my $document = main::document($id);

my $bytes = begin("/b/$id.json", -raw =>
    "GET /b/$id.json HTTP/1.1\r\nHost: localhost\r\n\r\n" x 2
    . "GET /b/$id.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )->drain();

for my $n (1 .. 3) {
    my $answer = Binarize::Client::parse($bytes, 'GET');

    main::same($answer, $document, "answer $n");
    $bytes = $answer->{rest};
}


=== over TLS, HTTP/2 and through gzip
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 5_000_000);
my $document = main::document($id);

get("/b/$id.png");

for (['--http1.1', "https://127.0.0.1:$::tls/b/"],
     ['--http2', "https://127.0.0.1:$::tls/b/"],
     ['--compressed', "http://127.0.0.1:$port/gzip/"])
{
    my ($option, $url) = @$_;

    for my $rate ('1g', '10m') {
        open(my $f, '-|', 'curl', '-sk', '-m', $patience, '--limit-rate', $rate,
             $option, "$url$id.json") or die "curl: $!\n";
        binmode($f);
        local $/;
        my $body = readline($f) // '';
        close($f);

        ok($body eq $document, "$option, at $rate a second: all of it")
            or diag(length($body) . ' of ' . length($document) . ' bytes');
    }
}
