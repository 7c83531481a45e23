
#include "token/call.h"


/* a file is looked at no more often than that */
#define NGX_HTTP_BINARIZE_TOKEN_FILE_MS    1000


static ngx_int_t ngx_http_binarize_token_file_load(ngx_file_t *file, off_t size,
    ngx_str_t *text);


ngx_int_t
ngx_http_binarize_token_file_get(ngx_http_binarize_token_t *token,
    ngx_http_binarize_bearer_t *bearer, binarize_problem_e *problem)
{
    ngx_http_binarize_token_file_read(token);

    if (token->text.len == 0) {
        *problem = BINARIZE_PROBLEM_TOKEN_FAILED;
        return NGX_DECLINED;
    }

    bearer->generation = token->generation;
    bearer->text.len = token->text.len;
    ngx_memcpy(bearer->text.data, token->text.data, token->text.len);

    return NGX_OK;
}


/*
 * Reads the file again, once a second: its time and size need not tell that
 * it has changed.  A bad one leaves the old token.
 */

void
ngx_http_binarize_token_file_read(ngx_http_binarize_token_t *token)
{
    ngx_err_t        err;
    ngx_str_t        text;
    ngx_file_t       file;
    const char      *what;
    ngx_file_info_t  fi;

    if (token->checked
        && ngx_current_msec - token->checked_ms
           < NGX_HTTP_BINARIZE_TOKEN_FILE_MS)
    {
        return;
    }

    token->checked = 1;
    token->checked_ms = ngx_current_msec;

    ngx_memzero(&file, sizeof(ngx_file_t));
    ngx_memzero(&fi, sizeof(fi));

    file.name = token->file;
    file.log = ngx_cycle->log;

    file.fd = ngx_open_file(token->file.data, NGX_FILE_RDONLY, NGX_FILE_OPEN,
                            0);
    if (file.fd == NGX_INVALID_FILE) {
        err = ngx_errno;
        what = "open() failed";
        goto failed;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;
        what = "fstat() failed";
        goto close;
    }

    err = 0;

    if (ngx_http_binarize_token_file_load(&file, ngx_file_size(&fi), &text)
        != NGX_OK)
    {
        what = "it does not hold one token";
        goto close;
    }

    ngx_close_file(file.fd);

    if (!ngx_http_binarize_str_equal(&text, &token->text)) {
        token->generation++;
    }

    if (token->text.data) {
        ngx_explicit_memzero(token->text.data, token->text.len);
        ngx_free(token->text.data);
    }

    token->text = text;

    if (token->failed) {
        token->failed = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "binarize_bearer_file \"%V\" is readable again",
                      &token->file);
    }

    return;

close:

    ngx_close_file(file.fd);

failed:

    if (!token->failed) {
        token->failed = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "binarize_bearer_file \"%V\" can not be used%s: %s",
                      &token->file,
                      token->text.len ? ", the token read before is kept" : "",
                      what);
    }
}


void
ngx_http_binarize_token_file_cleanup(void *data)
{
    ngx_http_binarize_token_t  *token = data;

    if (token->text.data) {
        ngx_explicit_memzero(token->text.data, token->text.len);
        ngx_free(token->text.data);
    }
}


static ngx_int_t
ngx_http_binarize_token_file_load(ngx_file_t *file, off_t size, ngx_str_t *text)
{
    ssize_t  n;

    if (size <= 0 || size > NGX_HTTP_BINARIZE_TOKEN_SIZE) {
        return NGX_ERROR;
    }

    text->data = ngx_alloc(size, file->log);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(file, text->data, size, 0);

    while (n > 0 && (text->data[n - 1] == LF || text->data[n - 1] == CR
                     || text->data[n - 1] == ' ' || text->data[n - 1] == '\t'))
    {
        n--;
    }

    text->len = n > 0 ? n : 0;

    if (!ngx_http_binarize_token_valid(text)) {
        ngx_explicit_memzero(text->data, size);
        ngx_free(text->data);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_binarize_token_read_secret(ngx_conf_t *cf, const char *directive,
    ngx_str_t *name, ngx_str_t *secret)
{
    size_t      size;
    ssize_t     n;
    u_char      buf[NGX_HTTP_BINARIZE_TOKEN_SIZE];
    ngx_int_t   rc;
    ngx_file_t  file;

    rc = NGX_ERROR;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s: " ngx_open_file_n " \"%V\" failed",
                           directive, name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(file.fd, buf, sizeof(buf));

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s: " ngx_read_fd_n " \"%V\" failed",
                           directive, name);
        goto done;
    }

    if (n == (ssize_t) sizeof(buf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: file \"%V\" is too large", directive, name);
        goto done;
    }

    /* the first line; a blank may belong to a secret */

    for (size = 0; size < (size_t) n && buf[size] != LF; size++) {
        /* void */
    }

    if (size && buf[size - 1] == CR) {
        size--;
    }

    if (size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: file \"%V\" is empty", directive, name);
        goto done;
    }

    secret->len = size;
    secret->data = ngx_pnalloc(cf->pool, size);

    if (secret->data) {
        ngx_memcpy(secret->data, buf, size);
        rc = NGX_OK;
    }

done:

    ngx_explicit_memzero(buf, sizeof(buf));
    ngx_close_file(file.fd);

    return rc;
}
