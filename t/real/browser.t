use FindBin;
use lib "$FindBin::Bin/../lib";

# The gallery in a real browser.  BINARIZE_BROWSER=1: it is there, Debian's
# package chromium; BINARIZE_SCREENSHOT names a file for a picture of the page.

BEGIN {
    if (!$ENV{BINARIZE_BROWSER}) {
        print "1..0 # SKIP BINARIZE_BROWSER is not set\n";
        exit 0;
    }
}

use Binarize;
use Binarize::Browser;

our $gallery = "$Binarize::top/gallery";

system('cp', '-r', $gallery, "$dir/gallery") == 0 or die "no gallery\n";
chmod(0755, "$dir/gallery");

our $config = <<"CONFIG";
    binarize_placeholder pending=$dir/gallery/pending.png
                         missing=$dir/gallery/missing.png
                         error=$dir/gallery/error.png;
    binarize_poll 200ms;

    location /image/ {
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
    }
    location /waiting/ {
        binarize_pass http://\$TEST_NGINX_CLOUD/v5.0/ocr/binarizeimage;
        binarize_wait 30s;
    }
    location /gallery/ {
        alias $dir/gallery/;
        include /etc/nginx/mime.types;
        add_header Cache-Control no-cache;
    }
CONFIG

# "WxH" of a PNG.
sub size_of {
    return join('x', unpack('x16 N N', $_[0]));
}

# A picture of that size, white with a frame, uncompressed.
sub png {
    my ($w, $h) = @_;
    require Compress::Zlib;

    my $row = sub { "\0" . $_[0] x $w };
    my $lines = $row->("\0") . join('', map {
        "\0\0" . "\xff" x ($w - 2) . "\0"
    } 3 .. $h) . $row->("\0");
    my $chunk = sub {
        my ($type, $data) = @_;
        return pack('N', length($data)) . $type . $data
               . pack('N', Compress::Zlib::crc32($type . $data));
    };

    return "\x89PNG\r\n\x1a\n"
           . $chunk->('IHDR', pack('N N C5', $w, $h, 8, 0, 0, 0, 0))
           . $chunk->('IDAT', Compress::Zlib::compress($lines))
           . $chunk->('IEND', '');
}

# The page, as ./demo makes it, with these [URL, text].
sub page_write {
    my $html = file_read("$main::gallery/index.html");
    my $figures = join '', map {
        my ($url, $text) = @$_;
        qq{<figure><a href="$url"><img src="$url" alt="$text"></a>}
        . qq{<figcaption>$text <span class="state"></span></figcaption>}
        . "</figure>\n"
    } @_;

    $html =~ s/<!-- pictures.*?-->/$figures/s or die "no place for figures\n";
    file_write('gallery/index.html', $html);
    chmod(0644, glob("$dir/gallery/*"));
}

# What the page shows: [{url, size, state}, ...].
sub shown {
    return $_[0]->value(<<'JS');
Array.from(document.querySelectorAll('main figure'), function (f) {
    var img = f.querySelector('img');
    return { url: f.querySelector('a').getAttribute('href'),
             size: img.naturalWidth + 'x' + img.naturalHeight,
             state: f.dataset.state || '' };
})
JS
}

sub states {
    return join ' ', map { $_->{state} } @{ shown($_[0]) };
}

# GETs of that URL in the access log, from that offset on.
sub requests {
    my ($url, $offset) = @_;
    my $log = substr(file_read("$dir/root/logs/access.log"), $offset // 0);
    my $n = () = $log =~ /"GET \Q$url\E[ ?]/g;
    return $n;
}

run_file();

__DATA__

=== the gallery
--- config eval: $::config
--- perl
my @ready = map { task(-body => main::png(600 + $_, 400 + $_)) } 0 .. 2;
my @pending = map { task(status => 'Pending') } 0 .. 1;
my $waiting = task(-body => main::png(320, 200), pending => 3);
my $missing = guid();
my $failed = task(status => 'Error');

my @urls = ((map { "/image/$_.png" } @ready, @pending),
            "/waiting/$waiting.png", "/image/$missing.png",
            "/image/$failed.png");

main::page_write(map { [$_, 'Picture'] } @urls);

my $browser = Binarize::Browser->new($dir);
my $page = "http://127.0.0.1:$port/gallery/";
my $placeholder = main::size_of(file_read("$main::gallery/pending.png"));

my $started = time();
$browser->call('Page.navigate', url => $page);
ok($browser->wait_for('Page.loadEventFired', $patience), 'the page has loaded');

my $wanted = 'ready ready ready pending pending ready missing failed';
until_true { main::states($browser) eq $wanted };
is(main::states($browser), $wanted, 'what is ready, on its way, and missing');

my $shown = main::shown($browser);

is($shown->[$_]{size}, (600 + $_) . 'x' . (400 + $_),
   "a ready picture has its natural size, $_") for 0 .. 2;
is($shown->[$_]{size}, $placeholder, "a pending one its placeholder, $_")
    for 3, 4;
is($shown->[5]{size}, '320x200', 'one whose request waited');
is($shown->[6]{size}, main::size_of(file_read("$main::gallery/missing.png")),
   'the missing one its placeholder');
is($shown->[7]{size}, main::size_of(file_read("$main::gallery/error.png")),
   'the failed one its placeholder');
like($browser->value('document.getElementById("summary").textContent'),
     qr/^4 of 8 pictures are ready/, 'the summary');

# they land

sleep(3);
task(-id => $pending[$_], -body => main::png(700 + $_, 300)) for 0, 1;

$wanted =~ s/pending/ready/g;
until_true { main::states($browser) eq $wanted };
is(main::states($browser), $wanted, 'pending ones appear by themselves');

$shown = main::shown($browser);
is($shown->[3 + $_]{size}, (700 + $_) . 'x300', "in their natural size, $_")
    for 0, 1;

my $seconds = time() - $started;
cmp_ok(main::requests($urls[$_]), '<=', $seconds + 2, 'without hammering')
    for 3, 4;
is(main::requests($_), 1, "one request for $_") for @urls[0, 1, 2, 5];
is(scalar($browser->seen('Runtime.exceptionThrown')), 0, 'no exception');

if ($ENV{BINARIZE_SCREENSHOT}) {
    file_write($ENV{BINARIZE_SCREENSHOT}, $browser->screenshot());
}

# loaded again

until_true { file_read("$dir/root/logs/access.log") };
my $offset = -s "$dir/root/logs/access.log";

for my $how ('reload', 'navigate') {
    $browser->wait_for('Page.loadEventFired', 0);

    if ($how eq 'reload') {
        $browser->call('Page.reload');

    } else {
        $browser->call('Page.navigate', url => 'about:blank');
        $browser->wait_for('Page.loadEventFired', $patience);
        $browser->call('Page.navigate', url => $page);
    }

    ok($browser->wait_for('Page.loadEventFired', $patience), "$how: loaded again");
    until_true { main::states($browser) eq $wanted };
    is(main::states($browser), $wanted, "$how: the same page");

    $shown = main::shown($browser);
    is($shown->[3 + $_]{size}, (700 + $_) . 'x300', "$how: what had landed, $_")
        for 0, 1;
    is(main::requests($_, $offset), 0, "$how: no request for $_")
        for @urls[0 .. 5];
}

cmp_ok(main::requests('/gallery/', $offset), '>=', 2,
       'the log is of this reload');
is(fetches($_), 1, 'one cloud call') for @ready, $missing;

$browser->stop();


=== without scripts
--- config eval: $::config
--- perl
my $id = task(-body => main::png(200, 100));
my $pending = task(status => 'Pending');

main::page_write(map { ["/image/$_.png", 'Picture'] } $id, $pending);

mkdir("$dir/plain");
my $browser = Binarize::Browser->new("$dir/plain");
$browser->call('Emulation.setScriptExecutionDisabled',
               value => JSON::PP::true);
$browser->call('Page.navigate', url => "http://127.0.0.1:$port/gallery/");
ok($browser->wait_for('Page.loadEventFired', $patience), 'the page has loaded');

my $shown = main::shown($browser);
is($shown->[0]{size}, '200x100', 'a picture');
is($shown->[1]{size}, '480x360', 'a placeholder');
$browser->stop();
