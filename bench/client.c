
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"


static client_event_e client_read_head(client_t *client, int no_body);
static int client_parse_head(client_t *client, char *end);


uint64_t
client_now_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


int
client_address(const char *text, struct sockaddr_in *address)
{
    char        host[64];
    const char  *colon;

    colon = strrchr(text, ':');

    if (colon == NULL || (size_t) (colon - text) >= sizeof(host)) {
        return -1;
    }

    memcpy(host, text, colon - text);
    host[colon - text] = '\0';

    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_port = htons(atoi(colon + 1));

    return inet_pton(AF_INET, host, &address->sin_addr) == 1 ? 0 : -1;
}


int
client_open(client_t *client, const struct sockaddr_in *address)
{
    int  on;

    memset(client, 0, sizeof(*client));

    client->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (client->fd == -1
        || connect(client->fd, (const struct sockaddr *) address,
                   sizeof(*address))
           == -1)
    {
        return -1;
    }

    on = 1;
    (void) setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    return fcntl(client->fd, F_SETFL, O_NONBLOCK);
}


int
client_send(client_t *client, const char *request, size_t size)
{
    client->head_size = 0;
    client->status = 0;
    client->length = -1;
    client->left = 0;
    client->closes = 0;
    client->started_ns = client_now_ns();

    return send(client->fd, request, size, MSG_NOSIGNAL) == (ssize_t) size
           ? 0 : -1;
}


client_event_e
client_read(client_t *client, int no_body)
{
    ssize_t         n;
    client_event_e  event;

    if (client->status == 0) {
        event = client_read_head(client, no_body);

        if (event != CLIENT_AGAIN || client->status == 0) {
            return event;
        }
    }

    for ( ;; ) {

        n = recv(client->fd, NULL, client->left, MSG_TRUNC);

        if (n == -1) {
            return (errno == EAGAIN) ? CLIENT_AGAIN : CLIENT_ERROR;
        }

        if (n == 0) {
            return CLIENT_ERROR;
        }

        client->left -= n;

        if (client->left == 0) {
            return CLIENT_DONE;
        }
    }
}


static client_event_e
client_read_head(client_t *client, int no_body)
{
    char     *p, *end;
    size_t    body;
    ssize_t   n;

    n = recv(client->fd, client->head + client->head_size,
             sizeof(client->head) - 1 - client->head_size, 0);

    if (n == -1) {
        return (errno == EAGAIN) ? CLIENT_AGAIN : CLIENT_ERROR;
    }

    if (n == 0) {
        return CLIENT_ERROR;
    }

    p = client->head;
    client->head_size += n;
    p[client->head_size] = '\0';

    end = memmem(p, client->head_size, "\r\n\r\n", 4);

    if (end == NULL) {
        return (client->head_size == sizeof(client->head) - 1)
               ? CLIENT_ERROR : CLIENT_AGAIN;
    }

    if (client_parse_head(client, end) == -1) {
        return CLIENT_ERROR;
    }

    if (no_body || client->status == 304 || client->status == 204) {
        client->left = 0;

    } else if (client->length == -1) {
        return CLIENT_ERROR;

    } else {
        client->left = client->length;
    }

    body = p + client->head_size - (end + 4);

    if ((int64_t) body > client->left) {
        return CLIENT_ERROR;
    }

    client->left -= body;

    return client->left ? CLIENT_AGAIN : CLIENT_DONE;
}


static int
client_parse_head(client_t *client, char *end)
{
    char  *line;

    if (strncmp(client->head, "HTTP/1.", 7) != 0
        || end - client->head < 12)
    {
        return -1;
    }

    client->status = atoi(client->head + 9);

    for (line = client->head; line < end; line += 2) {

        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            client->length = atoll(line + 15);

        } else if (strncasecmp(line, "Connection: close", 17) == 0) {
            client->closes = 1;
        }

        line = memmem(line, end + 2 - line, "\r\n", 2);
    }

    return client->status ? 0 : -1;
}
