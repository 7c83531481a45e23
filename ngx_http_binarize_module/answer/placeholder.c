
#include "answer/placeholder.h"


static char *ngx_http_binarize_placeholder_parameter(ngx_conf_t *cf,
    ngx_http_binarize_placeholder_t *placeholder, ngx_str_t *value);
static char *ngx_http_binarize_placeholder_file(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *image);
static ngx_int_t ngx_http_binarize_placeholder_read(ngx_conf_t *cf,
    ngx_file_t *file, ngx_str_t *image);
static ngx_int_t ngx_http_binarize_placeholder_check(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *image);


/* of binarize_placeholder, each with a file */
static const struct {
    ngx_str_t  name;
    size_t     offset;
} ngx_http_binarize_placeholder_kinds[] = {
    { ngx_string("pending="),
      offsetof(ngx_http_binarize_placeholder_t, pending) },
    { ngx_string("missing="),
      offsetof(ngx_http_binarize_placeholder_t, missing) },
    { ngx_string("error="),
      offsetof(ngx_http_binarize_placeholder_t, error) },
    { ngx_null_string, 0 }
};


char *
ngx_http_binarize_placeholder_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_binarize_answer_conf_t *acf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (acf->placeholder != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        acf->placeholder = NULL;
        return NGX_CONF_OK;
    }

    acf->placeholder = ngx_pcalloc(cf->pool, sizeof(*acf->placeholder));
    if (acf->placeholder == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_binarize_placeholder_parameter(cf, acf->placeholder,
                                                    &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_placeholder_parameter(ngx_conf_t *cf,
    ngx_http_binarize_placeholder_t *placeholder, ngx_str_t *value)
{
    ngx_str_t         name, *image;
    ngx_uint_t        k;
    const ngx_str_t  *kind;

    for (k = 0; ngx_http_binarize_placeholder_kinds[k].name.len; k++) {
        kind = &ngx_http_binarize_placeholder_kinds[k].name;

        if (ngx_strncmp(value->data, kind->data, kind->len) != 0) {
            continue;
        }

        image = (ngx_str_t *) ((u_char *) placeholder
                              + ngx_http_binarize_placeholder_kinds[k].offset);

        name.data = value->data + kind->len;
        name.len = value->len - kind->len;

        if (image->len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_placeholder: duplicate parameter "
                               "\"%V\"", value);
            return NGX_CONF_ERROR;
        }

        return ngx_http_binarize_placeholder_file(cf, &name, image);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "binarize_placeholder: invalid parameter \"%V\"",
                       value);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_binarize_placeholder_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *image)
{
    ngx_int_t   rc;
    ngx_file_t  file;

    if (name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_placeholder: a file has no name");
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    /* non-blocking: a FIFO without a writer is refused, too */

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "binarize_placeholder: " ngx_open_file_n
                           " \"%V\" failed", name);
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_binarize_placeholder_read(cf, &file, image);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    if (rc != NGX_OK
        || ngx_http_binarize_placeholder_check(cf, name, image) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_binarize_placeholder_read(ngx_conf_t *cf, ngx_file_t *file,
    ngx_str_t *image)
{
    size_t   size;
    ssize_t  n;

    if (ngx_fd_info(file->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "binarize_placeholder: " ngx_fd_info_n
                           " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&file->info)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_placeholder: \"%V\" is not a file",
                           &file->name);
        return NGX_ERROR;
    }

    if (ngx_file_size(&file->info) > NGX_HTTP_BINARIZE_PLACEHOLDER_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_placeholder: file \"%V\" is too large",
                           &file->name);
        return NGX_ERROR;
    }

    size = (size_t) ngx_file_size(&file->info);

    image->data = ngx_pnalloc(cf->pool, size + 1);
    if (image->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(file, image->data, size, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "binarize_placeholder: " ngx_read_file_n
                           " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    /* a file cut meanwhile does not pass the check */

    image->len = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_placeholder_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *image)
{
    binarize_png_t  png;

    binarize_png_init(&png);

    if (binarize_png_feed(&png, image->data, image->len) == BINARIZE_ERROR
        || binarize_png_finish(&png) != BINARIZE_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_placeholder: file \"%V\" is not a PNG: "
                           "%s", name, png.reason);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_str_t *
ngx_http_binarize_placeholder_of(ngx_http_binarize_placeholder_t *placeholder,
    binarize_problem_e problem, ngx_uint_t status)
{
    ngx_str_t  *image;

    if (placeholder == NULL) {
        return NULL;
    }

    if (problem == BINARIZE_PROBLEM_NONE) {
        image = &placeholder->pending;

    } else if (problem == BINARIZE_PROBLEM_NOT_FOUND) {
        image = &placeholder->missing;

    } else if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        image = &placeholder->error;

    } else {
        return NULL;
    }

    return image->len ? image : NULL;
}
