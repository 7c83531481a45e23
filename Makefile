# make                      build/ngx_http_binarize_module.so for the installed
#                           nginx (Debian's nginx-dev)
# make NGINX_SRC=dir        the same for an nginx source tree, a release or a
#                           checkout of its repository; configured
#                           --with-compat
# make nginx NGINX_SRC=dir  also that tree's nginx, build/nginx
# make static NGINX_SRC=dir that tree's nginx with the module linked in, and
#                           image_filter (libgd-dev): build/static/nginx
# make install              into nginx's modules directory; DESTDIR is honoured
# make check                ./test
# make fuzz                 the fuzzers, FUZZ_SECONDS each (60)
# make sim                  the simulated fleet, SIM_SECONDS (60); SIM_SEED=seed
#                           one world of it, SIM_TRACE=1 what happens there
# make bench                the benchmarks; PARTS="hit miss" only some, see
#                           bench/; OLD=other.so that build beside this one
# make clean
#
# CC (gcc), CPPFLAGS, CFLAGS, LDFLAGS and BUILD (the directory, build) may be
# given; V=1 shows the commands.  One make at a time builds in a directory: a
# second one waits, and finds the work done.
#
# nginx and the module together under ASan and UBSan, and t/ with them; gcc's
# UBSan asks for its options when nginx has written over them:
#
#   export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8
#   make static NGINX_SRC=dir BUILD=build/asan CC=clang CPPFLAGS= \
#       CFLAGS='-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined' \
#       LDFLAGS=-fsanitize=address,undefined
#   TEST_NGINX_BINARY=$PWD/build/asan/static/nginx TEST_NGINX_LOAD_MODULES= \
#       UBSAN_OPTIONS=suppressions=$PWD/t/ubsan.suppress prove t/basic.t

ifeq ($(origin CC),default)
CC =		gcc
endif

NGINX_SRC =	/usr/share/nginx/src
BUILD =		build
FUZZ_SECONDS =	60

CPPFLAGS =	-D_FORTIFY_SOURCE=2
CFLAGS =	-g -O2 -fstack-protector-strong
LDFLAGS =	-Wl,-z,relro -Wl,-z,now

# nginx's callbacks have parameters that not every one of them uses; not given
# to configure, whose feature tests would fail by warnings
WARNINGS =	-Wall -Wextra -Werror -Wno-unused-parameter

# for a tree that does not say how it is built, what Debian's nginx has
NGX_CONF =	--with-compat --with-debug --with-pcre-jit --with-threads \
		--with-http_ssl_module --with-http_v2_module \
		--with-http_stub_status_module --with-http_realip_module \
		--with-http_auth_request_module --with-http_slice_module \
		--with-http_addition_module --with-http_sub_module \
		--with-http_gunzip_module --with-http_gzip_static_module \
		--with-http_secure_link_module

# --add-module links it into nginx, see static
NGX_ADD =	--add-dynamic-module


module =	ngx_http_binarize_module
src :=		$(abspath $(NGINX_SRC))
build :=	$(abspath $(BUILD))
objs :=		$(build)/objs

sources :=	$(sort $(wildcard $(module)/*.[ch] $(module)/*/*.[ch] \
		redis/*.lua))

# a new list of sources, compiler, flags or nginx needs a new configure
inputs :=	$(strip $(src) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) \
		$(WARNINGS) $(NGX_CONF) $(NGX_ADD) $(CURDIR) $(sources))

ngx_make =	$(MAKE) $(if $(V),,-s) --no-print-directory -f $(objs)/Makefile \
		-C $(src) CC='$(CC) $(WARNINGS)'


.PHONY: all nginx static install check fuzz sim bench clean locked-all \
		locked-nginx FORCE

all nginx:
	@mkdir -p $(build)
	+@flock -o $(build)/lock $(MAKE) --no-print-directory locked-$@

locked-all: $(build)/$(module).so

$(build)/$(module).so: $(objs)/configured FORCE
	+@$(ngx_make) modules
	@cmp -s $(objs)/$(module).so $@ \
	    || { cp $(objs)/$(module).so $@.new && mv -f $@.new $@; }

locked-nginx: $(if $(findstring dynamic,$(NGX_ADD)),locked-all, \
		$(objs)/configured)
	+@$(ngx_make) binary
	@cmp -s $(objs)/nginx $(build)/nginx \
	    || { cp $(objs)/nginx $(build)/nginx.new && mv -f $(build)/nginx.new $(build)/nginx; }

static:
	@test -f $(src)/src/core/nginx.c || { \
	    echo "no nginx sources in $(src): set NGINX_SRC" >&2; exit 1; }
	@$(MAKE) --no-print-directory nginx BUILD=$(build)/static \
	    NGX_ADD=--add-module \
	    NGX_CONF='$(NGX_CONF) --with-http_image_filter_module'

$(objs)/configured: $(objs)/inputs Makefile config config.make \
		$(wildcard $(src)/src/core/nginx.h)
	@test -f $(src)/src/core/nginx.h || { \
	    echo "no nginx sources in $(src): install the package" \
	         "nginx-dev or set NGINX_SRC" >&2; exit 1; }
	@cd $(src) && CC='$(CC)' bash -c '\
	    flags=($(NGX_CONF)); \
	    configure=./configure; \
	    test -x $$configure || configure=auto/configure; \
	    if test -f conf_flags; then \
	        . ./conf_flags; flags=("$${NGX_CONF_FLAGS[@]}"); \
	    fi; \
	    unset CFLAGS; \
	    $$configure "$${flags[@]}" --builddir=$(objs) \
	        --with-cc-opt="-std=gnu11 -fPIC $(CPPFLAGS) $(CFLAGS)" \
	        --with-ld-opt="-fPIC $(LDFLAGS)" \
	        $(NGX_ADD)=$(CURDIR)' > $(objs)/configure.log 2>&1 \
	    || { tail -n 20 $(objs)/configure.log >&2; exit 1; }
	@touch $@

$(objs)/inputs: FORCE
	@mkdir -p $(objs)
	@echo '$(inputs)' | cmp -s - $@ || echo '$(inputs)' > $@

install: all
	@dir=$$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p'); \
	dir=$(DESTDIR)$${dir:-/usr/lib/nginx/modules}; \
	install -d $$dir && \
	install -m 644 $(build)/$(module).so $$dir/ && \
	echo "installed $$dir/$(module).so"

check:
	./test

fuzz:
	@$(MAKE) -C t/fuzz BUILD=$(build)/fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) \
	    check

sim:
	@$(MAKE) --no-print-directory -C t/sim BUILD=$(build)/sim run

bench: all
	@./scripts/deps.sh build run bench \
	    || echo "bench: goes on without what could not be installed"
	@$(MAKE) -C bench BUILD=$(build)/bench \
	    MODULE=$(build)/$(module).so PARTS='$(PARTS)' OLD='$(abspath $(OLD))' \
	    $(if $(PARTS),compare,run)

clean:
	rm -rf $(build)
