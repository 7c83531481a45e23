#!/bin/sh
# Installs the Debian packages that are missing for the given purposes:
#
#   scripts/deps.sh [build|standin|run|test|static|browser|cdn|bench]...
#
# Needs apt and root or sudo; does nothing, and needs neither, when all is
# there.  Debian 12 or later.  Daemons that come along are neither started
# nor enabled.  The machine's apt configuration is not changed.
#
#   scripts/deps.sh -x directory package...
#
# Unpacks packages into a directory instead, without what they depend on; the
# machine's own are as they were.
#
#   scripts/deps.sh -s directory package
#
# Unpacks what a source package is made from, without Debian's patches.

# shellcheck disable=SC2086,SC2016

set -eu
umask 022

export LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive
export DEBCONF_NONINTERACTIVE_SEEN=true
export NEEDRESTART_SUSPEND=1

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

build="gcc libc6-dev make nginx nginx-dev libcjson-dev libhiredis-dev
    libssl-dev"
standin="gcc libc6-dev make pkg-config libcjson-dev libevent-dev
    libleptonica-dev libssl-dev zlib1g-dev"
run="nginx redis-server redis-tools ca-certificates curl jq"
test="$build $standin $run clang libclang-rt-dev libcmocka-dev openssl perl
    procps libtest-nginx-perl nghttp2-client libnginx-mod-http-image-filter"
static="libgd-dev"
browser="chromium fonts-dejavu-core"
cdn="varnish gcc libc6-dev"
bench="libnginx-mod-http-lua lua-cjson perl valgrind varnish"

# packages that are only in a later suite than the machine's, and are
# "Architecture: all", with dependencies that the machine's suite satisfies
later="libtest-nginx-perl"
later_suites="trixie forky sid"

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}") || codename=
policy=/usr/sbin/policy-rc.d


die()
{
    echo "deps: $*" >&2
    exit 1
}


as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@" < /dev/null

    elif [ -t 0 ] && [ -t 2 ]; then
        sudo -- env DEBIAN_FRONTEND=$DEBIAN_FRONTEND LC_ALL=$LC_ALL "$@"

    else
        sudo -n -- env DEBIAN_FRONTEND=$DEBIAN_FRONTEND LC_ALL=$LC_ALL "$@" \
            < /dev/null
    fi
}


apt_get()
{
    as_root apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}


# the given packages that are not installed
missing()
{
    dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2> /dev/null \
        | sed -n 's/ installed$//p' > "$tmp/installed"

    printf '%s\n' "$@" | sort -u | grep -vxF -f "$tmp/installed" || true
}


# The machine's own source of its suite $1, as a source of the suite $2 and of
# the type $4: the first that is found, with its mirror, key and options, in
# $3.list or $3.sources.
later_source()
{
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do

        [ -f "$file" ] || continue

        awk -v old="$1" -v new="$2" -v type="$4" '
            $1 == "deb" {
                options = ""

                if (match($0, /\[[^]]*\]/)) {
                    options = substr($0, RSTART, RLENGTH) " "
                    $0 = substr($0, 1, RSTART - 1) \
                         substr($0, RSTART + RLENGTH)
                }

                if ($3 == old && / main( |$)/) {
                    print type " " options $2 " " new " main"
                    exit
                }
            }' "$file" > "$3.list"

        if [ -s "$3.list" ]; then
            return
        fi
    done

    rm -f "$3.list"

    for file in /etc/apt/sources.list.d/*.sources; do

        [ -f "$file" ] || continue

        # a stanza ends at an empty line, a field goes on in indented lines
        awk -v old="$1" -v new="$2" -v type="$4" '
            function has(field, word) {
                return (" " tolower(value[field]) " ") \
                       ~ ("[ \n\t]" word "[ \n\t]")
            }

            function stanza() {
                if (has("types", "deb") && has("suites", old) \
                    && has("components", "main") && !has("enabled", "no"))
                {
                    print "Types: " type "\nSuites: " new "\nComponents: main"
                    printf "%s", rest
                    found = 1
                    exit
                }

                split("", value)
                rest = ""
            }

            /^#/ { next }
            /^[ \t]*$/ { stanza(); next }

            /^[^ \t]/ {
                field = tolower($0)
                sub(/[ \t]*:.*/, "", field)
                line = $0
                sub(/^[^:]*:/, "", line)
                value[field] = line
            }

            /^[ \t]/ { value[field] = value[field] "\n" $0 }

            field !~ /^(types|suites|components|enabled)$/ {
                rest = rest $0 "\n"
            }

            END { if (!found) stanza() }' "$file" > "$3.sources"

        if [ -s "$3.sources" ]; then
            return
        fi
    done

    rm -f "$3.sources"
    return 1
}


# $options are then those of an apt whose sources, lists and cache are its own:
# nothing can come from another suite than $1, or the machine's if it is empty.
# $2: "deb-src" for what packages are made from.
own_apt()
{
    parts=$tmp/parts

    rm -rf "$parts" "$tmp/state" "$tmp/cache"
    mkdir -p "$parts" "$tmp/state/lists/partial" "$tmp/cache/archives/partial"

    for known in "$codename" stable oldstable none; do

        [ "$known" != none ] \
            || die "found no apt source of the suite \"$codename\""

        if later_source "$known" "${1:-$known}" "$parts/later" "${2:-deb}"; then
            break
        fi
    done

    options="-o Dir::Etc::SourceList=/dev/null
        -o Dir::Etc::SourceParts=$parts
        -o Dir::Etc::Preferences=/dev/null
        -o Dir::Etc::PreferencesParts=/dev/null
        -o Dir::State=$tmp/state
        -o Dir::State::status=/var/lib/dpkg/status
        -o Dir::Cache=$tmp/cache
        -o Acquire::Languages=none
        -o Acquire::Check-Valid-Until=false
        -o Acquire::Retries=3
        -o APT::Sandbox::User=root"
}


# Downloads the packages $@ from the first later suite that has them all.
fetch_later()
{
    mkdir -p "$tmp/debs"

    for suite in $later_suites; do

        [ "$suite" != "$codename" ] || continue

        own_apt "$suite"

        echo "deps: looking for $* in the suite \"$suite\""

        if apt_get $options update > "$tmp/log" 2>&1 \
           && (cd "$tmp/debs" && apt_get $options download "$@") \
              >> "$tmp/log" 2>&1
        then
            return
        fi
    done

    cat "$tmp/log" >&2
    die "$* is in none of the suites $later_suites of this machine's mirror"
}


# Downloads what the source package $2 is made from, in the machine's own
# suite, and unpacks it into the directory $1.
unpack_source()
{
    mkdir -p "$tmp/source" "$1"

    own_apt "" deb-src

    (cd "$tmp/source" \
     && apt-get -q $options update \
     && apt-get -q $options source --download-only --tar-only "$2") \
        > "$tmp/log" 2>&1 \
        || { cat "$tmp/log" >&2; die "cannot download the source of $2"; }

    tar -xf "$tmp"/source/*.orig.tar.* -C "$1" --strip-components=1 \
        || die "cannot unpack the source of $2"
}


# Downloads the packages $2... and unpacks them into the directory $1.
unpack()
{
    into=$1
    shift

    apt-cache show "$@" > /dev/null 2>&1 || apt_get update \
        || die "apt-get update failed"

    mkdir -p "$tmp/debs" "$into"

    (cd "$tmp/debs" \
     && apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 \
            download "$@") > "$tmp/log" 2>&1 \
        || { cat "$tmp/log" >&2; die "cannot download" "$@"; }

    for deb in "$tmp"/debs/*.deb; do
        dpkg-deb -x "$deb" "$into" || die "cannot unpack $deb"
    done
}


# invoke-rc.d starts nothing while this policy is in place
services_hold()
{
    as_root sh -c '
        if [ -e "$1" ] && [ ! -e "$1.held" ]; then
            mv "$1" "$1.held"
        fi
        printf "#!/bin/sh\nexit 101\n" > "$1"
        chmod 755 "$1"' sh $policy
}


services_release()
{
    as_root sh -c '
        rm -f "$1"
        if [ -e "$1.held" ]; then
            mv "$1.held" "$1"
        fi' sh $policy
}


finish()
{
    status=$?
    trap - EXIT

    if [ -n "$held" ]; then
        services_release || status=1
    fi

    rm -rf "$tmp" 2> /dev/null || as_root rm -rf "$tmp"
    exit $status
}


[ $# -gt 0 ] || set -- build

if [ "$1" = -x ] || [ "$1" = -s ]; then
    [ $# -ge 3 ] || die "usage: deps.sh $1 directory package..."

    held=
    tmp=$(mktemp -d)
    trap finish EXIT

    if [ "$1" = -x ]; then
        shift
        unpack "$@"
    else
        unpack_source "$2" "$3"
    fi

    exit 0
fi

wanted=
for purpose; do
    case $purpose in
        build)   wanted="$wanted $build" ;;
        standin) wanted="$wanted $standin" ;;
        run)     wanted="$wanted $run" ;;
        test)    wanted="$wanted $test" ;;
        static)  wanted="$wanted $static" ;;
        browser) wanted="$wanted $browser" ;;
        cdn)     wanted="$wanted $cdn" ;;
        bench)   wanted="$wanted $bench" ;;
        *)       die "unknown purpose \"$purpose\"" ;;
    esac
done

command -v apt-get > /dev/null && command -v dpkg-query > /dev/null \
    || die "this machine has no apt; the packages wanted are:" $wanted

held=
tmp=$(mktemp -d)
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

need=$(missing $wanted)

[ -n "$need" ] || exit 0

echo "deps: installing" $need

if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null \
        || die "needs root or sudo to install:" $need
    as_root true || die "sudo refused; needs root to install:" $need
fi

chmod 755 "$tmp"

apt_get update || die "apt-get update failed"

from_here=
from_later=

for package in $need; do
    if printf '%s\n' $later | grep -qxF "$package" \
       && ! apt-cache show "$package" > /dev/null 2>&1
    then
        from_later="$from_later $package"
    else
        from_here="$from_here $package"
    fi
done

if [ -n "$from_later" ]; then
    fetch_later $from_later
    from_here="$from_here $(echo "$tmp"/debs/*.deb)"
fi

held=yes
services_hold

apt_get install -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold $from_here \
    || die "apt-get install failed"

# what was installed here only for us does not start at the next boot either
for service in nginx redis-server varnish; do
    if printf '%s\n' $need | grep -qxF $service \
       && command -v systemctl > /dev/null
    then
        as_root systemctl -q disable $service.service > /dev/null 2>&1 || true
    fi
done

need=$(missing $wanted)
[ -z "$need" ] || die "still not installed:" $need
