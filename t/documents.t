use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;

use Binarize;

our $redis = redis_server();
$ENV{TEST_NGINX_REDIS} = "127.0.0.1:$redis->{port}";

our $locations = <<'CONFIG';
    binarize_redis redis://$TEST_NGINX_REDIS timeout=10s
                   connect_timeout=10s;

    location /b/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache one;
    }
    location /redis/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_cache two off;
    }
    location /small/ {
        binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/upscaleimage;
        binarize_max_size 2000;
        binarize_cache one;
    }
CONFIG

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 8m;
    binarize_zone one:8m;
    binarize_zone two:8m;
CONFIG

# The document, with nothing escaped in its payload, a string of base64 that
# is longer than 100 bytes.
sub plain {
    my ($document) = @_;

    $document =~ s/^\xef\xbb\xbf//;
    $document =~ s{"([A-Za-z0-9+/=\\]{100,})"}{
        my $s = $1;
        $s =~ s/\\u(00[0-7][0-9a-f])/chr(hex($1))/gie;
        $s =~ s/\\[rn]//g;
        $s =~ s/\\//g;
        "\"$s\"";
    }ge;

    return $document;
}

our @accepted = (
    map({ [order => $_] } qw(dotnet reverse shuffle shuffle shuffle
                             results-first)),
    map({ [escape => $_] } qw(dotnet lower none slash uslash crlf all)),
    map({ [unknown => $_, order => 'shuffle'] } 1 .. 12),
    map({ [unknown => 12, nest => $_] } 1, 30),
    [unknown => 12, unknown_size => 60_000, order => 'results-first'],
    [unknown => 12, unknown_size => 60_000, order => 'reverse'],
    [payload => 'unpadded', size => 200], [payload => 'unpadded', size => 201],
    [payload => 'unpadded', size => 202],
    [id => 'upper'],
    [bom => 'on'], [indent => 'on'], [bom => 'on', indent => 'on'],
    [messages => "\"q\"|\\|\xc3\xa4\xe2\x82\xac", warnings => 'w'],
    [omit => 'error'],
    [dribble => 2, framing => 'length', size => 200],
    [dribble => 5, dribble_head => 'on', framing => 'close', size => 200,
     bom => 'on', escape => 'all', order => 'reverse'],
    [dribble => 29, framing => 'chunked', chunk => 1, size => 200],
    [framing => 'chunked', chunk => 1, size => 40_000, escape => 'crlf'],
    [content_type => ''], [content_type => 'text/plain'],
    [content_type => 'image/png'], [content_type => 'application/octet-stream'],
    [bom => 'on', escape => 'all', order => 'reverse', unknown => 12,
     nest => 20, size => 300_000],
);

# no result, though it may look like one
our @no_result = (
    [type => 'ImageJPEG'], [responseStatusCode => 'Error'],
    [responseStatusCode => 'unheard of'], [omit => 'responseStatusCode'],
    [results => 'two'],
    [type => 'ImageJPEG', unknown => 12, order => 'reverse'],
);

our @refused = (
    # another task's, or whose is not said: a confused connection
    map({ ['bad-document', id => $_] } 'null', 'absent', '', 'x',
        'f0000000-0000-4000-8000-00000000000f',
        '00000000-0000-0000-0000-000000000000'),
    map({ ['bad-document', status => $_] } '', 'Done', 'completed',
        'Completed '),
    ['bad-document', omit => 'taskStatus'],
    ['bad-document', duplicate => 'on'],
    ['bad-document', text => 'invalid'], ['bad-document', text => 'trailing'],
    ['cloud-truncated', text => 'cut'], ['cloud-truncated', text => 'empty'],
    ['bad-document', nest => 100_000],
    ['bad-document', unknown_size => 70_000],
    ['bad-document', results => 'two', size => 70_000],
    ['bad-document', payload => 'badbase64'],
    ['not-a-png', payload => 'notpng'], ['not-a-png', payload => 'cut'],
    ['not-a-png', payload => 'noiend'],
    ['bad-document', gzip => 'on'], ['bad-document', gzip => 'lie'],
    map({ ['cloud-truncated', content_type => 'application/json', body => $_] }
        '{"taskStatus":"Pending"', "\xef\xbb", '{', '{"'),
    map({ ['bad-document', content_type => 'application/json', body => $_] }
        '[', '[]', 'null', '"Completed"', '1', '<html></html>', '{}',
        '{"taskStatus":1}', '{"taskStatus":null}',
        '{"taskStatus":"Pending"}}', '{"taskStatus":"Pending",}',
        "{'taskStatus':'Pending'}", '{"taskStatus":"Pending"}{}',
        '{"taskStatus":"Pend\\x69ng"}', "\xff\xfe{\0}\0"),
);

run_file();

__DATA__

=== accepted, byte by byte
--- config eval: $::locations
--- http_config eval: $::http
--- perl
for (@main::accepted) {
    my $name = join(' ', map { substr($_, 0, 20) } @$_);

    for my $first ('png', 'json') {
        my $id = task(size => 1000, @$_);
        my $png = cloud->result($id);
        my $document = main::plain(cloud->document($id));
        my ($values, %etag);

        # then each call gives another order
        if ($name =~ /shuffle/) {
            $values = JSON::PP::decode_json($document);
            undef $document;
        }

        for my $from (['/b/', 'stored'], ['/b/', 'l1'], ['/redis/', 'redis']) {
            my ($at, $source) = @$from;

            # the answer did not wait for Redis
            until_true { $main::redis->cmd('EXISTS',
                                           "binarize:binarizeimage:$id") }
                if $source eq 'redis';

            for my $format ($first, $first eq 'png' ? 'json' : 'png') {
                my $answer = get("$at$id.$format");
                my $etag = $etag{$format} //= $answer->header('ETag');

                if ($format eq 'json') {
                    $answer->{body} = main::plain($answer->{body});

                    if (!defined $document) {
                        $document = $answer->{body};
                        is_deeply($answer->json, $values, "$name: values");
                    }
                }

                answer_is($answer, [200, 'ETag' => $etag,
                          body => $format eq 'png' ? $png : $document,
                          $format eq $first || $source ne 'stored'
                          ? ('Cache-Status' => qr/$source$/) : ()],
                          "$name: $format, $source");
            }
        }
    }
}


=== no result
--- config eval: $::locations
--- http_config eval: $::http
--- perl
for (@main::no_result) {
    my $name = join(' ', @$_);
    my $id = task(size => 1000, @$_);

    for my $source ('stored', 'negative') {
        answer_is(get("/b/$id.json"), [200,
                  'Content-Type' => 'application/json',
                  'Cache-Control' => 'no-store', 'ETag' => undef],
                  "$name: JSON, $source");
        problem_is(get("/b/$id"), 502, 'no-result', "$name: PNG");
    }

    is(fetches($id), 1, 'one cloud call');
    is_deeply($main::redis->hash("binarize:binarizeimage:$id"), {},
              'no record of it');
}


=== refused
--- config eval: $::locations
--- http_config eval: $::http
--- perl
for (@main::refused) {
    my ($slug, @task) = @$_;
    my %task = (size => 1000, @task);
    my $id = task(%task);
    my $name = join(' ', map { substr($_, 0, 40) } @task);

    problem_is(get("/b/$id"), 502, $slug, $name, 'Retry-After' => undef);
    problem_is(get("/b/$id.json"), 502, $slug, "$name, JSON");
    is(fetches($id), 1, 'one cloud call');
    is_deeply($main::redis->hash("binarize:binarizeimage:$id"), {},
              'no record of it');
}


=== the refused one is soon asked for again, and may be well then
--- config
location /b/ {
    binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    binarize_negative_valid 1s;
}
--- perl
my $id = task(size => 1000);

cloud->fault($id, { payload => 'notpng', times => 1 });
problem_is(get("/b/$id"), 502, 'not-a-png', 'refused');
until_true { get("/b/$id")->{status} == 200 };
answer_is(get("/b/$id"), [200, body => cloud->result($id)], 'well');
is(fetches($id), 2, 'two calls');


=== binarize_max_size
--- config eval: $::locations
--- http_config eval: $::http
--- perl
for my $format ('png', 'json') {
    for my $escape ('dotnet', 'all', 'crlf') {
        for my $framing ('length', 'chunked', 'close') {
            my @task = (op => 'upscaleimage', escape => $escape,
                        framing => $framing);
            my $id = task(size => 2000, @task);

            is(get("/small/$id.$format")->{status}, 200,
               "$format $escape $framing: as large as allowed");

            for my $size (2001, 2_000_000) {
                $id = task(size => $size, @task);
                problem_is(get("/small/$id.$format"), 502, 'too-large',
                           "$format $escape $framing: $size");
            }
        }
    }
}


=== a confused connection is closed, others are kept
--- config eval: $::locations
--- http_config eval: $::http
--- perl
my @ids = map { task(size => 300) } 1 .. 8;

cloud->post('close-idle');

# each worker may have a connection
get("/b/$_") for @ids;

my $before = cloud->calls()->{connections}{open};

for (1 .. 4) {
    my $id = task(id => guid());
    problem_is(get("/b/$id"), 502, 'bad-document', "another task's document");
}

# four calls closed what was open to the workers that made them
ok(until_true(sub { cloud->calls()->{connections}{open} < $before }),
   'a connection was closed');
