use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $pass = 'binarize_pass '
            . 'http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;';

our $locations = <<"CONFIG";
    location /slash/ { $pass }
    location /bare { $pass }
    location = /exact { $pass binarize_id \$arg_id; }
    location = /exactpath { $pass }
    location ~ ^/re/ { $pass }
    location ~* ^/v5\\.0/(ocr/)?binarizeimage\$ {
        $pass binarize_id \$arg_id; binarize_format json;
    }
    location ~ ^/cap/(?<what>[^/]+)/image\$ { $pass binarize_id \$what; }
    location ^~ /strong/ { $pass }
    location \@named { $pass binarize_id \$arg_id; }
    location /try { try_files /nosuch \@named; }
    location /outer/ {
        location /outer/inner/ { $pass }
        location ~ ^/outer/re/ { $pass }
    }
    location /if/ {
        if (\$arg_json) { binarize_format json; }
        if (\$arg_id) { binarize_id \$arg_id; }
        $pass
    }
    location /only-if/ {
        if (\$arg_gate) { $pass break; }
        return 418;
    }
    location ~ /re-if/ {
        if (\$arg_gate) { $pass break; }
        return 418;
    }
    location ~ /re-if2/ {
        $pass
        if (\$arg_json) { binarize_format json; }
    }
    location ~ /re-limited/ {
        limit_except POST { $pass }
        return 418;
    }
    location /limited/ {
        limit_except GET { deny all; }
        $pass
    }
    location /limited2/ {
        limit_except POST { $pass }
        return 418;
    }
    location /rewritten/ {
        rewrite ^/rewritten/(.*)\$ /slash/\$1 last;
    }
    location /break/ {
        rewrite ^/break/[^/]+/(.*)\$ /break/\$1 break;
        $pass
    }
    location /inherit/ {
        binarize_format json;
        location /inherit/a/ { $pass }
        location /inherit/b/ { $pass binarize_format png; }
    }
CONFIG

run_file();

__DATA__

=== where the id is found
--- config eval: $::locations
--- perl
my $id = task(size => 300);

for (["/slash/$id", 200], ["/slash/$id.png", 200], ["/slash/$id.json", 200],
     ["/slash/", 400], ["/slash/x/$id", 400], ["/slash/$id/", 400],
     ["/slash/$id/x", 400], ["/slash//$id", 200],
     ["/bare/$id", 200], ["/bare/$id.json", 200], ["/bare", 400],
     ["/bare/", 400], ["/bare$id", '200|400'], ["/barely/$id", 400],
     ["/bare/x/$id", 400], ["/bare//$id", 200],
     ["/exact?id=$id", 200], ["/exact?id=$id.json", 200], ["/exact", 400],
     ["/exact?id=x", 400], ["/exact?ID=\U$id", 200], ["/exactpath", 400],
     ["/re/$id", 200], ["/re/a/b/c/$id.json", 200], ["/re/$id/", 400],
     ["/re/x", 400], ["/re/$id/x", 400],
     ["/v5.0/ocr/binarizeimage?id=$id", 200],
     ["/V5.0/OCR/BinarizeImage?id=$id", 200],
     ["/v5.0/binarizeimage?id=$id&x=y", 200],
     ["/v5.0/binarizeimage?id=$id.png", 200], ["/v5.0/binarizeimage", 400],
     ["/cap/$id/image", 200], ["/cap/x/image", 400],
     ["/cap/$id.json/image", 200], ["/cap/\U$id\E/image", 200],
     ["/strong/$id", 200], ["/try?id=$id", 200], ["/try", 400],
     ["/outer/inner/$id", 200], ["/outer/inner/x/$id", 400],
     ["/outer/re/x/$id", 200], ["/if/$id", 200], ["/if/$id?json=1", 200],
     ["/if/x?id=$id", 200], ["/if/x", 400], ["/only-if/$id?gate=1", 200],
     ["/only-if/$id", 418], ["/re-if/a/$id?gate=1", 200],
     ["/a/re-if/$id?gate=1", 200], ["/re-if/$id", 418],
     ["/re-if2/a/$id?json=1", 200], ["/a/re-if2/$id?json=1", 200],
     ["/re-limited/a/$id", 200], ["/a/re-limited/$id", 200],
     ["/limited/$id", 200], ["/limited2/$id", 200],
     ["/rewritten/$id", 200], ["/rewritten/x", 400], ["/break/x/$id", 200],
     ["/inherit/a/$id", 200], ["/inherit/b/$id", 200],
     ["/./slash/../slash/$id", 200], ["/slash/%2e%2e/slash/$id", 200])
{
    my ($url, $status) = @$_;
    my $answer = get($url);
    my $name = $url;
    $name =~ s/\Q$id\E/ID/ig;

    like($answer->{status}, qr/^(?:$status)$/, "$name: $status");
    ok(defined $answer->header('Content-Length'), 'with a length')
        if $answer->{status} != 418;
}

is(fetches($id), 1, 'one entry for all of them');

for (["/if/$id", 'image/png'], ["/if/$id?json=1", 'application/json'],
     ["/v5.0/binarizeimage?id=$id", 'application/json'],
     ["/inherit/a/$id", 'application/json'], ["/inherit/b/$id", 'image/png'])
{
    my ($url, $type) = @$_;
    is(get($url)->header('Content-Type'), $type, "$type");
}


=== methods
--- config eval: $::locations
--- perl
my $id = task(size => 300);

get("/slash/$id");
cloud->post('reset');

for my $method ('POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND',
                'MKCOL', 'COPY', 'LOCK', 'PURGE', 'FOO')
{
    for my $target ($id, "$id.json", 'x', guid()) {
        my $answer = get("/slash/$target", -method => $method);
        my $name = "$method " . substr($target, 0, 9);

        problem_is($answer, 405, 'bad-method', $name, Allow => 'GET, HEAD');
    }

    my $body = get("/slash/$id", -method => $method, -body => 'x' x 100_000);
    is($body->{status}, 405, "$method with a body");
}

is(get("/slash/$id", -body => 'a body')->{status}, 200, 'GET with a body');
is(get("/slash/$id", -body => "5\r\nhello\r\n0\r\n\r\n",
       'Transfer-Encoding' => 'chunked')->{status}, 200, 'and a chunked one');
is(get("/limited/$id", -method => 'POST')->{status}, 403, 'limit_except');

# TRACE and CONNECT are refused by nginx itself
like(get("/slash/$id", -method => $_)->{status}, qr/^40[05]$/, $_)
    for 'TRACE', 'CONNECT';

my $calls = cloud->calls();
is($calls->{fetches} + $calls->{submits} + $calls->{deletes}, 0,
   'no cloud call');

# the connection goes on behind a body that was not read
my $bytes = begin(undef, -raw =>
    "POST /slash/$id HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    . "GET /slash/$id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )->drain();
my $first = Binarize::Client::parse($bytes);
my $second = Binarize::Client::parse($first->{rest});
is("$first->{status} $second->{status}", '405 200', 'a body is skipped');
