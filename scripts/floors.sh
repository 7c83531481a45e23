#!/bin/sh
# Checks that the module's rooms call, and include, only what their floors
# allow.
#
#   scripts/floors.sh [build]
#
# The rooms, their floors and what a room may use on its own floor stand in
# ARCHITECTURE.md, in the table whose first column is "floor"; known breaches
# in the one whose first columns are "from" and "to".  What is used is seen in
# the symbols (nm) of the objects that make has left in build, and in the
# files' own includes.  Only the ngx_module_t may be used from anywhere.

set -eu
cd "$(dirname "$0")/.."

export LC_ALL=C

build=${1:-build}
objs=$build/objs/addon
module=ngx_http_binarize_module
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

test -d "$objs" || { echo "floors: no objects in $objs, call make" >&2; exit 1; }


# The room of a path in the module's folder; of the files beside the rooms the
# header is everybody's, the others are the top's.
room()
{
    sed "s|^$module/||; s|^\\([a-z0-9]*\\)/.*|\\1|;
         s|^ngx_http_binarize.h$|common|; s|^ngx_http_binarize.*|module|"
}


# "symbol room" of all that the rooms define and others can see, and "symbol
# file room" of what they use
find $module -name '*.c' | while read -r source; do
    file=${source#"$module"/}
    from=$(echo "$source" | room)
    object=$objs/$(basename "$(dirname "$source")")/$(basename "$source" .c).o

    nm -g -P "$object" | awk -v room="$from" -v file="$file" '
        { print ($2 == "U") ? "used" : "defined", $1, file, room }'
done > "$tmp/symbols"

sed -n 's/^used //p' "$tmp/symbols" | sort > "$tmp/used"
awk '$1 == "defined" { print $2, $4 }' "$tmp/symbols" | sort > "$tmp/defined"

# "room room what file"
{
    join "$tmp/used" "$tmp/defined" \
        | awk '$1 != "ngx_http_binarize_module" && $3 != $4 {
                   print $3, $4, $1, $2
               }'

    find $module -name '*.[ch]' | while read -r file; do
        from=$(echo "$file" | room)

        sed -n 's/^#include "\([^"]*\)"$/\1/p' "$file" \
            | while read -r header; do

            if [ -f "$module/$header" ]; then
                to=$(echo "$header" | room)

            elif [ -f "$(dirname "$file")/$header" ]; then
                to=$from

            else
                continue
            fi

            [ "$from" = "$to" ] || echo "$from $to $header ${file#$module/}"
        done
    done
} > "$tmp/uses"

# the tables
awk -F '|' -v OFS='|' '
    function words(text) {
        gsub(/[`,]/, " ", text)
        gsub(/^ +| +$/, "", text)
        return text
    }

    /^\|/ { for (i = 2; i < NF; i++) $i = words($i) }
    /^\|/ && $2 == "floor" { table = "floors"; next }
    /^\|/ && $2 == "from" && $3 == "to" { table = "breaches"; next }
    !/^\|/ { table = ""; next }
    /^\|[ -]*-/ { next }
    table == "floors" { print "room " $3 " " $2 " " $5 }
    table == "breaches" { print "breach " $2 " " $3 }
' ARCHITECTURE.md > "$tmp/tables"

awk '
    $1 == "room" {
        floor[$2] = $3
        for (i = 4; i <= NF; i++) beside[$2, $i] = 1
        nrooms++
        next
    }

    $1 == "breach" { known[$2, $3] = 1; next }

    !($1 in floor) { print "floors: " $4 ": no room \"" $1 "\""; bad = 1; next }
    !($2 in floor) { print "floors: " $4 ": no room \"" $2 "\""; bad = 1; next }

    floor[$1] > floor[$2] || ($1, $2) in beside { next }

    ($1, $2) in known { seen[$1, $2] = 1; next }

    !told[$4, $3]++ {
        printf "floors: %s (%s, floor %s) uses %s of %s (floor %s)\n",
               $4, $1, floor[$1], $3, $2, floor[$2]
        bad = 1
    }

    END {
        if (nrooms == 0) {
            print "floors: no table of rooms in ARCHITECTURE.md"
            bad = 1
        }

        for (pair in known) {
            if (!(pair in seen)) {
                split(pair, ends, SUBSEP)
                print "floors: " ends[1] " uses nothing of " ends[2] \
                      " any more: strike the known breach"
                bad = 1
            }
        }

        exit bad
    }' "$tmp/tables" "$tmp/uses" > "$tmp/said" || { cat "$tmp/said" >&2; exit 1; }

echo "floors: $(wc -l < "$tmp/uses") uses, all as ARCHITECTURE.md has it"
