use FindBin;
use lib "$FindBin::Bin/lib";

use Binarize;

our $pass = 'binarize_pass http://127.0.0.1:1/v5.0/ocr/binarizeimage;';

file_write('a', "one\n");
file_write('b', "two\n");

# What "nginx -t" says about http{}, without its last line.
sub check {
    my ($http) = @_;

    my $listen = 'listen 127.0.0.1:' . ($port + 2) . ';';

    $http =~ s/\bpass\b/$pass/g;
    $http =~ s/\bserver \{/server { $listen/g;

    mkdir("$dir/check");
    file_write("check/nginx.conf", $modules . <<"CONF");
error_log $dir/check/error.log;
pid $dir/check/nginx.pid;
events { }
http {
    binarize_credentials client_id=one client_secret_file=$dir/a;
    binarize_max_size 8m;
    access_log off;
$http
}
CONF

    my $said = `$nginx -t -p $dir/check/ -e $dir/check/x.log -c nginx.conf 2>&1`;
    my $ok = $? == 0 ? 'ok' : 'failed';

    $said =~ s/^nginx: //mg;
    $said =~ s{^[\d/]+ [\d:]+ (\[\w+\]) [\d#]+: }{$1 }mg;
    $said =~ s/^.*(?:syntax is ok|test is successful|test failed)\n//mg;
    $said =~ s/ in \Q$dir\E.*$//mg;

    return "$ok\n$said";
}

sub one {
    my ($arguments) = @_;
    return check("server { location /b/ { pass binarize_budget $arguments; } }");
}

run_file();

__DATA__

=== good ones
--- config
--- perl
for ('rate=5r/s', 'rate=30r/m burst=7', 'concurrency=4', 'quota=150/month',
     'quota=1/day', 'quota=2147483647/day', 'rate=1000000r/s',
     'rate=60000000r/m burst=1000000',
     'shared rate=1r/s burst=2 concurrency=3 quota=4/day; '
     . 'binarize_redis redis://127.0.0.1:1', 'concurrency=1 rate=1r/s')
{
    is(main::one($_), "ok\n", $_);
}


=== bad values
--- config
--- perl
for (qw(rate=5 rate=0r/s rate=-1r/s rate=r/s rate=1.5r/s rate=5r/h rate=5R/s
        rate= rate=1000001r/s rate=60000001r/m rate=99999999999999999999r/s
        rate=5r/s/ burst=0 burst=x burst=1000001 burst= concurrency=0
        concurrency=a concurrency=2147483648 quota=5 quota=0/day quota=5/week
        quota=/day quota=5/days quota=5/Day quota=2147483648/day Rate=5r/s
        foo on off shared=on))
{
    is(main::one("rate=1r/s $_"),
       "failed\n[emerg] binarize_budget: invalid parameter \"$_\"\n", $_)
        unless /^rate=/;
    is(main::one($_), "failed\n[emerg] binarize_budget: invalid parameter "
       . "\"$_\"\n", "$_ alone") unless $_ eq 'off';
}

for ('rate=1r/s rate=1r/s', 'burst=1 burst=1', 'shared shared',
     'quota=1/day quota=1/month', 'concurrency=1 concurrency=1')
{
    my ($second) = / (.*)/;
    is(main::one($_), "failed\n[emerg] binarize_budget: invalid parameter "
       . "\"$second\"\n", $_);
}

is(main::one('burst=5 concurrency=1'),
   "failed\n[emerg] binarize_budget: \"burst\" needs \"rate\"\n", 'burst');
is(main::one('shared'), "failed\n[emerg] binarize_budget: none of \"rate\", "
   . "\"concurrency\", \"quota\" is given\n", 'nothing');
like(main::one('shared rate=1r/s'), qr/^failed\n\[emerg\] binarize_budget: "shared" for binarize_pass ".*" needs binarize_redis\n$/, 'no Redis');
like(main::one(''), qr/^failed\n\[emerg\] invalid number of arguments in "binarize_budget" directive\n$/, 'no argument');
like(main::one('rate=1r/s; binarize_budget off'),
     qr/^failed\n\[emerg\] "binarize_budget" directive is duplicate\n$/,
     'twice');
like(main::one('off; binarize_budget rate=1r/s'),
     qr/^failed\n\[emerg\] "binarize_budget" directive is duplicate\n$/,
     'off and on');


=== two that differ
--- config
--- perl
my $differ = qr/^failed\n\[emerg\] binarize_budget: two that differ for the same credentials, of binarize_pass ".*" and ".*"\n$/;

for (['rate=1r/s', 'rate=2r/s'], ['rate=1r/s', 'rate=1r/s burst=2'],
     ['rate=1r/s', 'rate=1r/s concurrency=1'],
     ['quota=1/day', 'quota=1/month'], ['quota=1/day', 'quota=2/day'],
     ['rate=1r/s', 'rate=1r/s shared'])
{
    my ($one, $two) = @$_;

    like(main::check("binarize_redis redis://127.0.0.1:1;
                      server { location /a/ { pass binarize_budget $one; }
                               location /b/ { pass binarize_budget $two; } }"),
         $differ, "$one, $two");
}

for (['rate=60r/m', 'rate=1r/s burst=1'],
     ['rate=1r/s concurrency=1', 'concurrency=1 rate=1r/s'])
{
    my ($one, $two) = @$_;

    is(main::check("server { location /a/ { pass binarize_budget $one; }
                             location /b/ { pass binarize_budget $two; } }"),
       "ok\n", "the same: $one, $two");
}

my $other = "binarize_credentials client_id=two client_secret_file=$dir/b;";
my $pass2 = 'binarize_pass http://127.0.0.1:1/v5.0/ocr/deskewimage;';

is(main::check("server { location /a/ { pass binarize_budget rate=1r/s; }
                         location /b/ { $pass2 $other
                                        binarize_budget rate=2r/s; } }"),
   "ok\n", 'other credentials');

is(main::check("binarize_zone one:40m; binarize_zone two:40m;
                server { location /a/ { pass binarize_budget rate=1r/s;
                                        binarize_cache one; }
                         location /b/ { pass binarize_budget rate=2r/s;
                                        binarize_cache two; } }"),
   "ok\n", 'other zones');

like(main::check("binarize_zone one:40m; binarize_zone two:40m;
                  binarize_redis redis://127.0.0.1:1;
                  server { location /a/ { pass binarize_cache one;
                                          binarize_budget rate=1r/s shared; }
                           location /b/ { pass binarize_cache two;
                                          binarize_budget rate=2r/s shared; }
                         }"), $differ, 'other zones, one Redis');


=== a gateway without one is told of
--- config
--- perl
my $none = qr/\[warn\] no binarize_budget for binarize_pass "[^"]*"/;

like(main::check('server { location /a/ { pass } }'),
     qr/^ok\n$none: what is spent on its calls is not limited\n$/, 'one');
like(main::check('server { location /a/ { pass } location /b/ { pass }
                           location /c/ { pass binarize_budget off; } }'),
     qr/^ok\n$none and 2 more: what is spent on their calls is not limited\n$/,
     'three');
like(main::check('binarize_budget rate=1r/s;
                  server { location /a/ { pass } location /b/ { pass }
                           location /c/ { pass binarize_budget off; } }'),
     qr/^ok\n$none: what is spent on its calls is not limited\n$/, 'off');


=== inherited as a whole
--- config
--- perl
is(main::check('binarize_budget rate=1r/s;
                server { location /a/ { pass } }
                server { server_name b;
                         location /b/ { pass binarize_budget rate=1r/s; } }'),
   "ok\n", 'from http');
is(main::check('binarize_budget quota=1/day;
                server { binarize_budget rate=1r/s;
                         location /a/ { pass }
                         location /b/ { pass binarize_budget rate=1r/s; } }'),
   "ok\n", 'the innermost wins');
is(main::check('server { binarize_budget rate=1r/s;
                         location /a/ { pass
                             if ($arg_x) { binarize_budget rate=1r/s; }
                             limit_except GET { deny all; } } }'),
   "ok\n", 'in if and limit_except');
