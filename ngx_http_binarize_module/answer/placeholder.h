
#ifndef _NGX_HTTP_BINARIZE_PLACEHOLDER_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_PLACEHOLDER_H_INCLUDED_


#include "answer/conf.h"


/* the pictures of one binarize_placeholder; an empty one was not given */
struct ngx_http_binarize_placeholder_s {
    ngx_str_t                      pending;
    ngx_str_t                      missing;
    ngx_str_t                      error;
};


/* the largest file taken, bytes */
#define NGX_HTTP_BINARIZE_PLACEHOLDER_SIZE  (4 * 1024 * 1024)


/*
 * binarize_placeholder: reads the files, relative ones as nginx's other
 * configuration files.  Logs one line that names the directive and the file
 * if one can not be read or is not a PNG.
 */
char *ngx_http_binarize_placeholder_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * The picture in place of a PNG: of a task that is pending for problem _OK,
 * of one that does not exist for _NOT_FOUND, else of a failure by its status.
 * NULL if none is configured for it.
 */
ngx_str_t *ngx_http_binarize_placeholder_of(
    ngx_http_binarize_placeholder_t *placeholder,
    binarize_problem_e problem, ngx_uint_t status);


#endif /* _NGX_HTTP_BINARIZE_PLACEHOLDER_H_INCLUDED_ */
