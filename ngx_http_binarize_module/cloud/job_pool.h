
/*
 * The pools of jobs: as large as a job needs, side by side in mappings of
 * their own.  Thousands of calls at once are over together, and what they took
 * goes back to the system; in the heap it would lie between what lives on: of
 * 1,000 requests that wait each would take 21 KB between polls, in place of 15.
 */


#ifndef _NGX_HTTP_BINARIZE_JOB_POOL_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_JOB_POOL_H_INCLUDED_


#include "ngx_http_binarize.h"


/* NULL: no memory.  The size is the same for all jobs of a configuration */
ngx_pool_t *ngx_http_binarize_job_pool_create(size_t size, ngx_log_t *log);

/* in place of ngx_destroy_pool() */
void ngx_http_binarize_job_pool_destroy(ngx_pool_t *pool);


#endif /* _NGX_HTTP_BINARIZE_JOB_POOL_H_INCLUDED_ */
