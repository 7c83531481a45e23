# What becomes of pictures.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use File::Temp qw(tempdir);
use Test::More;

use Standin qw(pixels);

my $dir = tempdir(CLEANUP => 1);
my $s = Standin->new('--pending', 0, '--processing', 0);
my $samples = "$FindBin::Bin/../../../shared/samples";

(my $make_sample = $ENV{STANDIN}) =~ s{[^/]+$}{make-sample};

sub slurp {
    my ($name) = @_;
    open(my $f, '<:raw', $name) or die "$name: $!";
    local $/;
    return scalar readline($f);
}

# the project's own page
is(system($make_sample, "$dir/page.jpg"), 0, 'sample: made');
is(system($make_sample, "$dir/again.jpg"), 0, 'sample: made again');
is(system($make_sample, "$dir/other.jpg", 7), 0, 'sample: another');
ok(slurp("$dir/page.jpg") eq slurp("$dir/again.jpg"), 'sample: the same');
ok(slurp("$dir/page.jpg") ne slurp("$dir/other.jpg"), 'sample: by seed');

my $result = $s->work(slurp("$dir/page.jpg"));
my @rows = pixels($result, 1000);
is(scalar(@rows), 1414, 'page: size kept');

my %shades;
$shades{$_}++ for map { @$_ } @rows;
is(join(' ', sort { $a <=> $b } keys %shades), '0 255',
   'page: black and white');

my $ink = ($shades{0} // 0) / 1414000;
cmp_ok($ink, '>', 0.03, 'page: print is black');
cmp_ok($ink, '<', 0.15, 'page: paper is white');

# nothing is printed on the margins, the darker ones included
my $specks = grep { $_ == 0 } map { @{ $rows[$_] }[0 .. 40, 960 .. 999] }
             0 .. 1413;
is($specks, 0, 'page: clean margins');

# other formats
for my $format (qw(png tiff bmp webp)) {
    SKIP: {
        skip "ImageMagick cannot write $format", 1
            if system("convert $dir/page.jpg -resize 400x $dir/page.$format"
                      . " 2>$dir/err");
        is(substr($s->work(slurp("$dir/page.$format")), 12, 12),
           pack('a4NN', 'IHDR', 400, 566), "$format");
    }
}

# pictures that are no pages
like($s->work("\x89PNG\r\n\x1a\n" . 'x' x 100), qr/image/i, 'damaged PNG');
like($s->work(substr(slurp("$dir/page.jpg"), 0, 300)), qr/image/i, 'cut JPEG');

SKIP: {
    skip 'ImageMagick is missing', 4
        if system("convert -size 1x1 xc:gray40 $dir/dot.png 2>$dir/err");

    for my $case (['1x1', 'xc:gray40'], ['8x38', 'xc:white'],
                  ['600x2', 'xc:black'], ['300x300', 'plasma:'])
    {
        my ($size, $fill) = @$case;
        my ($w, $h) = split /x/, $size;
        system("convert -size $size $fill -depth 8 $dir/odd.png");
        is(substr($s->work(slurp("$dir/odd.png")), 12, 12),
           pack('a4NN', 'IHDR', $w, $h), "$size $fill");
    }
}

# the cloud's own result of the same picture
SKIP: {
    skip 'no samples of the cloud', 1 unless -e "$samples/color-image.png";

    my @ours = map { @$_ } pixels($s->work(slurp("$samples/color-image.png")),
                                  600);
    my @cloud = map { @$_ } pixels(slurp("$samples/binarized-image.png"), 600);
    my $agree = grep { $ours[$_] == $cloud[$_] } 0 .. $#cloud;

    diag(sprintf('%.3f %% of the pixels agree with the cloud',
                 100 * $agree / @cloud));
    cmp_ok($agree / @cloud, '>', 0.994, 'agrees with the cloud');
}

is($s->stop(), 0, 'clean end');
# libjpeg complains of the damaged one there
unlike($s->file('err'), qr/Sanitizer|runtime error/, 'no sanitizer output');

done_testing();
