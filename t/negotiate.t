use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $locations = <<'CONFIG';
    binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                   connect_timeout=10s;

    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /j/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_format json;
    }
    location /arg {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_id $arg_id;
    }
CONFIG

run_file();

__DATA__

=== suffix, then argument, then Accept, then binarize_format
--- config eval: $::locations
--- perl
my $id = task(size => 300);
my %type = (png => 'image/png', json => 'application/json');

for (['/b/%s', undef, 'png', 1],
     ['/j/%s', undef, 'json', 1],
     ['/b/%s.png', undef, 'png', 0],
     ['/b/%s.json', undef, 'json', 0],
     ['/b/%s.png', 'application/json', 'png', 0],
     ['/b/%s.json', 'image/png', 'json', 0],
     ['/b/%s.json', 'text/html', 'json', 0],
     ['/b/%s.json?format=png', undef, 'json', 0],
     ['/b/%s.png?format=json', undef, 'png', 0],
     ['/j/%s.png', undef, 'png', 0],
     ['/b/%s?format=png', undef, 'png', 0],
     ['/b/%s?format=json', undef, 'json', 0],
     ['/j/%s?format=png', 'application/json', 'png', 0],
     ['/b/%s?format=json', 'image/png', 'json', 0],
     ['/b/%s?a=b&format=json&c=d', 'text/html', 'json', 0],
     ['/b/%s?notformat=json', undef, 'png', 1],
     ['/b/%s?format2=json', undef, 'png', 1],
     ['/b/%s?', undef, 'png', 1],
     ['/arg?id=%s', undef, 'png', 1],
     ['/arg?id=%s.json', undef, 'json', 0],
     ['/arg?format=json&id=%s', undef, 'json', 0])
{
    my ($url, $accept, $format, $vary) = @$_;

    for my $method ('GET', 'HEAD') {
        answer_is(get(sprintf($url, $id), -method => $method,
                      defined $accept ? (Accept => $accept) : ()),
                  [200, 'Content-Type' => $type{$format},
                   'Vary' => $vary ? 'Accept' : undef],
                  "$method $url Accept: " . ($accept // '-') . " is $format");
    }
}


=== Accept, RFC 9110 12.5.1
--- config eval: $::locations
--- perl
my $id = task(size => 300);
my $chrome_img = 'image/avif,image/webp,image/apng,image/svg+xml,image/*,'
                 . '*/*;q=0.8';
my $firefox_page = 'text/html,application/xhtml+xml,application/xml;q=0.9,'
                   . 'image/avif,image/webp,*/*;q=0.8';

# what is answered where binarize_format is png, and where it is json
for (['*/*', 'png', 'json'],
     ['', 'png', 'json'],
     ['image/png', 'png', 'png'],
     ['IMAGE/PNG', 'png', 'png'],
     ['image/*', 'png', 'png'],
     ['application/json', 'json', 'json'],
     ['application/*', 'json', 'json'],
     ['text/plain', 'json', 'json'],
     ['text/json', 'json', 'json'],
     ['Text/Plain', 'json', 'json'],
     ['text/*', 406, 406],
     ['text/html', 406, 406],
     ['image/webp', 406, 406],
     ['image/jpeg, text/html;q=0.9', 406, 406],
     ['image/png, application/json', 'png', 'json'],
     ['application/json, image/png', 'png', 'json'],
     ['image/png;q=0.5, application/json', 'json', 'json'],
     ['image/png ; q=0.5 , application/json ; q=0.4', 'png', 'png'],
     ['application/json;q=0.999, image/png', 'png', 'png'],
     ['application/json;q=0.501, image/png;q=0.5', 'json', 'json'],
     ['image/png;Q=0.1, application/json;q=0.2', 'json', 'json'],
     ['image/png;q=0, */*', 'json', 'json'],
     ['application/json;q=0, */*', 'png', 'png'],
     ['application/json;q=0', 406, 406],
     ['*/*;q=0', 406, 406],
     ['image/png;q=0.000', 406, 406],
     ['image/png;q=0, application/json;q=0, */*', 406, 406],
     ['image/png;q=0.1, image/*, application/json;q=0.5', 'json', 'json'],
     ['image/*, application/json;q=0.5', 'png', 'png'],
     ['*/*;q=0.9, application/json;q=0.1', 'png', 'png'],
     ['*/*;q=0.1, application/json', 'json', 'json'],
     ['text/plain;q=0.9, image/png;q=0.1', 'json', 'json'],
     ['text/plain, application/json, text/json', 'json', 'json'],
     ['text/html, */*;q=0.1', 'png', 'json'],
     ['text/*, image/png;q=0.1', 'png', 'png'],
     [$chrome_img, 'png', 'png'],
     [$firefox_page, 'png', 'json'])
{
    my ($accept, @want) = @$_;

    for my $at ('/b/', '/j/') {
        my $want = shift(@want);
        my $answer = get("$at$id", Accept => $accept);

        if ($want eq '406') {
            problem_is($answer, 406, 'not-acceptable', "$at $accept: 406",
                       'Vary' => 'Accept');
            next;
        }

        answer_is($answer, [200, 'Vary' => 'Accept', 'Content-Type' =>
                  $want eq 'png' ? 'image/png' : 'application/json'],
                  "$at $accept: $want");
    }
}

# two fields are one list, RFC 9110 5.3
my $answer = begin(undef, -raw => "GET /b/$id HTTP/1.1\r\nHost: a\r\n"
                   . "Accept: image/png;q=0.1\r\nConnection: close\r\n"
                   . "Accept: application/json\r\n\r\n")->answer();
answer_is($answer, [200, 'Content-Type' => 'application/json'], 'two fields');

is(fetches($id), 1, 'one cloud call');


=== neither client gets the other's representation
--- config eval: $::locations
--- perl
for my $first ('image/png', 'application/json') {
    my $id = task(size => 300);

    for ($first, 'image/png', 'application/json', 'image/png') {
        answer_is(get("/b/$id", Accept => $_),
                  [200, 'Content-Type' => $_, 'Vary' => 'Accept'],
                  "$_ after $first");
    }
}


=== what is no id touches nothing
--- config eval: $::locations
--- perl
my $id = guid();

get("/b/$id");      # Redis is connected to
cloud->post('reset');
# the leases of what was fetched before are given back after the answer
until_true { !@{ $main::redis->cmd('KEYS', '*:lease') } };
$main::redis->cmd('CONFIG', 'RESETSTAT');

(my $bare = $id) =~ tr/-//d;

for my $bad ('x', '', substr($id, 1), "${id}0", "{$id}", "%7B$id%7D", $bare,
             "$id/", "$id/x", "x/$id", "$id.gif", "$id.png.json", "$id.",
             "$id.pn", '.png', '.json', "$id%00", "$id%20", "%20$id",
             "urn:uuid:$id", "g" . substr($id, 1), "$id,$id", "-$id",
             substr($id, 0, 8) . '--' . substr($id, 10),
             substr($id, 0, 8) . '-' x 28, '../etc/passwd'x0 . "$id%0a",
             "%C3%A4" . substr($id, 2), 'a' x 4000)
{
    for my $suffix ('', '?format=json', '?format=bad') {
        my $answer = get("/b/$bad$suffix");

        if ($bad eq "$id%00") {
            is($answer->{status}, 400, 'NUL: 400');     # nginx's own
            next;
        }

        problem_is($answer, 400, 'bad-id',
                   '400: ' . substr("$bad$suffix", 0, 50),
                   'Cache-Status' => undef);
        ok(!exists $answer->json->{id}, 'no id in it');
    }
}

problem_is(get('/arg'), 400, 'bad-id', 'no argument', 'Vary' => 'Accept');
problem_is(get('/arg?id='), 400, 'bad-id', 'an empty argument');
problem_is(get("/arg?id=$id&id=x&format=xml"), 400, 'bad-format', 'format');

for my $format ('xml', '', 'png,json', 'image/png', '%70ngx', 'jpeg') {
    my $answer = get("/b/$id?format=$format");

    problem_is($answer, 400, 'bad-format', "400: ?format=$format",
               'Vary' => undef);
    is($answer->json->{id}, $id, 'the id is named');
}

my $head = get('/b/x', -method => 'HEAD');
answer_is($head, [400, body => '', 'Content-Type' => 'application/problem+json',
          'Content-Length' => length(get('/b/x')->{body})], 'HEAD');

my $calls = cloud->calls();
is($calls->{fetches} + $calls->{token}{calls}, 0, 'no cloud call');
is($main::redis->count($_), 0, "no $_") for qw(hgetall hmget hget get eval evalsha);


=== an id in any case is one id
--- config eval: $::locations
--- perl
my $id = task(size => 300);

for ("\U$id", ucfirst($id), "\U$id\E.png", $id,
     join('', map { sprintf('%%%02x', ord) } split //, $id))
{
    answer_is(get("/b/$_"), [200, 'Content-Length' => 300], substr($_, 0, 40));
}

is(fetches($id), 1, 'one cloud call');
like((cloud->last_fetch($id))[0], qr/id=\Q$id\E /, 'the cloud saw lower case');
