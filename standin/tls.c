#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "tls.h"


static int tls_on_servername(SSL *ssl, int *alert, void *data);
static int tls_on_alpn(SSL *ssl, const unsigned char **out,
    unsigned char *outlen, const unsigned char *in, unsigned inlen, void *data);
static SSL_CTX *tls_failed(SSL_CTX *ctx, const char *what);


SSL_CTX *
tls_context(const char *cert, const char *key, const char *client_ca,
    http_counters_t *counters)
{
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL) {
        return tls_failed(ctx, "context");
    }

    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        return tls_failed(ctx, cert);
    }

    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        return tls_failed(ctx, key);
    }

    if (client_ca) {
        if (SSL_CTX_load_verify_locations(ctx, client_ca, NULL) != 1) {
            return tls_failed(ctx, client_ca);
        }

        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER
                                |SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }

    SSL_CTX_set_session_id_context(ctx, (const unsigned char *) "standin", 7);
    SSL_CTX_set_tlsext_servername_callback(ctx, tls_on_servername);
    SSL_CTX_set_tlsext_servername_arg(ctx, counters);
    SSL_CTX_set_alpn_select_cb(ctx, tls_on_alpn, NULL);

    return ctx;
}


static int
tls_on_servername(SSL *ssl, int *alert, void *data)
{
    size_t            i;
    const char       *name;
    http_counters_t  *counters = data;

    (void) alert;

    name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    if (name == NULL) {
        name = "";
    }

    for (i = 0; i < counters->nsni; i++) {
        if (strcmp(counters->sni[i].name, name) == 0) {
            counters->sni[i].n++;
            return SSL_TLSEXT_ERR_OK;
        }
    }

    if (i < sizeof(counters->sni) / sizeof(counters->sni[0])) {
        snprintf(counters->sni[i].name, sizeof(counters->sni[i].name), "%s",
                 name);
        counters->sni[i].n = 1;
        counters->nsni++;
    }

    return SSL_TLSEXT_ERR_OK;
}


static int
tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned inlen, void *data)
{
    int  rc;

    (void) ssl;
    (void) data;

    rc = SSL_select_next_proto((unsigned char **) out, outlen,
                               (const unsigned char *) "\x08http/1.1", 9,
                               in, inlen);

    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                        : SSL_TLSEXT_ERR_NOACK;
}


static SSL_CTX *
tls_failed(SSL_CTX *ctx, const char *what)
{
    char  text[256];

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    fprintf(stderr, "standin: TLS: %s: %s\n", what, text);
    SSL_CTX_free(ctx);

    return NULL;
}
