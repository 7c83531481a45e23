#!/bin/sh
# Prints a C header that holds the given Lua scripts as strings:
# redis/lease-release.lua becomes ngx_http_binarize_lua_lease_release[].

set -eu

echo '/* Made by redis/embed.sh from the Lua scripts; not to be edited. */'
echo
echo '#ifndef _NGX_HTTP_BINARIZE_SCRIPTS_H_INCLUDED_'
echo '#define _NGX_HTTP_BINARIZE_SCRIPTS_H_INCLUDED_'

for file; do
    name=$(basename "$file" .lua | tr -c 'A-Za-z0-9\n' '_')

    printf '\n\nstatic const char  ngx_http_binarize_lua_%s[] =' "$name"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' \
        -e '1s/^/\n/' "$file" | sed -e '$s/$/;/'
done

printf '\n\n#endif /* _NGX_HTTP_BINARIZE_SCRIPTS_H_INCLUDED_ */\n'
