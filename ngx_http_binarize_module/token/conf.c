
#include "token/conf.h"
#include "common/conf.h"

#include <openssl/evp.h>


static char *ngx_http_binarize_token_source(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *tcf, ngx_uint_t source);
static ngx_int_t ngx_http_binarize_credential(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *tcf, ngx_str_t *value, ngx_str_t *file);


void
ngx_http_binarize_token_conf_init(ngx_http_binarize_token_conf_t *conf)
{
    conf->source = NGX_CONF_UNSET_UINT;
}


/* a token source is inherited as a whole */

void
ngx_http_binarize_token_conf_merge(ngx_http_binarize_token_conf_t *prev,
    ngx_http_binarize_token_conf_t *conf)
{
    if (conf->source == NGX_CONF_UNSET_UINT) {
        *conf = *prev;
    }
}


char *
ngx_http_binarize_credentials_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                       *value, file;
    ngx_uint_t                       i;
    ngx_http_binarize_token_conf_t  *tcf;

    tcf = (ngx_http_binarize_token_conf_t *) ((char *) conf + cmd->offset);

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return ngx_http_binarize_token_source(cf, tcf,
                                              NGX_HTTP_BINARIZE_TOKEN_OFF);
    }

    if (ngx_http_binarize_token_source(cf, tcf,
                                       NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_binarize_no_duplicates(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_str_null(&file);

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_binarize_credential(cf, tcf, &value[i], &file) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (tcf->client_id.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_credentials: no client_id");
        return NGX_CONF_ERROR;
    }

    if (file.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_credentials: no client_secret_file");
        return NGX_CONF_ERROR;
    }

    return ngx_http_binarize_token_read_secret(cf, "binarize_credentials",
                                               &file, &tcf->client_secret)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_binarize_credential(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *tcf, ngx_str_t *value, ngx_str_t *file)
{
    ngx_str_t  s;

    if (ngx_strncmp(value->data, "client_id=", 10) == 0) {
        tcf->client_id.data = value->data + 10;
        tcf->client_id.len = value->len - 10;
        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "client_secret_file=", 19) == 0) {
        file->data = value->data + 19;
        file->len = value->len - 19;
        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "token_url=", 10) == 0) {
        s.data = value->data + 10;
        s.len = value->len - 10;

        tcf->target = ngx_http_binarize_target_parse(cf,
                                        "binarize_credentials token_url", &s);

        return tcf->target ? NGX_OK : NGX_ERROR;
    }

    /* the value may be a secret that was put where it does not belong */

    s.data = value->data;
    for (s.len = 0; s.len < value->len; s.len++) {
        if (s.data[s.len] == '=') {
            break;
        }
    }

    if (s.len == value->len) {
        ngx_str_set(&s, "?");
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "binarize_credentials: unknown parameter \"%V\"", &s);

    return NGX_ERROR;
}


char *
ngx_http_binarize_bearer_file_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                       *value, secret;
    ngx_http_binarize_token_conf_t  *tcf;

    tcf = (ngx_http_binarize_token_conf_t *) ((char *) conf + cmd->offset);

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        return ngx_http_binarize_token_source(cf, tcf,
                                              NGX_HTTP_BINARIZE_TOKEN_OFF);
    }

    if (ngx_http_binarize_token_source(cf, tcf, NGX_HTTP_BINARIZE_TOKEN_FILE)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    tcf->bearer_file = value[1];

    /* the workers read it themselves; whether it can be is said now */

    if (ngx_http_binarize_token_read_secret(cf, "binarize_bearer_file",
                                            &tcf->bearer_file, &secret)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_explicit_memzero(secret.data, secret.len);

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_token_source(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *tcf, ngx_uint_t source)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (tcf->source != NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: there is another token source on this level",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    tcf->source = source;

    return NGX_CONF_OK;
}


/* "/connect/token" on the host of binarize_pass */

ngx_int_t
ngx_http_binarize_token_conf_target(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *conf, ngx_http_binarize_target_t *pass)
{
    u_char                      *p;
    ngx_http_binarize_target_t  *target;

    static ngx_str_t  path = ngx_string("/connect/token");

    target = ngx_palloc(cf->pool, sizeof(*target));
    if (target == NULL) {
        return NGX_ERROR;
    }

    *target = *pass;
    target->uri = path;

    p = ngx_pnalloc(cf->pool, sizeof("https://") + target->authority.len
                              + path.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    target->url.data = p;
    target->url.len = ngx_sprintf(p, "%s%V%V",
                                  target->ssl ? "https://" : "http://",
                                  &target->authority, &path)
                      - p;

    conf->target = target;

    return NGX_OK;
}


ngx_int_t
ngx_http_binarize_token_conf_id(ngx_http_binarize_token_conf_t *conf,
    u_char *id)
{
    u_char       digest[EVP_MAX_MD_SIZE];
    ngx_int_t    rc;
    ngx_str_t   *parts[3];
    EVP_MD_CTX  *md;
    ngx_uint_t   i, n;

    if (conf->source == NGX_HTTP_BINARIZE_TOKEN_FILE) {
        parts[0] = &conf->bearer_file;
        n = 1;

    } else {
        parts[0] = &conf->target->url;
        parts[1] = &conf->client_id;
        parts[2] = &conf->client_secret;
        n = 3;
    }

    md = EVP_MD_CTX_new();
    rc = NGX_ERROR;

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        goto done;
    }

    for (i = 0; i < n; i++) {

        /* the lengths keep the parts apart */

        if (EVP_DigestUpdate(md, &parts[i]->len, sizeof(parts[i]->len)) != 1
            || EVP_DigestUpdate(md, parts[i]->data, parts[i]->len) != 1)
        {
            goto done;
        }
    }

    if (EVP_DigestFinal_ex(md, digest, NULL) == 1) {
        ngx_memcpy(id, digest, 32);
        rc = NGX_OK;
    }

done:

    EVP_MD_CTX_free(md);

    return rc;
}


ngx_http_binarize_token_t *
ngx_http_binarize_token_conf_create(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *conf, u_char *id,
    ngx_http_binarize_cloud_conf_t *cloud, ngx_shm_zone_t *shm_zone)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_binarize_token_t  *token;

    token = ngx_pcalloc(cf->pool, sizeof(*token));
    if (token == NULL) {
        return NULL;
    }

    token->conf = cloud;
    token->shm_zone = shm_zone;
    ngx_memcpy(token->id, id, sizeof(token->id));

    if (conf->source == NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS) {
        token->client_id = conf->client_id;
        token->client_secret = conf->client_secret;
        token->target = conf->target;

        return token;
    }

    token->file = conf->bearer_file;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_binarize_token_file_cleanup;
    cln->data = token;

    return token;
}
