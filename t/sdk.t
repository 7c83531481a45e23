use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(decode_base64);

use Binarize;

# The cloud's own URLs, as its SDKs call them; the recipe is README.md's.

our ($recipe) = file_read("$Binarize::top/README.md")
                =~ /<!-- sdk -->\s*```nginx\n(.*?)```/s;

our $config = ($recipe // '')
              =~ s{https://api\.aspose\.cloud}{http://\$TEST_NGINX_CLOUD}gr;

# What an application's SDK does before and with each call.
our @accept = (
    ['.NET', 'text/plain, application/json, text/json'],
    ['Java, Python, Go, Node.js', 'application/json'],
    ['Android', 'text/plain, application/json, text/json, */*'],
    ['curl', '*/*'],
    ['text', 'text/plain'],
    ['nothing'],
);

our %path = (
    'as documented' => '/v5.0/ocr/binarizeimage',
    'mixed case' => '/v5.0/ocr/BinarizeImage',
    '.NET with a host of its own' => '/v5.0/BinarizeImage',
);

sub plain {
    return $_[0] =~ s/\\u002B/+/gir;
}

run_file();

__DATA__

=== the recipe is there
--- config eval: $::config
--- perl
ok($main::recipe, 'README.md has it');
like($main::recipe, qr/binarizeimage/, 'the location');
like($main::recipe, qr/connect\/token/, 'the token');


=== a token without a credential (RFC 6749 5.1)
--- config eval: $::config
--- perl
my $answer = get('/connect/token', -method => 'POST',
                 'Content-Type' => 'application/x-www-form-urlencoded',
                 -body => 'grant_type=client_credentials&client_id=x'
                          . '&client_secret=y');
my $token = $answer->json();

answer_is($answer, [200, 'Content-Type' => 'application/json',
          'Cache-Control' => 'no-store'], 'POST /connect/token');
ok($token->{access_token}, 'access_token');
is($token->{token_type}, 'Bearer', 'token_type');
cmp_ok($token->{expires_in}, '>', 3600, 'expires_in');
is(cloud->calls()->{token}{calls}, 0, 'the cloud is not asked');


=== fetching, as each SDK does
--- config eval: $::config
--- perl
my %task = (
    Completed => [size => 3000],
    Pending => [status => 'Pending'],
    Processing => [status => 'Processing'],
    Error => [status => 'Error', messages => 'one|two'],
    NotExist => [status => 'NotExist'],
    empty => [results => 'empty'],
);

for my $status (sort keys %task) {
    my $id = task(@{ $task{$status} });
    my $document = main::plain(cloud->document($id));
    my $png = $status eq 'Completed' ? cloud->result($id) : undef;

    for my $path (sort keys %main::path) {
        for my $accept (@main::accept) {
            my ($sdk, $value) = @$accept;
            my $answer = get("$main::path{$path}?id=$id",
                             'Authorization' => 'Bearer anything',
                             'User-Agent' => 'OpenAPI-Generator/1.0',
                             $value ? ('Accept' => $value) : ());

            answer_is($answer, [200, body => $document,
                      'Content-Type' => 'application/json',
                      'Content-Length' => length($document)],
                      "$status, $path, $sdk");

            next unless $png;
            is(decode_base64($answer->json()->{results}[0]{data}), $png,
               'the picture inside');
        }
    }

    # our own fetch of the document was one, polls of a pending one come along
    cmp_ok(fetches($id), '<=', 3, "$status: few cloud calls");
}

my ($line, $headers) = cloud->last_fetch(my $id = task());
get("/v5.0/ocr/binarizeimage?id=$id&x=y", 'Authorization' => 'Bearer mine',
    'X-Mine' => 1);
($line, $headers) = cloud->last_fetch($id);
is($line, "GET /v5.0/ocr/binarizeimage?id=$id HTTP/1.1", 'nothing but the id');
is(scalar(grep { $_->[0] =~ /^X-Mine$/i } @$headers), 0, 'no header');


=== ids
--- config eval: $::config
--- perl
my $id = task();

answer_is(get("/v5.0/ocr/BinarizeImage?id=\U$id"), [200,
          body => qr/"Completed"/], 'in upper case');
problem_is(get('/v5.0/ocr/binarizeimage'), 400, 'bad-id', 'none');
problem_is(get('/v5.0/ocr/binarizeimage?id='), 400, 'bad-id', 'an empty one');
problem_is(get("/v5.0/ocr/binarizeimage?id={$id}"), 400, 'bad-id', 'braces');
problem_is(get("/v5.0/ocr/binarizeimage?id=$id", -method => 'DELETE'), 405,
           'bad-method', 'a gateway does not cancel');
answer_is(get("/v5.0/ocr/binarizeimage/?id=$id"), [404], 'another path');
answer_is(get("/x/v5.0/ocr/binarizeimage?id=$id"), [404], 'another prefix');


=== the sister endpoints
--- config eval: $::config
--- perl
my $id = guid();
my $n = 700;
my %png;

for my $op (qw(binarizeimage deskewimage dewarpimage upscaleimage)) {
    task(-id => $id, op => $op, size => $n++);
    $png{$op} = cloud->result($id, $op);
}

for my $op (sort keys %png) {
    for my $path ("/v5.0/ocr/$op", '/v5.0/' . ucfirst($op)) {
        my $answer = get("$path?id=$id", Accept => 'application/json');
        is(decode_base64($answer->json()->{results}[0]{data}), $png{$op},
           "$path");
    }
}
