use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use JSON::PP;

use Binarize;

our $location = <<'CONFIG';
    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache off;
    }
CONFIG

# A block starts with an nginx that has no token, and a cloud without faults.
our $serial = 0;

sub anew {
    Binarize::nginx_stop();
    Binarize::cloud()->control('POST', 'reset', { all => 1 });
    Binarize::nginx_start();
}

sub tokens {
    return Binarize::cloud()->calls()->{token};
}

sub status {
    my $id = Binarize::task(size => 300);
    return Binarize::get("/b/$id")->{status};
}

# Until a crowd, which both workers take part in, is served well.
sub all_workers {
    return Binarize::until_true(sub {
        my @ids = map { Binarize::task(size => 300) } 1 .. 40;
        my @all = map { Binarize::begin("/b/$_") } @ids;
        return !grep { $_->answer()->{status} != 200 } @all;
    });
}

file_write('bearer', "x\n");
file_write('odd-secret', "x\n");
$ENV{TEST_NGINX_PORT1} = $port + 1;

run_file();

__DATA__

=== one token for all
--- config eval: $::location
--- perl
main::anew();
cloud->fault('token', { delay_ms => 300 });

# many at once, in both workers
my @ids = map { task(size => 300) } 1 .. 30;
my @all = map { begin("/b/$_") } @ids;

is(join(' ', map { $_->answer()->{status} } @all), join(' ', (200) x 30),
   'thirty at once');
is(main::tokens()->{calls}, 1, 'one token call');

is(main::status(), 200, 'later') for 1 .. 10;
is(main::tokens()->{calls}, 1, 'still one');

my $last = main::tokens()->{last};
is($last->{line}, 'POST /connect/token HTTP/1.1', 'the call');
is_deeply({ map { lc($_->[0]) => $_->[1] } grep { $_->[0] !~ /length/i }
            @{ $last->{headers} } },
          { host => $ENV{TEST_NGINX_CLOUD}, accept => 'application/json',
            connection => 'close',
            'content-type' => 'application/x-www-form-urlencoded' },
          'its header');

# the zone keeps it
nginx_reload();
is(main::status(), 200, 'after a reload') for 1 .. 3;
is(main::tokens()->{calls}, 1, 'still one');


=== secrets and ids with all characters
--- http_config
    binarize_max_size 8m;
--- config
location /b0/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_credentials "client_id=one +&=;%/?#\"é\\" client_secret_file=$TEST_NGINX_DIR/odd-secret;
}
--- perl
my $id = "one +&=;%/?#\"\xc3\xa9\\";

for my $secret (" !\"#\$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ", "\xc3\xa4\xff\x80",
                '%26%3D+a+b', 'x' x 1000, '0')
{
    for my $end ("\n", "\r\n", '', "\nsecond line\n") {
        file_write('odd-secret', $secret . $end);
        cloud->put('credentials', { client_id => $id }, $secret);
        secret(length($secret) > 5 ? $secret : '');

        nginx_stop();
        nginx_start();

        my $task = task(size => 300);
        is(get("/b0/$task")->{status}, 200, 'a secret of '
           . length($secret) . ' and ' . length($end) . ' bytes');
    }
}


=== a token is refreshed before it expires, the old one serves meanwhile
--- config eval: $::location
--- perl
main::anew();
cloud->fault('token', { expires_in => 8, times => 1 });

my $start = Time::HiRes::time();

is(main::status(), 200, 'the first');

# a request after four fifths of its life asks for a new one, which is slow
cloud->post('faults/token', { delay_ms => 1500, times => 1 });

my $slowest = 0;
my $worst = 200;

until_true {
    my $asked = Time::HiRes::time();
    my $status = main::status();
    my $took = Time::HiRes::time() - $asked;

    $slowest = $took if $took > $slowest;
    $worst = $status if $status > $worst;

    main::tokens()->{calls} == 2;
};

my $refreshed = Time::HiRes::time() - $start;

cmp_ok($refreshed, '>', 4, 'a new one is asked for');
cmp_ok($refreshed, '<', 8, 'before the old one has expired');

is($worst, 200, 'the old one serves');
cmp_ok($slowest, '<', 0.4 + lag(), 'at once');

until_true { Time::HiRes::time() > $start + 8.5 };
is(main::status(), 200, 'then the new one');
is(main::tokens()->{calls}, 2, 'two token calls');
is(cloud->calls()->{unauthorized}, 0, 'nothing was refused');


=== a refresh that fails keeps the old one until it has expired
--- config eval: $::location
--- perl
main::anew();
cloud->fault('token', { expires_in => 8, times => 1 });
is(main::status(), 200, 'the first');
cloud->post('faults/token', { http => 500 });

until_true {
    is(main::status(), 200, 'it serves');
    main::tokens()->{calls} >= 2;
};
is(main::status(), 200, 'the refresh has failed, the old one serves');

until_true { main::status() != 200 };
problem_is(get('/b/' . task()), 502, 'no-token', 'then there is none');
cmp_ok(main::tokens()->{calls}, '<', 12, 'few token calls');

cloud->delete('faults/token');
until_true { main::status() == 200 };
is(main::status(), 200, 'and it recovers');


=== the token is refused by a fetch
--- config eval: $::location
--- perl
main::anew();
is(main::status(), 200, 'good');
cloud->post('revoke');

my $id = task(size => 300);
is(get("/b/$id")->{status}, 200, 'one new token, one more try');
is(fetches($id), 2, 'two calls');
is(main::tokens()->{calls}, 2, 'two token calls');

# many at once: still one new token
cloud->post('revoke');
my @ids = map { task(size => 300) } 1 .. 20;
my @all = map { begin("/b/$_") } @ids;
is(join(' ', map { $_->answer()->{status} } @all), join(' ', (200) x 20),
   'twenty at once');
cmp_ok(main::tokens()->{calls}, '<=', 4, 'hardly more than one new token');

# for ever
for my $n (1 .. 3) {
    $id = task(size => 300);
    cloud->fault($id, { http => 401 });

    my $before = main::tokens()->{calls};

    for my $format ('', '.json') {
        problem_is(get("/b/$id$format"), 502, 'cloud-unauthorized',
                   '401 for ever');
    }

    cmp_ok(fetches($id), '<=', 4, 'a bounded number of calls');
    cmp_ok(main::tokens()->{calls} - $before, '<=', 2, 'and of tokens');
}

is(main::status(), 200, 'others are well');


=== refused credentials: after 5 s once more
--- config eval: $::location
--- perl
main::anew();
cloud->fault('token', { http => 400 });

my $start = Time::HiRes::time();
my $answer = get('/b/' . guid());

problem_is($answer, 502, 'credentials-refused', 'refused');
unlike($answer->{body}, qr/invalid_client/, 'no internals');

# meanwhile nobody asks
is(get('/b/' . guid())->{status}, 502, 'still') for 1 .. 10;
is(main::tokens()->{calls}, 1, 'one token call');

my $second = until_true {
    get('/b/' . guid());
    main::tokens()->{calls} > 1;
};
my $pause = Time::HiRes::time() - $start;

ok($second, 'a second one');
cmp_ok($pause, '>', 4.5, 'after five seconds');
cmp_ok($pause, '<', 7 + lag(), 'and not much later');

# the next one would come after a minute: nothing for a while, nor by restart
# of a worker, nor by a reload
nginx_reload();
my $deadline = Time::HiRes::time() + 6;

until_true { get('/b/' . guid()); Time::HiRes::time() > $deadline };
is(main::tokens()->{calls}, 2, 'two token calls');

# a changed secret starts anew
cloud->delete('faults/token');
cloud->put('credentials', { client_id => 'an-id' }, secret('n3w-s3cr3t'));
file_write('secret', "n3w-s3cr3t\n");
nginx_reload();
is(main::status(), 200, 'a changed secret is tried at once');

cloud->put('credentials', { client_id => 'an-id' }, cloud->{secret});
file_write('secret', cloud->{secret});


=== the token endpoint in trouble
--- config eval: $::location . 'binarize_read_timeout 500ms;'
--- perl
for (['500', http => 500], ['502', http => 502], ['503', http => 503],
     ['429', http => 429, retry_after => 1], ['302', http => 302],
     ['204', http => 204], ['401', http => 401], ['hangs', hang => 'start'],
     ['closes', close => 'start'], ['cut', close => 'body'],
     ['garbage', garbage => 300], ['huge', huge_header => 100_000],
     ['flood', flood => 'x' x 100], ['gzip', gzip => 'on'],
     ['no token', omit => 'access_token'], ['null', token => 'null'],
     ['number', token => '5'], ['empty', token => '""'],
     ['control', token => '"a\\nb"'], ['space', token => '"a b"'],
     ['quote', token => '"\\u0000"'], ['utf8', token => '"\\u00e4"'],
     ['long', -body => '{"access_token":"' . 'x' x 70_000 . '"}'],
     ['type', token_type => 'mac'],
     ['invalid', text => 'invalid'], ['half', text => 'cut'],
     ['trailing', text => 'trailing'], ['nothing', text => 'empty'],
     ['array', body => '[]'], ['string', body => '"token"'])
{
    my ($name, @fault) = @$_;

    my %fault = (content_type => 'application/json', @fault);
    my $body = delete $fault{-body};

    main::anew();
    cloud->fault('token', \%fault, $body);

    my $answer = get('/b/' . guid());
    my $type = $answer->json->{type} // '';

    like("$answer->{status} $type", qr/^50[234] urn:binarize:/,
         "$name: a problem");
    unlike($answer->{body}, qr/token_type|access_token|expires/,
           'no internals');
    is(cloud->calls()->{fetches}, 0, 'no fetch');

    # after a second, or when the cloud says
    next unless $name =~ /^(500|429|hangs|array)$/;

    cloud->delete('faults/token');
    until_true { main::status() == 200 };
    is(main::status(), 200, "$name: it recovers");
}


=== a worker that hangs in a token call
--- config eval: $::location
--- perl
main::anew();
until_true { nginx_workers() == 2 };

my ($hung, $well) = nginx_workers();

cloud->fault('token', { hang => 'start', times => 1 });
freeze($well);
my $held = begin('/b/' . task(size => 300));
until_true { main::tokens()->{calls} == 1 };
freeze($hung);
kill('CONT', $well);

is(main::status(), 200, 'another one makes a call');
is(main::tokens()->{calls}, 2, 'one');

# what comes late changes nothing
kill('CONT', $hung);
answer_is($held->answer(), [200], 'it has the same token');
is(main::tokens()->{calls}, 2, 'and no call');
is(main::status(), 200, 'good for all') for 1 .. 4;


=== odd token answers that are good
--- config eval: $::location
--- perl
for (['order', order => 'shuffle'], ['order', order => 'reverse'],
     ['BOM', bom => 'on'], ['indented', indent => 'on'],
     ['lower case', token_type => 'bearer'], ['no type', omit => 'token_type'],
     ['no expires_in', omit => 'expires_in'],
     ['expires_in as a string', expires_in => '"3600"'],
     ['expires_in null', expires_in => 'null'],
     ['a fraction', expires_in => '3600.5'],
     ['very long', expires_in => '4000000000'],
     ['close', framing => 'close'], ['chunked', framing => 'chunked'],
     ['bytewise', dribble => 10], ['interim', interim => '100'])
{
    my ($name, @fault) = @$_;

    main::anew();
    cloud->fault('token', { @fault });
    is(main::status(), 200, $name);
    is(main::status(), 200, 'again') for 1 .. 3;
    is(main::tokens()->{calls}, 1, 'one token call');
}

# those that live for no time are used at most for the request at hand
for my $value ('0', '-1', '1') {
    main::anew();
    cloud->fault('token', { expires_in => $value, lives => 60 });
    like(main::status(), qr/^(200|502)$/, "expires_in $value");
    sleep(1.2);
    cmp_ok(main::tokens()->{calls}, '<', 8, 'no storm of calls');
}


=== token_url
--- http_config
    binarize_max_size 8m;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_credentials client_id=an-id client_secret_file=$TEST_NGINX_DIR/secret token_url=http://127.0.0.1:$TEST_NGINX_PORT1/a/token;
}
--- perl
# nobody there
problem_is(get('/b/' . guid()), 502, 'cloud-unreachable', 'nobody there');

my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
    LocalPort => $ENV{TEST_NGINX_PORT1}, ReuseAddr => 1) or die "listen: $!";
my $token = secret(cloud->post('mint'));
my $id = task(size => 300);
my $client = begin("/b/$id");
my $answer;

# once the pause is over it is asked
until_true {
    return 1 if IO::Select->new($server)->can_read(0.2);
    $client->answer();
    $client = begin("/b/$id");
    0;
};

my $call = $server->accept();
my $request = '';

until_true {
    sysread($call, $request, 4096, length($request));
    $request =~ /\r\n\r\n.*client_secret=[^&]+/s;
};

like($request, qr{^POST /a/token HTTP/1\.1\r\n}, 'the path');
like($request, qr{^Host: 127\.0\.0\.1:$ENV{TEST_NGINX_PORT1}\r$}m, 'Host');
like($request, qr{grant_type=client_credentials}, 'grant_type');

my $body = encode_json({ access_token => $token, expires_in => 3600 });
print $call "HTTP/1.1 200 OK\r\nContent-Length: " . length($body)
            . "\r\n\r\n$body";
close($call);

$answer = $client->answer();
is($answer->{status}, 200, 'the token of another server');
is(cloud->calls($id)->{unauthorized}, 0, 'it was good');


=== binarize_bearer_file
--- http_config
    binarize_max_size 8m;
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_bearer_file $TEST_NGINX_DIR/bearer;
    binarize_cache off;
}
--- perl
cloud->control('POST', 'reset', { all => 1 });
file_write('bearer', secret(cloud->post('mint')) . "\n");

until_true { main::status() == 200 };
is(main::status(), 200, 'a token of a file') for 1 .. 6;
is(main::tokens()->{calls}, 0, 'no token call');

# rotation
my $next = secret(cloud->post('mint'));
cloud->post('revoke');
my $third = secret(cloud->post('mint'));
file_write('bearer', $third);
main::all_workers();
is(main::status(), 200, 'rotated') for 1 .. 6;

# a bad rotation keeps the old one
for my $bad ('', "\n", " \n", "a b\n", "a\x00b", "x\x7fy\n", 'x' x 200_000) {
    my $lines = () = error_log() =~ /bearer/g;
    file_write('bearer', $bad);
    sleep(1.1);
    is(main::status(), 200, 'a bad file of ' . length($bad) . ' bytes')
        for 1 .. 4;
}

logged(qr/\[error\].*bearer/, 'it is logged');

unlink("$dir/bearer");
sleep(1.1);
is(main::status(), 200, 'no file') for 1 .. 4;

mkdir("$dir/bearer");
sleep(1.1);
is(main::status(), 200, 'a directory') for 1 .. 2;
rmdir("$dir/bearer");

# and a good one again
my $fourth = secret(cloud->post('mint'));
file_write('bearer', $fourth);
cloud->post('revoke');
$fourth = secret(cloud->post('mint'));
file_write('bearer', $fourth);
main::all_workers();
is(main::status(), 200, 'rotated again') for 1 .. 4;

# it is refused: it can not be renewed, and calls stay bounded
cloud->post('revoke');
my $id = task();
problem_is(get("/b/$id"), 502, 'cloud-unauthorized', 'refused');
cmp_ok(fetches($id), '<=', 2, 'a bounded number of calls');
