#!/bin/sh
# Prints users.acl for a password, which is the first line of a file:
#
#     sh redis/make-acl.sh /etc/nginx/redis.secret > /etc/redis/users.acl
#
# Redis gets to know only the password's SHA-256.  Give the same file to
# "binarize_redis redis://binarize@host password_file=...".  A new password:
#
#     (umask 077; head -c 24 /dev/urandom | base64 > /etc/nginx/redis.secret)
#
# A second argument is the prefix of the directive, "binarize:" by default.

set -eu

[ $# -eq 1 ] || [ $# -eq 2 ] || {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

password=$(head -n 1 "$1" | tr -d '\r\n')
prefix=${2-binarize:}

[ -n "$password" ] || {
    echo "$0: $1 holds no password" >&2
    exit 1
}

case $prefix in
    *[!A-Za-z0-9:._-]*)
        echo "$0: a prefix with other than letters, digits and \":._-\"" >&2
        exit 1 ;;
esac

hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)

sed -e "s/@PASSWORD_SHA256@/$hash/" \
    -e "s/\([~&{]\)binarize:\*/\1$prefix*/g" "$(dirname "$0")/users.acl"
