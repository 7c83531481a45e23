# The four calls as an honest cloud answers them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Compress::Zlib ();
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(sleep time);

use Standin qw(guid pixels until_true);

my $s = Standin->new('--pending', 1500, '--processing', 1500,
                     '--lock-for', 4);

# a small page: 60 x 60, grey slope with a black bar
sub picture {
    my $raw = '';

    for my $y (0 .. 59) {
        $raw .= "\0" . join '', map {
            chr($y > 20 && $y < 27 && $_ > 9 && $_ < 50 ? 40 : 150 + $_)
        } 0 .. 59;
    }

    my $chunk = sub {
        my ($type, $data) = @_;
        return pack('N', length($data)) . "$type$data"
               . pack('N', Compress::Zlib::crc32("$type$data"));
    };

    return "\x89PNG\r\n\x1a\n" . $chunk->('IHDR', pack('NNCCCCC', 60, 60, 8,
           0, 0, 0, 0)) . $chunk->('IDAT', Compress::Zlib::compress($raw))
           . $chunk->('IEND', '');
}

my $a = $s->token_call();
is($a->{status}, 200, 'token: 200');
like($a->{body}, qr/^\{"access_token":"[\w-]+\.[\w-]+\.[\w-]+",
     "expires_in":3600,"token_type":"Bearer"\}$/x, 'token: members');
like($a->{head}, qr/^Content-Type: application\/json; charset=UTF-8\r$/m,
     'token: content type');
like($a->{head}, qr/^Cache-Control: no-store/m, 'token: not to be kept');

my $other = $s->token_call();
isnt($other->{body}, $a->{body}, 'token: another every time');

is($s->token_call(grant_type => 'password')->{body},
   '{"error":"unsupported_grant_type"}', 'token: other grant');
is($s->token_call(client_secret => 'no')->{body},
   '{"error":"invalid_client"}', 'token: wrong secret');

# submit, watch, fetch
my $png = picture();
$a = $s->call('POST', '/v5.0/ocr/BinarizeImage',
              headers => [$s->bearer(), 'Content-Type: application/json'],
              body => encode_json({ image => encode_base64($png, '') }));
is($a->{status}, 200, 'submit: 200');
like($a->{body}, qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
     'submit: a GUID');
like($a->{head}, qr/^Content-Type: text\/plain/m, 'submit: text');

my $id = $a->{body};
is($s->fetch($id)->{body}, qq({"id":"$id","taskStatus":"Pending",)
   . '"responseStatusCode":"NotReady","results":null,"error":null}',
   'fetch: pending');

my %seen;

until_true(sub {
    $a = $s->fetch($id);
    $seen{ decode_json($a->{body})->{taskStatus} } = 1;
    $a->{body} =~ /Completed/;
});

ok($seen{Processing} && $seen{Completed}, 'fetch: processing, completed');
like($a->{head}, qr/^Content-Type: application\/json; charset=utf-8\r$/m,
     'fetch: content type');
like($a->{head}, qr/^Transfer-Encoding: chunked\r$/m, 'fetch: chunked');

my $doc = decode_json($a->{body});
is($doc->{responseStatusCode}, 'Ok', 'fetch: code');
is($doc->{results}[0]{type}, 'ImagePNG', 'fetch: type');
my $result = decode_base64($doc->{results}[0]{data});
is($result, $s->control('GET', "result/$id"), 'fetch: bytes of the result');
unlike($a->{body}, qr/\+/, 'fetch: no bare plus');

# 8-bit grey of the same size, black bar on white
my ($w, $h, $depth, $colour) = unpack('NNCC', substr($result, 16, 10));
is("$w $h $depth $colour", '60 60 8 0', 'result: 8-bit grey, size kept');

my @rows = pixels($result, 60);
is(scalar(grep { !/^[01]+$/ } map { join '', map { $_ == 0 ? 1 : $_ == 255 ? 0
          : 2 } @$_ } @rows), 0, 'result: black and white only');
is($rows[23][30], 0, 'result: the bar is black');
is($rows[23][3] + $rows[3][3] + $rows[55][55], 3 * 255,
   'result: dark and light paper are white');

# the token
is($s->call('GET', "/v5.0/ocr/binarizeimage?id=$id")->{status}, 401,
   'no token: 401');
$a = $s->call('GET', "/v5.0/ocr/binarizeimage?id=$id",
              headers => ['Authorization: Bearer a.b.c']);
is($a->{status}, 401, 'forged token: 401');
like($a->{head}, qr/^WWW-Authenticate: Bearer error="invalid_token"/m,
     'forged token: challenge');
(my $forged = $s->{token}) =~ s/(.)$/$1 eq 'A' ? 'B' : 'A'/e;
is($s->call('GET', "/v5.0/ocr/binarizeimage?id=$id",
            headers => ["Authorization: Bearer x$forged"])->{status}, 401,
   'damaged token: 401');

is($s->fetch(uc $id)->{status}, 200, 'fetch: id without case');
is($s->fetch('no-guid')->{status}, 400, 'fetch: bad id');
is($s->call('GET', '/v5.0/ocr/binarizeimage',
            headers => [$s->bearer()])->{status}, 400, 'fetch: no id');
is($s->call('PATCH', '/v5.0/ocr/binarizeimage')->{status}, 405,
   'other method');
is($s->call('GET', '/v5.0/ocr/other')->{status}, 404, 'other path');

# another operation has other tasks
like($s->fetch($id, op => 'deskewimage')->{body}, qr/"NotExist"/,
     'sister endpoint: own list');

for my $op (qw(DeskewImage dewarpimage upscaleimage)) {
    $a = $s->call('POST', "/v5.0/ocr/$op", headers => [$s->bearer()],
                  body => encode_json({ image => encode_base64($png, '') }));
    my $sister = $a->{body};
    my $body = '';

    until_true(sub {
        $body = $s->fetch($sister, op => $op)->{body};
        $body !~ /Pending|Processing/;
    });

    like($body, qr/"Completed".*"ImagePNG","data":"iVBOR/, "$op: a PNG");
}

# what is not a picture
$a = $s->call('POST', '/v5.0/ocr/binarizeimage', headers => [$s->bearer()],
              body => '{"image":"bm8gcGljdHVyZQ=="}');
my $bad = $a->{body};
until_true(sub { $s->fetch($bad)->{body} !~ /Pending|Processing/ });
like($s->fetch($bad)->{body}, qr/"taskStatus":"Error".*"messages":\["/,
     'no picture: Error with messages');
is($s->call('POST', '/v5.0/ocr/binarizeimage', headers => [$s->bearer()],
            body => '{"image":"???"}')->{status}, 400, 'no base64: 400');
is($s->call('POST', '/v5.0/ocr/binarizeimage', headers => [$s->bearer()],
            body => '{')->{status}, 400, 'no JSON: 400');

# a chunked submission
my $json = encode_json({ image => encode_base64($png, '') });
my $half = int(length($json) / 2);
my $socket = $s->connect();
syswrite($socket, "POST /v5.0/ocr/binarizeimage HTTP/1.1\r\nHost: a\r\n"
         . $s->bearer() . "\r\nTransfer-Encoding: chunked\r\n"
         . "Connection: close\r\n\r\n");
for my $part (substr($json, 0, $half), substr($json, $half)) {
    syswrite($socket, sprintf("%x\r\n%s\r\n", length($part), $part));
    sleep(0.02);
}
syswrite($socket, "0\r\n\r\n");
is(Standin::parse(($s->drain($socket))[0])->{status}, 200,
   'submit: chunked request');

# cancel
is($s->call('DELETE', "/v5.0/ocr/binarizeimage?id=$id")->{status}, 401,
   'cancel: token needed');
$a = $s->call('DELETE', "/v5.0/ocr/binarizeimage?id=$id",
              headers => [$s->bearer()]);
is("$a->{status} $a->{body}", '200 ', 'cancel: 200, empty');
is($s->fetch($id)->{body}, qq({"id":"$id","taskStatus":"NotExist",)
   . '"responseStatusCode":"TaskNotFound","results":null,"error":'
   . '{"messages":["Task not found"],"warnings":null}}', 'cancel: gone');

# expiry
$s->control('PUT', 'token?lives=3');
my $brief = $s->authorize();
is($s->fetch($id)->{status}, 200, 'token lives');
sleep(3.1);
is($s->fetch($id)->{status}, 401, 'token expired');
$s->control('DELETE', 'faults');

$s->authorize();
$s->control('POST', 'revoke');
is($s->fetch($id)->{status}, 401, 'token revoked');
$s->authorize();
is($s->fetch($id)->{status}, 200, 'new token');

# the lock: six refusals, then 429 until it opens
$s->control('POST', 'unlock');
my @got = map { $s->token_call(client_secret => 'bad')->{status} } 1 .. 8;
is("@got", '400 400 400 400 400 400 429 429', 'lock after more than five');
like($s->token_call(client_secret => 'bad')->{head},
     qr/^Retry-After: [1-4]\r$/m, 'lock: Retry-After');
is($s->token_call()->{status}, 200, 'lock: of that pair alone');
sleep(4.1);
is($s->token_call(client_secret => 'bad')->{status}, 400, 'lock opened');

# a changed secret
$s->control('PUT', 'credentials?client_id=second', 'new secret');
is($s->token_call(client_id => 'second', client_secret => 'new secret')
   ->{status}, 200, 'credentials added');
$s->control('DELETE', 'credentials?client_id=second');
is($s->token_call(client_id => 'second', client_secret => 'new secret')
   ->{status}, 400, 'credentials removed');

# retention
my $gone = guid();
$s->control('PUT', "tasks/$gone?retention=3");
like($s->fetch($gone)->{body}, qr/"Completed"/, 'retention: there');
sleep(3.1);
like($s->fetch($gone)->{body}, qr/"NotExist"/, 'retention: gone');

# keep-alive and pipelining
$socket = $s->connect();
my $get = $s->request('GET', "/v5.0/ocr/binarizeimage?id=$gone",
                      headers => [$s->bearer()], keepalive => 1);
syswrite($socket, $get x 3);
my ($bytes, $end) = $s->drain($socket, 0.5, undef,
                              qr/(?:HTTP\/1\.1 200.*){3}/s);
is(scalar(() = $bytes =~ /^HTTP\/1\.1 200/mg), 3, 'pipelined: three answers');
is($end, 'timeout', 'pipelined: kept open');
ok($s->control('POST', 'close-idle') >= 1, 'idle connections closed');
is(($s->drain($socket))[1], 'eof', 'idle connection saw the end');

# bad requests
for my $bad ("GET\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
             "GET / HTTP/1.1\r\nA : b\r\n\r\n")
{
    $socket = $s->connect();
    syswrite($socket, $bad);
    my ($bytes, $end) = $s->drain($socket);
    like("$bytes|$end", qr/\AHTTP\/1\.1 400 .*\|eof\z/s, 'bad request: 400');
}

# counters
$s->control('POST', 'reset');
my $counted = guid();
$s->control('PUT', "tasks/$counted?pending=1&processing=1");
$s->fetch($counted, headers => ['X-Client: 1', 'Cookie: a=b']) for 1 .. 4;
$s->call('GET', "/v5.0/ocr/binarizeimage?id=$counted");
$s->token_call();
$s->token_call(client_secret => 'bad');

my $c = $s->calls($counted);
is($c->{fetches}, 5, 'counters: fetches');
is($c->{unauthorized}, 1, 'counters: 401');
is_deeply($c->{task_status}, { Pending => 1, Processing => 1, Completed => 2,
          Error => 0, NotExist => 0 }, 'counters: task status');
is_deeply($c->{http_status}, { 200 => 4, 401 => 1 }, 'counters: status');
is(scalar(@{ $c->{fetches_ms} }), 5, 'counters: times');
ok(abs($c->{fetches_ms}[4] - time() * 1000) < 60_000, 'counters: wall clock');

$s->fetch($counted, headers => ['X-Client: 2']);
my %headers = map { @$_ } @{ $s->calls($counted)->{last_fetch}{headers} };
is($headers{'X-Client'}, '2', 'counters: headers of the last fetch');
like($headers{Authorization}, qr/^sha256=[0-9a-f]{64}$/,
     'counters: token as a digest');

my $all = $s->calls();
is("$all->{token}{ok} $all->{token}{refused} $all->{token}{calls}", '1 1 2',
   'counters: token calls');
is($all->{fetches}, 6, 'counters: total');
is($all->{ids}{$counted}{fetches}, 6, 'counters: by id');
ok($all->{connections}{accepted} >= 8, 'counters: connections');
is($all->{max_in_air}, 1, 'counters: one in the air');
is(scalar(@{ decode_json($s->control('GET', 'times')) }), 6,
   'counters: all times');

$s->control('POST', 'reset?all=1');
is($s->calls($counted)->{fetches}, 0, 'reset: counters');
like($s->fetch($counted)->{body}, qr/NotExist/, 'reset: tasks');

is($s->call('PUT', "/_standin/tasks/$counted?nonsense=1")->{status}, 400,
   'control: unknown parameter');
is($s->call('PUT', "/_standin/tasks/$counted?hang=nowhere")->{status}, 400,
   'control: bad value');
is($s->call('PUT', '/_standin/tasks/abc')->{status}, 400, 'control: bad id');
is($s->call('GET', '/_standin/nothing')->{status}, 404, 'control: unknown');

my $minted = $s->control('POST', 'mint?lives=5');
is($s->call('GET', "/v5.0/ocr/binarizeimage?id=$counted",
            headers => ["Authorization: Bearer $minted"])->{status}, 200,
   'minted token');

# log and end
my $log = $s->file('log');
like($log, qr{"GET /v5\.0/ocr/binarizeimage\?id=$id HTTP/1\.1" 200 \d+},
     'log: a line a call');
unlike($log, qr/\Q$s->{secret}\E|\Q$s->{token}\E/, 'log: no secrets');
is($s->stop('TERM'), 0, 'SIGTERM: clean end');
is($s->file('err'), '', 'nothing on stderr');

my $second = Standin->new();
is($second->stop('INT'), 0, 'SIGINT: clean end');

done_testing();
