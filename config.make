# Read by nginx's configure when it writes its Makefile: the Lua scripts of
# redis/ go into a header among the objects, which is on the include path.

ngx_binarize_lua=`ls $ngx_addon_dir/redis/*.lua 2>/dev/null`
ngx_binarize_lua=`echo $ngx_binarize_lua`

cat << END                                                    >> $NGX_MAKEFILE

$NGX_OBJS/ngx_http_binarize_scripts.h: $ngx_binarize_lua \\
		$ngx_addon_dir/redis/embed.sh $NGX_AUTO_CONFIG_H
	sh $ngx_addon_dir/redis/embed.sh $ngx_binarize_lua > \$@.tmp
	mv \$@.tmp \$@

END
