use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use POSIX ();
use Socket;

use Binarize;

# nobody listens there, and nobody will
our $refuse = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp');
our $refused = $refuse->sockport();
$ENV{TEST_NGINX_REFUSED} = "127.0.0.1:$refused";
$ENV{TEST_NGINX_REFUSED_PORT} = $refused;

# a queue of connections that is full, and nobody accepts
socket(our $full, PF_INET, SOCK_STREAM, 0) or die;
bind($full, sockaddr_in(0, INADDR_LOOPBACK)) or die;
listen($full, 0);
$ENV{TEST_NGINX_FULL} = (sockaddr_in(getsockname($full)))[0];
our @fill = map {
    IO::Socket::INET->new(PeerAddr => '127.0.0.1', Blocking => 0,
                          PeerPort => $ENV{TEST_NGINX_FULL})
} 1 .. 4;

$ENV{TEST_NGINX_CLOUD_PORT} = cloud->{port};

our $timeouts = <<'CONFIG';
    binarize_connect_timeout 400ms;
    binarize_send_timeout 400ms;
    binarize_read_timeout 400ms;
CONFIG

our $location = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /direct/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
    location /large-head/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_buffer_size 64k;
    }
CONFIG

run_file();

__DATA__

=== framing of the body
--- config eval: $::location
--- perl
for my $size (122, 1000, 15_000, 65_536, 1_000_000) {
    for (['length'], ['chunked'], ['chunked', chunk => 1],
         ['chunked', chunk => 16_383], ['close'], ['http10'],
         ['length', keepalive => 'off'], ['chunked', keepalive => 'off'],
         ['length', dribble => 8000], ['chunked', dribble => 3001])
    {
        my ($framing, @more) = @$_;

        next if $size > 100_000 && "@more" =~ /chunk 1$|dribble/;

        my $id = task(size => $size, framing => $framing, @more);

        answer_is(get("/b/$id"), [200, body => cloud->result($id)],
                  "$framing @more, $size bytes");
        is(fetches($id), 1, 'one call');
    }
}


=== truncated answers
--- config eval: $::location
--- perl
for my $framing ('length', 'chunked', 'close', 'http10') {
    for my $reset (0, 1) {
        my @cut = (framing => $framing, $reset ? (reset => 'on') : ());

        for (['start', 'cloud-unreachable|cloud-truncated'],
             ['midhead', 'cloud-unreachable|cloud-truncated|cloud-protocol'],
             ['head', 'cloud-truncated|cloud-unreachable'],
             ['body', 'cloud-truncated|cloud-unreachable'],
             ['body', 'cloud-truncated|cloud-unreachable', at => 1],
             ['body', 'cloud-truncated|cloud-unreachable', at => 1000])
        {
            my ($where, $slugs, @at) = @$_;
            my $id = task(size => 60_000, close => $where, @cut, @at);
            my $answer = get("/b/$id");
            my $name = "$framing: closed at $where @at"
                       . ($reset ? ' by RST' : '');

            my ($slug) = ($answer->json->{type} // '')
                         =~ /^urn:binarize:($slugs)$/;
            problem_is($answer, 502, $slug // $slugs, $name);
            cmp_ok(fetches($id), '<=', 2, 'at most one more try');
        }
    }
}

for my $length ('+10', 100_000) {
    my $id = task(size => 3000, framing => 'length', length => $length,
                  close => 'end');

    problem_is(get("/b/$id"), 502, 'cloud-truncated',
               "Content-Length of $length, then closed");
}


=== the length is a lie
--- config eval: $::timeouts . $::location
--- perl
for my $length ('-10', '0', 'x', '1e3', '18446744073709551616', '0x10',
                '99999999999999999999999', '-1', '10,10')
{
    my $id = task(size => 3000, framing => 'length', length => $length);
    my $answer = get("/b/$id");

    is($answer->{status}, 502, "Content-Length of $length: 502");

    my $next = task(size => 300);
    is(get("/b/$next")->{status}, 200, 'the next call is not confused');
}

# Transfer-Encoding goes before Content-Length, RFC 9112 6.3
for my $length ('+0', '-10', '+10') {
    my $id = task(size => 3000, framing => 'both', length => $length);
    like(get("/b/$id")->{status}, qr/^(200|502)$/, 'both');

    my $next = task(size => 300);
    is(get("/b/$next")->{status}, 200, 'the next call is not confused');
}


=== bytes behind the answer close the connection
--- config eval: $::timeouts . $::location
--- perl
for my $more ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "x", "\r\n") {
    my $document = '{"taskStatus":"Pending"}';
    my $id = task();

    cloud->fault($id, { raw => 'on', hang => 'end' },
        "HTTP/1.1 200 OK\r\nContent-Length: " . length($document)
        . "\r\n\r\n$document$more");

    my $status = get("/b/$id")->{status};
    like($status, qr/^(202|502)$/, "more bytes: $status");

    for (1 .. 4) {
        $id = task(size => 300);
        answer_is(get("/b/$id"), [200, body => cloud->result($id)],
                  'the next call has its own answer');
    }
}


=== the answer says that the connection ends
--- config eval: $::timeouts . $::location
--- perl
my $document = '{"taskStatus":"Pending"}';
my $length = 'Content-Length: ' . length($document);

for my $head ("HTTP/1.1 200 OK\r\nConnection: close\r\n$length",
              "HTTP/1.1 200 OK\r\n$length\r\nconnection: Close",
              "HTTP/1.0 200 OK\r\n$length")
{
    for (1 .. 3) {
        my $id = task();

        # it stays open, but no other call is answered on it
        cloud->fault($id, { raw => 'on', hang => 'end' },
                     "$head\r\n\r\n$document");
        is(get("/b/$id")->{status}, 202, 'an answer');

        $id = task(size => 300);
        is(get("/b/$id")->{status}, 200, 'the next call has a connection');
    }
}


=== chunks
--- config eval: $::timeouts . $::location
--- perl
my $document = '{"taskStatus":"Pending"}';
my $head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
my $n = sprintf('%x', length($document));

for (["$n\r\n$document\r\n0\r\n\r\n", 202],
     ["000$n;a=b;c=\"d\"\r\n$document\r\n0\r\nX: y\r\n\r\n", 202],
     [uc($n) . "\r\n$document\r\n000\r\n\r\n", 202],
     ["$n\r\n$document\r\n0\r\n", 502], ["$n\r\n$document\r\n", 502],
     ["$n\r\n$document", 502], ["$n\r\n" . substr($document, 0, 9), 502],
     ["x\r\n$document\r\n0\r\n\r\n", 502], ["-1\r\n\r\n", 502],
     ["fffffffffffffffff\r\n$document\r\n0\r\n\r\n", 502],
     ["$n\r\n${document}xx\r\n0\r\n\r\n", 502],
     ["\r\n$document\r\n0\r\n\r\n", 502], ["0\r\n\r\n", 502], ["", 502])
{
    my ($chunks, $status) = @$_;
    my $id = task();

    cloud->fault($id, { raw => 'on' }, $head . $chunks);
    (my $name = $chunks) =~ s/[\r\n]+/ /g;
    is(get("/b/$id")->{status}, $status, "$name: $status");
}


=== heads
--- config eval: $::timeouts . $::location
--- perl
my $document = '{"taskStatus":"Pending"}';
my $n = length($document);
my $length = "Content-Length: $n\r\n";

for (["HTTP/1.1 200 OK\r\n$length\r\n", 202], ["HTTP/1.0 200 OK\r\n\r\n", 202],
     ["HTTP/1.1 200\r\n$length\r\n", 202],
     ["HTTP/1.1 200 \r\n$length\r\n", 202],
     ["HTTP/1.1 200 OK\n$length\n", 202],
     ["HTTP/1.1 200 OK\r\ncontent-length:$n\r\n\r\n", 202],
     ["HTTP/1.1 200 OK\r\nContent-Length:  $n  \r\n\r\n", 202],
     ["HTTP/1.1 200 OK\r\nX-A:\r\n:\r\n$length\r\n", '202|502'],
     ["HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n$length\r\n",
      202],
     ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n$length\r\n", 202],
     ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 502],
     ["HTTP/1.1 100 Continue\r\n\r\n" x 1000, 502],
     ["HTTP/1.1 200 OK\r\n$length$length\r\n", '202|502'],
     ["HTTP/1.1 200 OK\r\n${length}Content-Length: 1\r\n\r\n", 502],
     ["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 502],
     ["HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", 502],
     ["HTTP/1.1 200 OK\r\nX\x00Y: z\r\n$length\r\n", 502],
     ["HTTP/1.1 204 No Content\r\n\r\n", 502],
     ["HTTP/1.1 304 Not Modified\r\n\r\n", 502],
     ["HTTP/1.1 206 Partial Content\r\n$length\r\n", 502],
     ["HTTP/1.1 1000 OK\r\n$length\r\n", 502],
     ["HTTP/1.1 2x0 OK\r\n$length\r\n", 502],
     ["HTTP/2 200 OK\r\n$length\r\n", 502], ["ICY 200 OK\r\n$length\r\n", 502],
     ["\r\n\r\n\r\n", 502], ['', 502], ["HTTP/1.1 200 OK", 502])
{
    my ($head, $status) = @$_;
    my $id = task();

    cloud->fault($id, { raw => 'on' }, $head . $document);
    (my $name = substr($head, 0, 70)) =~ s/[\r\n]+/ /g;
    $name =~ tr/\x20-\x7e//cd;
    like(get("/b/$id")->{status}, qr/^(?:$status)$/, "$name: $status");
}

for my $garbage (1, 100, 100_000) {
    my $id = task(garbage => $garbage);
    my $answer = get("/b/$id");
    is($answer->{status}, 502, "$garbage bytes of garbage");
}

# by default the buffer is a page
my $page = POSIX::sysconf(POSIX::_SC_PAGESIZE());

for (['b', 1000, 1], ['b', $page + 1000, 0], ['b', 100_000, 0],
     ['large-head', $page + 1000, 1])
{
    my ($at, $size, $fits) = @$_;
    my $id = task(size => 100_000, huge_header => $size);
    my $answer = get("/$at/$id");

    if ($fits) {
        answer_is($answer, [200, body => cloud->result($id)],
                  "$at: a header of $size bytes");

    } else {
        problem_is($answer, 502, 'cloud-protocol',
                   "$at: a header of $size bytes");
    }
}

my $id = task(interim => '100,103', size => 300);
answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'interim answers');


=== other statuses of the cloud
--- config eval: $::location
--- perl
for my $status (201, 202, 204, 301, 302, 307, 400, 403, 404, 405, 418, 500,
                501, 502, 504, 599)
{
    my $id = task(http => $status, location => '/v5.0/ocr/binarizeimage?id='
                                               . guid());
    my $answer = get("/b/$id");

    problem_is($answer, 502, 'cloud-status', "$status: 502",
               'Location' => undef, 'Retry-After' => undef);
    is($answer->json->{cloud_status}, $status, 'the status is told');
    is(fetches($id), 1, 'one call');
}

for (['503', 'Retry-After' => 7], ['429', 'Retry-After' => 2],
     ['429', undef], ['503', undef], ['503', 'x'], ['429', '-1'])
{
    my ($status, @after) = @$_;
    my $id = task();
    my ($after) = reverse @after;

    cloud->fault($id, { http => $status,
                        defined $after ? (retry_after => $after) : () });
    problem_is(get("/b/$id"), 503, 'cloud-busy',
               "$status, Retry-After: " . ($after // 'none'),
               'Retry-After' => $after && $after =~ /^\d+$/
                                ? qr/^(?:$after)$/ : qr/^[1-5]$/);
    is(get("/b/$id")->{status}, 503, 'still');
    is(fetches($id), 1, 'no call meanwhile');

    # a 429 pauses all calls of that credential
    until_true { get('/direct/' . guid())->{status} != 503 }
        if $status == 429;
}


=== nobody listens
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_REFUSED/v5.0/ocr/binarizeimage;
    binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret token_url=http://$TEST_NGINX_CLOUD/connect/token;
}
--- perl
my $id = guid();

for ('png', 'json') {
    my $answer = get("/b/$id.$_");
    problem_is($answer, 502, 'cloud-unreachable', "refused, $_");
    cmp_ok($answer->{seconds}, '<', 2 + lag(), 'at once');
}


=== too slow
--- config eval: $::timeouts . $::location
--- perl
for (['before the header', hang => 'start'],
     ['in the header', hang => 'midhead'],
     ['behind the header', hang => 'head'],
     ['in the body', hang => 'body', framing => 'length'],
     ['in the body, chunked', hang => 'body', framing => 'chunked'],
     ['in the body, close-delimited', hang => 'body', framing => 'close'],
     ['late', delay_ms => 3000], ['a late body', body_delay_ms => 3000])
{
    my ($name, @fault) = @$_;
    my $id = task(size => 100_000, @fault);
    my $answer = get("/b/$id");

    problem_is($answer, 504, 'cloud-timeout', $name);
    cmp_ok($answer->{seconds}, '>', 0.35, 'after the time');
    cmp_ok($answer->{seconds}, '<', 2 + lag(), 'but not much later');
    is(fetches($id), 1, 'one call');
}

# an end that never comes
my $id = task(size => 300, framing => 'length', hang => 'end');
is(get("/b/$id")->{status}, 200, 'an answer ends by its length');


=== slow but steady
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_read_timeout 2s;
}
--- perl
# the time is between two reads
my $id = task(size => 900, framing => 'length', dribble => 100,
              dribble_ms => 250);
my $answer = get("/b/$id");
answer_is($answer, [200, body => cloud->result($id)], 'slow but steady');
cmp_ok($answer->{seconds}, '>', 2.2, 'it took longer than the time');


=== no connection in time
--- config
binarize_connect_timeout 300ms;

location /b/ {
    binarize_pass http://127.0.0.1:$TEST_NGINX_FULL/v5.0/ocr/binarizeimage;
    binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret token_url=http://$TEST_NGINX_CLOUD/connect/token;
}
--- perl
my $answer = get('/b/' . guid());
problem_is($answer, 504, 'cloud-timeout', 'no connection');
cmp_ok($answer->{seconds}, '>', 0.25, 'after the time');
cmp_ok($answer->{seconds}, '<', 2 + lag(), 'but not much later');
close($main::full);


=== keep-alive
--- config eval: $::location
--- perl
my @ids = map { task(size => 300) } 1 .. 20;

cloud->post('close-idle');
get('/b/' . task());
cloud->post('reset');
my $before = cloud->calls()->{connections}{accepted};

is(join(' ', grep { !$_ } map { get("/b/$_")->{status} == 200 } @ids), '',
   'twenty calls');

# control calls are connections, too: those of ids above came before
my $connections = cloud->calls()->{connections}{accepted} - $before;
cmp_ok($connections, '<=', 4, "over few connections: $connections");

# the connection that was kept is closed by the cloud
for my $round (1 .. 6) {
    cloud->post('close-idle');
    my $id = task(size => 300);
    is(get("/b/$id")->{status}, 200, 'a new one is made');
    is(fetches($id), 1, 'one call');
}


=== a kept connection dies under the call
--- config eval: $::location
--- perl
for my $reset ('off', 'on') {
    my $good = task(size => 300);
    get("/b/$good");

    my $id = task(size => 300);
    cloud->fault($id, { close => 'start', times => 1,
                        $reset eq 'on' ? (reset => 'on') : () });

    # as often as there are workers, so that one has a kept connection
    my $answer = get("/b/$id");
    cmp_ok(fetches($id), '<=', 2, "reset $reset: one more try at most");
    like($answer->{status}, qr/^(200|502)$/, 'an answer or a problem');
}


=== the next server, upstream{}
--- http_config
    upstream two {
        server 127.0.0.1:$TEST_NGINX_REFUSED_PORT;
        server $TEST_NGINX_CLOUD;
    }
    upstream twice {
        server $TEST_NGINX_CLOUD;
        server $TEST_NGINX_CLOUD backup;
        keepalive 4;
    }
    binarize_max_size 256k;
    binarize_read_timeout 1s;
    binarize_zone two:1m;
    binarize_zone twice:1m;
    binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret token_url=http://$TEST_NGINX_CLOUD/connect/token;
--- config
location /two/ {
    binarize_cache two;
    binarize_pass http://two/v5.0/ocr/binarizeimage;
}

binarize_cache twice;

location /default/ {
    binarize_pass http://twice/v5.0/ocr/binarizeimage;
}
location /off/ {
    binarize_pass http://twice/v5.0/ocr/binarizeimage;
    binarize_next_upstream off;
}
location /many/ {
    binarize_pass http://twice/v5.0/ocr/binarizeimage;
    binarize_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 http_403 http_404 http_429;
}
location /tries/ {
    binarize_pass http://twice/v5.0/ocr/binarizeimage;
    binarize_next_upstream error timeout http_500;
    binarize_next_upstream_tries 1;
}
location /time/ {
    binarize_pass http://twice/v5.0/ocr/binarizeimage;
    binarize_next_upstream timeout;
    binarize_next_upstream_timeout 200ms;
}
--- perl
for (1 .. 4) {
    my $id = task(size => 300);
    is(get("/two/$id")->{status}, 200, 'refused, then the next one');
    is(fetches($id), 1, 'one call');
}

# the second server is the same cloud, which is well then

my @faults = (['close', close => 'start'], ['timeout', hang => 'start'],
              ['garbage', garbage => 100], ['500', http => 500],
              ['502', http => 502], ['504', http => 504],
              ['403', http => 403], ['404', http => 404],
              ['429', http => 429], ['503', http => 503]);

# by location: which of the faults are tried again on the next server
my %again = (default => 'close', off => '', many => 'close timeout garbage '
             . '500 502 504 403 404 429 503', tries => '', time => '');

for my $at (sort keys %again) {
    for (@faults) {
        my ($name, @fault) = @$_;
        my $id = task(size => 300);

        next if $at eq 'time' && $name ne 'timeout';

        cloud->fault($id, { @fault, times => 1 });

        my $answer = get("/$at/$id");
        my $want = " $again{$at} " =~ / $name / ? 1 : 0;

        is(fetches($id), 1 + $want, "$at, $name: "
           . ($want ? 'the next one' : 'no next one'));
        is($answer->{status} == 200 ? 1 : 0, $want, "status $answer->{status}");

        # one failure takes a server out for ten seconds, a 429 the credential
        nginx_restart();
    }
}


=== the next server, two addresses of a name
--- http_config
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
--- config
location /b/ {
    binarize_pass http://localhost:$TEST_NGINX_CLOUD_PORT/v5.0/ocr/binarizeimage;
}
--- perl
# localhost may be ::1 as well, where nobody listens
for (1 .. 4) {
    my $id = task(size => 300);
    is(get("/b/$id")->{status}, 200, 'localhost');
    is(fetches($id), 1, 'one call');
}
