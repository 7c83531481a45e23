/*
 * A stand-in for Aspose.OCR Cloud: the calls of its binarization service,
 * on loopback, with tests' means to watch it and to make it misbehave.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "cloud.h"
#include "control.h"
#include "token.h"
#include "worker.h"


enum {
    OPTION_LISTEN = 1,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TLS_CLIENT_CA,
    OPTION_CLIENT_ID,
    OPTION_CLIENT_SECRET_FILE,
    OPTION_EXPIRES_IN,
    OPTION_PENDING,
    OPTION_PROCESSING,
    OPTION_RETENTION,
    OPTION_KEEPALIVE,
    OPTION_LOCK_AFTER,
    OPTION_LOCK_FOR,
    OPTION_LOG,
    OPTION_HELP
};


typedef struct {
    http_options_t   http;
    token_options_t  token;
    const char      *client_id;         /* waits for its secret */
    size_t           npairs;
} settings_t;


static int main_options(int argc, char **argv, settings_t *s, cloud_t *cloud);
static int main_option(int option, const char *value, settings_t *s,
    cloud_t *cloud);
static int main_number(const char *value, uint64_t *n);
static int main_secret(settings_t *s, const char *file);
static void main_usage(FILE *out);
static void main_raise_files(void);
static void main_on_signal(evutil_socket_t fd, short what, void *data);


static const struct option  options[] = {
    { "listen", required_argument, NULL, OPTION_LISTEN },
    { "tls-cert", required_argument, NULL, OPTION_TLS_CERT },
    { "tls-key", required_argument, NULL, OPTION_TLS_KEY },
    { "tls-client-ca", required_argument, NULL, OPTION_TLS_CLIENT_CA },
    { "client-id", required_argument, NULL, OPTION_CLIENT_ID },
    { "client-secret-file", required_argument, NULL,
      OPTION_CLIENT_SECRET_FILE },
    { "expires-in", required_argument, NULL, OPTION_EXPIRES_IN },
    { "pending", required_argument, NULL, OPTION_PENDING },
    { "processing", required_argument, NULL, OPTION_PROCESSING },
    { "retention", required_argument, NULL, OPTION_RETENTION },
    { "keepalive", required_argument, NULL, OPTION_KEEPALIVE },
    { "lock-after", required_argument, NULL, OPTION_LOCK_AFTER },
    { "lock-for", required_argument, NULL, OPTION_LOCK_FOR },
    { "log", required_argument, NULL, OPTION_LOG },
    { "help", no_argument, NULL, OPTION_HELP },
    { NULL, 0, NULL, 0 }
};


int
main(int argc, char **argv)
{
    int                 rc;
    settings_t          s;
    http_server_t      *server;
    struct event       *term, *interrupt;
    struct event_base  *base;

    static cloud_t  cloud;

    memset(&s, 0, sizeof(s));
    s.http.listen = "127.0.0.1:0";
    s.http.keepalive_s = 130;
    s.http.max_body = 64 * 1024 * 1024;
    s.http.handler = cloud_handle;
    s.http.data = &cloud;
    s.token.expires_in_s = 3600;
    s.token.lock_after = 5;
    s.token.lock_s = 600;
    cloud.pending_ms = 300;
    cloud.processing_ms = 700;
    cloud.retention_s = 24 * 60 * 60;

    rc = main_options(argc, argv, &s, &cloud);

    if (rc >= 0) {
        return rc;
    }

    signal(SIGPIPE, SIG_IGN);
    main_raise_files();

    token_init(&s.token);
    cloud_init(&cloud);

    base = event_base_new();
    server = base ? http_server_create(base, &s.http) : NULL;

    if (server == NULL || worker_start(base) != 0) {
        return 1;
    }

    control_init(server);

    term = evsignal_new(base, SIGTERM, main_on_signal, base);
    interrupt = evsignal_new(base, SIGINT, main_on_signal, base);
    event_add(term, NULL);
    event_add(interrupt, NULL);

    printf("listening on %s\n", http_server_address(server));
    fflush(stdout);

    event_base_dispatch(base);

    http_server_destroy(server);
    worker_stop();
    event_free(term);
    event_free(interrupt);
    event_base_free(base);

    return 0;
}


/* Returns the exit code, or -1 to go on. */
static int
main_options(int argc, char **argv, settings_t *s, cloud_t *cloud)
{
    int  option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {

        if (option == OPTION_HELP) {
            main_usage(stdout);
            return 0;
        }

        if (option == '?' || main_option(option, optarg, s, cloud) != 0) {

            if (option != '?') {
                fprintf(stderr, "standin: bad value \"%s\"\n", optarg);
            }

            main_usage(stderr);
            return 2;
        }
    }

    if (optind < argc || s->client_id
        || (s->http.tls_cert == NULL) != (s->http.tls_key == NULL))
    {
        main_usage(stderr);
        return 2;
    }

    if (s->npairs == 0) {
        fprintf(stderr, "standin: no credentials: every token call will be"
                " refused\n");
    }

    return -1;
}


static int
main_option(int option, const char *value, settings_t *s, cloud_t *cloud)
{
    int       rc;
    uint64_t  n;

    n = 0;
    rc = 0;

    switch (option) {

    case OPTION_LISTEN:
        s->http.listen = value;
        break;

    case OPTION_TLS_CERT:
        s->http.tls_cert = value;
        break;

    case OPTION_TLS_KEY:
        s->http.tls_key = value;
        break;

    case OPTION_TLS_CLIENT_CA:
        s->http.tls_client_ca = value;
        break;

    case OPTION_CLIENT_ID:
        s->client_id = value;
        break;

    case OPTION_CLIENT_SECRET_FILE:
        rc = main_secret(s, value);
        break;

    case OPTION_EXPIRES_IN:
        rc = main_number(value, &s->token.expires_in_s);
        break;

    case OPTION_PENDING:
        rc = main_number(value, &cloud->pending_ms);
        break;

    case OPTION_PROCESSING:
        rc = main_number(value, &cloud->processing_ms);
        break;

    case OPTION_RETENTION:
        rc = main_number(value, &cloud->retention_s);
        break;

    case OPTION_KEEPALIVE:
        rc = main_number(value, &n);
        s->http.keepalive_s = (unsigned) n;
        break;

    case OPTION_LOCK_AFTER:
        rc = main_number(value, &n);
        s->token.lock_after = (unsigned) n;
        break;

    case OPTION_LOCK_FOR:
        rc = main_number(value, &s->token.lock_s);
        break;

    default: /* OPTION_LOG */
        s->http.log = value;
    }

    return rc;
}


static int
main_number(const char *value, uint64_t *n)
{
    char  *end;

    errno = 0;
    *n = strtoull(value, &end, 10);

    return errno || end == value || *end || *value == '-' ? -1 : 0;
}


/* The file's first line is the secret. */
static int
main_secret(settings_t *s, const char *file)
{
    char  line[1024];
    FILE  *f;

    f = fopen(file, "r");

    if (f == NULL || s->client_id == NULL
        || fgets(line, sizeof(line), f) == NULL)
    {
        if (f) {
            fclose(f);
        }
        return -1;
    }

    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    token_set_credentials(s->client_id, line);
    OPENSSL_cleanse(line, sizeof(line));
    s->client_id = NULL;
    s->npairs++;

    return 0;
}


static void
main_usage(FILE *out)
{
    fputs("usage: standin [option...]\n"
          "  --listen ADDRESS:PORT       127.0.0.1:0; port 0: a free one\n"
          "  --tls-cert FILE --tls-key FILE\n"
          "  --tls-client-ca FILE        demand a client certificate of it\n"
          "  --client-id ID --client-secret-file FILE\n"
          "                              a pair; may be repeated\n"
          "  --expires-in SECONDS        life of a token, 3600\n"
          "  --pending MS                a submitted task stays so, 300\n"
          "  --processing MS             and then so, 700\n"
          "  --retention SECONDS         of a result, 86400; 0: for ever\n"
          "  --keepalive SECONDS         of an idle connection, 130\n"
          "  --lock-after N              refused token calls, 5\n"
          "  --lock-for SECONDS          600\n"
          "  --log FILE                  a line for each call; -: stderr\n",
          out);
}


static void
main_raise_files(void)
{
    struct rlimit  r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}


static void
main_on_signal(evutil_socket_t fd, short what, void *data)
{
    (void) fd;
    (void) what;

    event_base_loopbreak(data);
}
