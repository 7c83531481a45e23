# Strings that are empty are compared without a look at what is not there; the
# compiler's sanitizer sees to it.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use Test::More;

my $top = dirname(dirname(abs_path(__FILE__)));
my $src = '/usr/share/nginx/src';
my $objs = "$top/build/objs";

plan skip_all => 'no build for the installed nginx'
    unless -f "$objs/ngx_auto_config.h" && -d "$src/src/core";

my $dir = File::Temp::tempdir('binarize-XXXXXX', TMPDIR => 1, CLEANUP => 1);

open(my $c, '>', "$dir/strings.c") or die "strings.c: $!\n";
print $c <<'C';
#include "ngx_http_binarize.h"

int
main(void)
{
    ngx_str_t  none = ngx_null_string;
    ngx_str_t  a = ngx_string("a");
    ngx_str_t  b = ngx_string("b");

    return !(ngx_http_binarize_str_equal(&none, &none)
             && ngx_http_binarize_str_equal(&a, &a)
             && !ngx_http_binarize_str_equal(&none, &a)
             && !ngx_http_binarize_str_equal(&a, &b));
}
C
close($c);

my @includes = map { "-I$_" } "$top/ngx_http_binarize_module", $objs,
    map { "$src/src/$_" } qw(core event event/modules os/unix http
                             http/modules http/v2);

is(system('gcc', '-std=gnu11', '-fsanitize=undefined',
          '-fno-sanitize-recover=all', @includes, '-o', "$dir/strings",
          "$dir/strings.c"), 0, 'it compiles');
is(system("$dir/strings 2> $dir/said"), 0, 'equal and not');

done_testing();
