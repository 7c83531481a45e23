use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(decode_base64);

use Binarize;

# Filters in a gateway's location see what a client is answered, but none of
# the gateway's own calls, wherever nginx has them in its list of modules.

our $pass = 'binarize_pass http://$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;';

our $http = <<'CONFIG';
    binarize_credentials $TEST_NGINX_CREDENTIALS;
    binarize_max_size 2m;
    limit_req_zone $binary_remote_addr zone=strict:1m rate=1r/m;
CONFIG

our $config = <<"CONFIG";
    location /b/ {
        $pass
    }
    location /changed/ {
        sub_filter_types *;
        sub_filter_once off;
        sub_filter '"data"' '"DATA"';
        sub_filter 'access_token' 'no_token';
        sub_filter 'Completed' 'Incomplete';
        sub_filter 'nginx' 'NGINX';
        $pass

        location /changed/denied/ {
            deny all;
            $pass
        }
        location /changed/limited/ {
            limit_req zone=strict;
            $pass
        }
        location /changed/tiny/ {
            client_max_body_size 1;
            $pass
        }
    }
CONFIG

# image_filter is linked into nginx, or it is Debian's, which fits no other

our $image_filter = '/usr/lib/nginx/modules/ngx_http_image_filter_module.so';
our $linked = `$nginx -V 2>&1` =~ /--with-http_image_filter_module(?!=)/;
our ($before, $after) = ($modules, $modules);

if (!$linked) {
    file_write('try.conf', "load_module $image_filter;\n"
               . "pid $dir/try.pid;\nerror_log stderr;\nevents { }\n");

    if (system("$nginx -t -q -e stderr -c $dir/try.conf 2> /dev/null") == 0) {
        $before = "load_module $image_filter;\n$modules";
        $after = "${modules}load_module $image_filter;\n";

    } else {
        undef $image_filter;
    }
}

$config .= <<"CONFIG" if $image_filter;
    location /small/ {
        image_filter resize 32 -;
        binarize_wait 10s;
        binarize_poll 100ms;
        $pass
    }
CONFIG

# what debug logs show of the way a request takes
our $debug = `$nginx -V 2>&1` =~ /--with-debug\b/;

if ($debug) {
    $_ .= "error_log $dir/debug.log debug;\n" for $before, $after;
}

# the blocks say which modules are loaded, and when
$Test::Nginx::Util::LoadModules = '';

sub width {
    my ($png) = @_;
    return $png =~ /^\x89PNG/ ? unpack('N', substr($png, 16, 4)) : 'no PNG';
}

# Two tests: the filter was run, and only by requests that clients have sent,
# whose lines in the log have the connection's number.
sub clients_only {
    my ($filter) = @_;
    my @lines = grep { /\]\ [\d\#]+:\ (?:\*\d+\ )?\Q$filter\E/x }
                split /\n/, file_read('debug.log');

  SKIP: {
        Test::More::skip('an nginx without debug logs', 2) unless $debug;

        isnt(scalar(@lines), 0, "$filter: by clients");
        is(join("\n", grep { !/ \*\d+ / } @lines), '', 'and nobody else');
    }
}

# The same for each order of the modules.
sub image_filter {
    return Test::More::note('no image_filter module') unless $image_filter;

    my @workers = sort(nginx_workers());
    my $id = task(size => 20_000);
    my $png = cloud->result($id);
    my @accept = (Accept => 'application/json');

    cmp_ok(width($png), '>', 32, 'a picture that is wider');

    # a token and, as it is no good any more, another one
    get('/small/' . task());
    cloud->post('revoke');

    for my $from ('stored', 'l1') {
        my $answer = get("/small/$id");

        is(width($answer->{body}), 32, "a small one, $from");
        is($answer->{status}, 200, 'it is an answer');
    }

    answer_is(get("/b/$id"), [200, body => $png,
              'Cache-Status' => qr/detail=l1/], 'what was stored');
    is(fetches($id), 2, 'a refused token, then one call');

    $id = task(size => 20_000, pending => 2);
    is(width(get("/small/$id")->{body}), 32, 'after some polls');

    # what nginx and its filters answer themselves
    answer_is(get("/small/$id", 'If-Match' => '"x"'), [415,
              'Vary' => 'Accept', 'Cache-Control' => 'no-store'],
              'the page of a 412 is no picture');
    answer_is(get("/small/$id", @accept), [415, 'Vary' => 'Accept',
              'Cache-Control' => 'no-store', 'Cache-Status' => undef,
              'ETag' => undef], 'neither is JSON');
    answer_is(get("/small/$id.json"), [415, 'Vary' => undef,
              'Cache-Control' => 'no-store'], 'JSON by its suffix');
    answer_is(get('/b/' . task(), 'If-Match' => '"x"'), [412,
              'Vary' => 'Accept', 'Cache-Control' => 'no-store'],
              'a 412 elsewhere');

    is("@{[sort(nginx_workers())]}", "@workers", 'the workers live');
    clients_only('image filter');
    clients_only('http copy filter');
}

sub sub_filter {
    my $id = task(size => 30_000);
    my $png = cloud->result($id);

    get('/changed/' . task());
    cloud->post('revoke');

    my $changed = get("/changed/$id.json");

    like($changed->{body}, qr/"taskStatus":"Incomplete"/, 'a changed answer');
    unlike($changed->{body}, qr/"data"/, 'all of it');

    my $answer = get("/b/$id.json");

    is($answer->source(), 'l1', 'what was stored');
    is($answer->json()->{taskStatus}, 'Completed', 'its status');
    is(decode_base64($answer->json()->{results}[0]{data}), $png,
       'its picture');
    is(fetches($id), 2, 'a refused token, then one call');

    my @ours = ('Vary' => 'Accept', body => qr/<center>NGINX/);

    answer_is(get("/changed/$id", 'If-Match' => '"x"'), [412, @ours,
              'Cache-Control' => 'no-store'], 'a 412');
    answer_is(get("/changed/denied/$id"), [403, @ours], 'a 403');
    answer_is(get("/changed/tiny/$id", -method => 'POST', -body => 'xx'),
              [413, @ours], 'a 413');
    get("/changed/limited/$id");
    answer_is(get("/changed/limited/$id"), [503, @ours], 'a 503');
    clients_only('http sub filter');
}

run_file();

__DATA__

=== image_filter, before the gateway in the list
--- main_config eval: $::before
--- http_config eval: $::http
--- config eval: $::config
--- perl: main::image_filter()


=== sub_filter
--- main_config eval: $::before
--- http_config eval: $::http
--- config eval: $::config
--- perl: main::sub_filter()


=== image_filter, behind it if it is loaded at all
--- main_config eval: $::after
--- http_config eval: $::http
--- config eval: $::config
--- perl: main::image_filter()


=== sub_filter beside it
--- main_config eval: $::after
--- http_config eval: $::http
--- config eval: $::config
--- perl: main::sub_filter()
