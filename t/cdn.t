use FindBin;
use lib "$FindBin::Bin/lib";

# nginx's proxy_cache in front of the gateway.

use Binarize;
use Binarize::Cdn;

our $front = $port + 2;

our $http = Binarize::Cdn::http() . <<"CONFIG";
    proxy_cache_path $dir/cache keys_zone=cdn:2m max_size=100m;

    server {
        listen 127.0.0.1:$front;
        access_log off;

        proxy_cache cdn;
        proxy_cache_revalidate on;
        proxy_cache_lock on;
        proxy_http_version 1.1;

        location / {
            proxy_pass http://127.0.0.1:$port;
        }
        location /slice/ {
            slice 64k;
            proxy_cache_key \$uri\$slice_range;
            proxy_set_header Range \$slice_range;
            proxy_pass http://127.0.0.1:$port/b/;
        }
    }
CONFIG

our $config = Binarize::Cdn::config();

run_file();

__DATA__

=== proxy_cache
--- http_config eval: $::http
--- config eval: $::config
--- perl
Binarize::Cdn::check($main::front);


=== slice: in pieces, held together by the ETag (RFC 9110 14.2)
--- http_config eval: $::http
--- config eval: $::config
--- perl
my $id = task(size => 300_000);
my $png = cloud->result($id);
my $url = "/slice/$id.png";

answer_is(get($url, -port => $main::front, Range => 'bytes=100000-200000'),
          [206, body => substr($png, 100_000, 100_001)], 'a range');
answer_is(get($url, -port => $main::front), [200, body => $png], 'all of it');
answer_is(get($url, -port => $main::front), [200, body => $png], 'once more');
Binarize::Cdn::statuses_are("/b/$id.png", '206 206 206 206 206',
                            'each slice was asked for once');
is(fetches($id), 1, 'one cloud call');
