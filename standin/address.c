#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"


socklen_t
address_parse(const char *text, struct sockaddr_storage *ss)
{
    char                  host[INET6_ADDRSTRLEN + 2], *end;
    size_t                size;
    const char           *colon;
    unsigned long         port;
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    memset(ss, 0, sizeof(*ss));
    colon = strrchr(text, ':');

    if (colon == NULL || !isdigit((unsigned char) colon[1])) {
        return 0;
    }

    size = (size_t) (colon - text);
    port = strtoul(colon + 1, &end, 10);

    if (*end || port > 65535 || size < 2 || size >= sizeof(host)) {
        return 0;
    }

    memcpy(host, text, size);
    host[size] = '\0';

    if (host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        sin6 = (struct sockaddr_in6 *) ss;
        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons((in_port_t) port);

        return inet_pton(AF_INET6, host + 1, &sin6->sin6_addr) == 1
               ? sizeof(*sin6) : 0;
    }

    sin = (struct sockaddr_in *) ss;
    sin->sin_family = AF_INET;
    sin->sin_port = htons((in_port_t) port);

    return inet_pton(AF_INET, host, &sin->sin_addr) == 1 ? sizeof(*sin) : 0;
}


void
address_text(const struct sockaddr_storage *ss, char *out, size_t size)
{
    char                        host[INET6_ADDRSTRLEN];
    const struct sockaddr_in   *sin;
    const struct sockaddr_in6  *sin6;

    if (ss->ss_family == AF_INET6) {
        sin6 = (const struct sockaddr_in6 *) ss;
        inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%u", host, ntohs(sin6->sin6_port));
        return;
    }

    sin = (const struct sockaddr_in *) ss;
    inet_ntop(AF_INET, &sin->sin_addr, host, sizeof(host));
    snprintf(out, size, "%s:%u", host, ntohs(sin->sin_port));
}
