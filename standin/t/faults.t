# Every misbehaviour, seen on the wire.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Compress::Zlib ();
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(sleep time);

use Standin qw(guid until_true);

my $s = Standin->new();
my $id = guid();
my $other = guid();

$s->authorize();
$s->control('PUT', "tasks/$id?size=3000");

my $png = $s->control('GET', "result/$id");
my $honest = $s->fetch($id)->{body};

# Sets a fault of the id and fetches.
sub with {
    my ($query, %o) = @_;
    $s->control('PUT', "faults/$id?$query", $o{rule_body});
    return $s->fetch($id, %o);
}

sub with_raw {
    my ($query, %o) = @_;
    $s->control('PUT', "faults/$id?$query", $o{rule_body});
    return $s->fetch_raw($id, %o);
}

# As a client sees the payload.  JSON::PP 4.16 drops an escaped "0".
sub payload {
    my ($a) = @_;
    my $text = $a->{body} =~ s/\\u0030/0/gr;
    return decode_base64(decode_json($text)->{results}[0]{data});
}

is(length($png), 3000, 'size: exactly');
is(substr($png, 0, 8) . substr($png, -8), "\x89PNG\r\n\x1a\nIEND\xaeB`\x82",
   'size: a PNG');
is(payload({ body => $honest }), $png, 'honest: the payload');
is(index($honest, qq({"id":"$id","taskStatus":"Completed",)
         . '"responseStatusCode":"Ok","results":[{"type":"ImagePNG","data":"'),
   0, 'honest: members in order');

# statuses
for my $status (400, 401, 403, 404, 429, 500, 502, 503, 504) {
    my $a = with("http=$status");
    is($a->{status} . ($a->{whole} ? '' : '?'), $status, "http=$status");
}

like(with('http=503&retry_after=7')->{head}, qr/^Retry-After: 7\r$/m,
     'retry_after');
is(with('http=500&body=oops')->{body}, 'oops', 'body in the query');
is(with('http=200', rule_body => "a\0b")->{body}, "a\0b", 'body of the PUT');
like(with('http=401')->{head}, qr/^WWW-Authenticate: Bearer error=/m,
     '401: challenge');

for my $status (301, 302, 307) {
    like(with("http=$status&location=http%3A%2F%2F127.0.0.1%2F")->{head},
         qr/^HTTP\/1.1 $status .*^Location: http:\/\/127\.0\.0\.1\/\r$/ms,
         "redirect $status");
}

is(with('http=204')->{body}, '', '204: no body');

# how often
$s->control('PUT', "faults/$id?http=500&times=2");
is(join(' ', map { $s->fetch($id)->{status} } 1 .. 4), '500 500 200 200',
   'times');
$s->control('PUT', "faults/$id?http=500&skip=1&times=1");
$s->control('POST', "faults/$id?http=503&skip=1&times=1");
is(join(' ', map { $s->fetch($id)->{status} } 1 .. 4), '200 500 503 200',
   'skip, and a second rule');
$s->control('DELETE', "faults/$id");
is($s->fetch($id)->{body}, $honest, 'faults removed');

$s->control('PUT', 'faults/any?http=502&times=1');
is($s->fetch($other)->{status}, 502, 'any: a rule for all');
is($s->fetch($other)->{status}, 200, 'any: used up');

my $brief = guid();
$s->control('PUT', "tasks/$brief?http=500&times=1&pending=1");
is(join(' ', map { my $a = $s->fetch($brief);
                   $a->{status} . ($a->{body} =~ /"(Pending|Completed)"/
                                   ? $1 : '') } 1 .. 3),
   '500 200Pending 200Completed', 'a fault given with the task');

# time
my $t = time();
is(with('delay_ms=300')->{body}, $honest, 'delay_ms: the answer');
ok(time() - $t >= 0.29, 'delay_ms: late');
my ($bytes, $end) = with_raw('delay_ms=3000', seconds => 0.2);
is("$bytes$end", 'timeout', 'delay_ms: no byte before');

($bytes, $end) = with_raw('body_delay_ms=3000', seconds => 0.3,
                          until => qr/\r\n\r\n/);
like($bytes, qr/\r\n\r\n\z/, 'body_delay_ms: the header comes');
$t = time();
is(with('body_delay_ms=300')->{body}, $honest, 'body_delay_ms: the answer');
ok(time() - $t >= 0.29, 'body_delay_ms: late');

$t = time();
is(with('dribble=500&dribble_ms=20')->{body}, $honest, 'dribble: the answer');
ok(time() - $t >= 0.15, 'dribble: slow');
is(with('dribble=50&dribble_ms=2&dribble_head=on')->{body}, $honest,
   'dribble_head');

# hanging
for my $case (['start', qr/\A\z/], ['midhead', qr/\AHTTP(?!.*\r\n\r\n)/s],
              ['head', qr/\r\n\r\n\z/], ['body', qr/\r\n\r\n.{1000}/s],
              ['end', qr/\r\n0\r\n\r\n\z/])
{
    my ($at, $re) = @$case;
    ($bytes, $end) = with_raw("hang=$at", seconds => 0.3, until => $re);
    like($bytes, $re, "hang=$at: bytes");
    is($end, 'timeout', "hang=$at: for ever");
}

$s->control('POST', 'reset');
with_raw('hang=head', seconds => 0.1, until => qr/\r\n\r\n/);
until_true(sub { $s->calls($id)->{in_air} == 0 });
is($s->calls($id)->{aborted}, 1, 'hang: the client left');
is($s->calls($id)->{in_air}, 0, 'hang: nothing in the air');

# closing
for my $case (['start', qr/\A\z/], ['midhead', qr/\AHTTP(?!.*\r\n\r\n)/s],
              ['head', qr/\r\n\r\n\z/])
{
    my ($at, $re) = @$case;
    ($bytes, $end) = with_raw("close=$at");
    like($bytes, $re, "close=$at: bytes");
    is($end, 'eof', "close=$at");
}

for my $framing (qw(chunked length)) {
    my $a = with("close=body&framing=$framing");
    ok(!$a->{whole} && length($a->{body}) > 1000, "close=body: $framing");
    $a = with("close=body&at=77&framing=$framing");
    is(length($a->{body}), 77, "close=body&at: $framing");
}

is(length(with('close=body&at=99&framing=close')->{body}), 99,
   'close=body: close-delimited');
($bytes, $end) = with_raw('close=start&reset=on');
is($end, 'reset', 'reset');

# framing
my $a = with('framing=length');
like($a->{head}, qr/^Content-Length: @{[length($honest)]}\r$/m,
     'framing=length');
$a = with('framing=close');
unlike($a->{head}, qr/^(Content-Length|Transfer-Encoding)/m, 'framing=close');
is($a->{body}, $honest, 'framing=close: body');
$a = with('framing=http10');
like($a->{head}, qr/\AHTTP\/1\.0 200/, 'framing=http10');
is($a->{body}, $honest, 'framing=http10: body');
$a = with('framing=both');
like($a->{head}, qr/^Content-Length.*^Transfer-Encoding: chunked/ms,
     'framing=both');
$a = with('framing=chunked&chunk=7');
is($a->{body}, $honest, 'chunk: body');
like($a->{raw}, qr/\r\n\r\n7\r\n.{7}\r\n7\r\n/s, 'chunk: size');
like(with('framing=length&length=5')->{head}, qr/^Content-Length: 5\r$/m,
     'length: absolute');
like(with('framing=length&length=%2B9')->{head},
     qr/^Content-Length: @{[length($honest) + 9]}\r$/m, 'length: more');
like(with('framing=length&length=-9')->{head},
     qr/^Content-Length: @{[length($honest) - 9]}\r$/m, 'length: less');

($bytes, $end) = with_raw('keepalive=off', keepalive => 1);
like("$bytes$end", qr/^Connection: close\r.*eof\z/ms, 'keepalive=off');
($bytes, $end) = with_raw('delay_ms=0', keepalive => 1, seconds => 0.2,
                          until => qr/Completed/);
is($end, 'timeout', 'keep-alive otherwise');

is_deeply(with('interim=100,102,103')->{interim}, [100, 102, 103], 'interim');
$a = with('gzip=on&framing=length');
like($a->{head}, qr/^Content-Encoding: gzip\r$/m, 'gzip: header');
is(Compress::Zlib::memGunzip($a->{body}), $honest, 'gzip: true');
$a = with('gzip=lie');
like($a->{head}, qr/^Content-Encoding: gzip\r$/m, 'gzip=lie: header');
is($a->{body}, $honest, 'gzip=lie: plain');

like(with('header=Set-Cookie:+a%3Db&header=X-B:+c')->{head},
     qr/^Set-Cookie: a=b\r\nX-B: c\r$/m, 'header');
like(with('huge_header=20000')->{head}, qr/^X-Huge: h{20000}\r$/m,
     'huge_header');
like(with('content_type=text%2Fhtml')->{head},
     qr/^Content-Type: text\/html\r$/m, 'content_type');
unlike(with('content_type=')->{head}, qr/^Content-Type/m, 'content_type: none');

($bytes, $end) = with_raw('garbage=1000');
is(length($bytes) . $end, '1000eof', 'garbage');
unlike($bytes, qr/^HTTP/, 'garbage: no HTTP');
($bytes, $end) = with_raw('raw=on', rule_body => "HTTP/9 what\r\n\r\n");
is("$bytes$end", "HTTP/9 what\r\n\r\neof", 'raw');

($bytes, $end) = with_raw('flood=%5B&at=40', limit => 3_000_000);
is($end, 'limit', 'flood: without end');
like(substr($bytes, -1000), qr/\[{900}/, 'flood: of that');
until_true(sub { $s->calls()->{in_air} == 0 });
is($s->calls()->{in_air}, 0, 'flood: ended with the client');

# the document
is(decode_json(with("id=$other")->{body})->{id}, $other, "id: another task's");
is(decode_json(with('id=null')->{body})->{id}, undef, 'id: null');
unlike(with('id=absent')->{body}, qr/"id"/, 'id: absent');
is(decode_json(with('id=upper')->{body})->{id}, uc $id, 'id: upper case');

like(with('order=reverse')->{body}, qr/\A\{"error":.*"id":"[^"]*"\}\z/,
     'order=reverse');
like(with('order=results-first')->{body}, qr/\A\{"results":\[\{"data"/,
     'order=results-first');
my %orders = map { $s->fetch($id)->{body} => 1 }
             with('order=shuffle') && 1 .. 12;
ok(keys(%orders) > 2, 'order=shuffle');
is(scalar(grep { payload({ body => $_ }) ne $png } keys %orders), 0,
   'order=shuffle: the same payload');

$a = with('unknown=6');
is(scalar(keys %{ decode_json($a->{body}) }), 11, 'unknown: members');
is(payload($a), $png, 'unknown: payload');
is(length(decode_json(with('unknown_size=100000')->{body})->{padding}),
   100000, 'unknown_size');
like(with('nest=5000')->{body}, qr/"deep":\[{5000}\]{5000}/, 'nest');
is(scalar(() = with('duplicate=on')->{body} =~ /"(taskStatus|results)":/g), 4,
   'duplicate');
is(with('bom=on')->{body}, "\xef\xbb\xbf$honest", 'bom');
$a = with('indent=on');
like($a->{body}, qr/\A\{\r\n  "id" : /, 'indent');
is(payload($a), $png, 'indent: payload');
unlike(with('omit=error,taskStatus')->{body}, qr/error|taskStatus/, 'omit');

my %escapes = (dotnet => qr/\\u002B/, lower => qr/\\u002b/, none => qr/\+/,
               slash => qr/\\\//, uslash => qr/\\u002F/,
               crlf => qr/\\r\\n/, all => qr/"(\\u00[0-9A-F]{2})+"/);

for my $escape (sort keys %escapes) {
    $a = with("escape=$escape");
    like($a->{body}, $escapes{$escape}, "escape=$escape");
    is(payload($a), $png, "escape=$escape: payload");
}

unlike($honest, qr/"[^"]*\+[^"]*"/, 'escape: dotnet is the default');

is(payload(with('payload=notpng')), 'GIF89a, says the picture',
   'payload=notpng');
is(payload(with('payload=cut')), substr($png, 0, 2000), 'payload=cut');
is(payload(with('payload=noiend')), substr($png, 0, -12), 'payload=noiend');
like(with('payload=badbase64')->{body}, qr/"data":"[^"]*\*/,
     'payload=badbase64');
my $odd = guid();
$s->control('PUT', "tasks/$odd?size=1000");
like($s->fetch($odd)->{body}, qr/=="\}\],/, 'payload: padded');
$s->control('PUT', "faults/$odd?payload=unpadded");
like($s->fetch($odd)->{body}, qr/[^=]"\}\],/, 'payload=unpadded');
like(with('payload=empty')->{body}, qr/"data":""/, 'payload=empty');
like(with('payload=null')->{body}, qr/"data":null/, 'payload=null');

is(scalar(@{ decode_json(with('results=two')->{body})->{results} }), 2,
   'results=two');
like(with('results=empty')->{body}, qr/"results":\[\]/, 'results=empty');
like(with('results=null')->{body}, qr/"Completed".*"results":null/,
     'results=null');
unlike(with('results=absent')->{body}, qr/results/, 'results=absent');
like(with('type=Text')->{body}, qr/"type":"Text"/, 'type');

like(with('status=Strange')->{body}, qr/"taskStatus":"Strange"/,
     'status: unknown');
like(with('status=Pending')->{body},
     qr/"Pending","responseStatusCode":"NotReady","results":null/,
     'status: Pending');
like(with('responseStatusCode=ResultDataLost')->{body},
     qr/"Completed","responseStatusCode":"ResultDataLost"/,
     'responseStatusCode');
is_deeply(decode_json(with('messages=a%7Cb%22%C3%A4&warnings=w')->{body})
          ->{error}, { messages => ['a', "b\"\xe4"], warnings => ['w'] },
          'messages, warnings');

is(with('text=cut')->{body}, substr($honest, 0, length($honest) / 2),
   'text=cut');
ok(!eval { decode_json(with('text=invalid')->{body}) }, 'text=invalid');
is(with('text=trailing')->{body}, "$honest\{\"id\":null}", 'text=trailing');
is(with('text=empty')->{body}, '', 'text=empty');

# tasks
for my $status (qw(Pending Processing Error NotExist)) {
    my $task = guid();
    $s->control('PUT', "tasks/$task?status=$status");
    like($s->fetch($task)->{body}, qr/"taskStatus":"$status".*"results":null/,
         "task: $status");
}

my $task = guid();
$s->control('PUT', "tasks/$task?pending=2&processing=1", 'any bytes');
my @seen = map { $s->fetch($task) } 1 .. 5;
is(join(' ', map { decode_json($_->{body})->{taskStatus} } @seen),
   'Pending Pending Processing Completed Completed', 'task: counted answers');
is(payload($seen[4]), 'any bytes', 'task: the body is the result');

$s->control('PUT', "tasks/$task?pending_ms=1500&processing_ms=1500");
@seen = ();

until_true(sub {
    my $status = decode_json($s->fetch($task)->{body})->{taskStatus};
    push @seen, $status unless @seen && $seen[-1] eq $status;
    $status eq 'Completed';
});

is("@seen", 'Pending Processing Completed', 'task: timed answers');

my $large = guid();
$s->control('PUT', "tasks/$large?size=8000000");
is(length(payload($s->fetch($large))), 8000000, 'size: large');

# token, submit and delete
my %tokens = ('http=400' => qr/400 .*\{"error":"invalid_client"\}/s,
              'http=429&retry_after=3' => qr/429 .*Retry-After: 3/s,
              'http=500' => qr/ 500 /, 'expires_in=0' => qr/"expires_in":0,/,
              'expires_in=1e30' => qr/"expires_in":1e30,/,
              'expires_in=%2260%22' => qr/"expires_in":"60",/,
              'token_type=MAC' => qr/"token_type":"MAC"/,
              'token=null' => qr/"access_token":null/,
              'omit=access_token' => qr/\{"expires_in"/,
              'text=cut' => qr/\{"access_token":"[^"]+(\r\n0\r\n\r\n)?\z/,
              'bom=on' => qr/\xef\xbb\xbf\{/,
              'body=nothing' => qr/nothing/);

for my $query (sort keys %tokens) {
    $s->control('PUT', "token?$query&times=1");
    like($s->token_call()->{raw}, $tokens{$query}, "token: $query");
}

$s->control('PUT', 'faults/token?close=start&times=1');
is($s->token_call()->{raw}, '', 'token: closed');
is($s->token_call()->{status}, 200, 'token: honest again');

$s->control('PUT', 'faults/submit?http=503&times=1');
is($s->call('POST', '/v5.0/ocr/binarizeimage', headers => [$s->bearer()],
            body => '{}')->{status}, 503, 'submit: a fault');

$s->control('PUT', "faults/$id?on=delete&http=500&times=1");
$s->control('DELETE', "faults/$id");
my @delete = ('DELETE', "/v5.0/ocr/binarizeimage?id=$id",
              headers => [$s->bearer()]);
is($s->call(@delete)->{status}, 500, 'delete: a fault');
is($s->fetch($id)->{body}, $honest, 'delete: the task stayed');
is($s->call(@delete)->{status}, 200, 'delete: honest again');

# a pause of accepting
$s->control('POST', 'pause?ms=400');
$t = time();
$s->fetch($other);
ok(time() - $t > 0.3, 'pause: nobody accepts');

is($s->stop(), 0, 'clean end');
is($s->file('err'), '', 'nothing on stderr');

done_testing();
