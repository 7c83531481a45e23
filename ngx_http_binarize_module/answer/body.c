
#include "answer/answer.h"


/* the processor reads on by itself once the copying has begun */
#define NGX_HTTP_BINARIZE_PREFETCH_SIZE  1024


static ngx_uint_t ngx_http_binarize_body_ranges(ngx_http_request_t *r);
static ngx_chain_t *ngx_http_binarize_body_link(ngx_http_request_t *r,
    binarize_span_t *spans, ngx_uint_t n);
static ngx_int_t ngx_http_binarize_body_join(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result, binarize_span_t *joined);


void
ngx_http_binarize_body_prefetch(ngx_http_binarize_result_t *result)
{
    size_t  offset, size;

    size = ngx_min(result->png[0].size, NGX_HTTP_BINARIZE_PREFETCH_SIZE);

    for (offset = 0; offset < size; offset += 64) {
        __builtin_prefetch(result->png[0].data + offset);
    }
}


ngx_int_t
ngx_http_binarize_body_send(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx)
{
    ngx_uint_t                   ranges;
    ngx_chain_t                 *out;
    ngx_http_binarize_result_t  *result;

    result = ctx->result;

    if (ctx->format == BINARIZE_FORMAT_JSON) {
        return ngx_http_binarize_stream_send(r, ctx, 0);
    }

    ranges = ngx_http_binarize_body_ranges(r);

    /* a subrequest's output may wait for its turn: it is given at once */

    if ((result->scarce || (ranges && result->npieces > 1)) && r == r->main) {
        return ngx_http_binarize_stream_send(r, ctx, ranges);
    }

    out = ngx_http_binarize_body_png(r, result);

    return out ? ngx_http_output_filter(r, out) : NGX_ERROR;
}


/* several of them */

static ngx_uint_t
ngx_http_binarize_body_ranges(ngx_http_request_t *r)
{
    ngx_table_elt_t  *range;

    range = r->headers_in.range;

    return range && ngx_strlchr(range->value.data,
                                range->value.data + range->value.len, ',');
}


ngx_chain_t *
ngx_http_binarize_body_png(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result)
{
    binarize_span_t  joined;

    if (result->npieces == 1 || !ngx_http_binarize_body_ranges(r)) {
        return ngx_http_binarize_body_link(r, result->png, result->npieces);
    }

    /* for several ranges nginx needs one piece */

    if (ngx_http_binarize_body_join(r, result, &joined) != NGX_OK) {
        return NULL;
    }

    return ngx_http_binarize_body_link(r, &joined, 1);
}


static ngx_chain_t *
ngx_http_binarize_body_link(ngx_http_request_t *r, binarize_span_t *spans,
    ngx_uint_t n)
{
    ngx_buf_t    *b;
    ngx_uint_t    i;
    ngx_chain_t  *cl;

    b = ngx_pcalloc(r->pool, n * (sizeof(ngx_buf_t) + sizeof(ngx_chain_t)));
    if (b == NULL) {
        return NULL;
    }

    cl = (ngx_chain_t *) (b + n);

    for (i = 0; i < n; i++) {
        b[i].start = (u_char *) spans[i].data;
        b[i].end = b[i].start + spans[i].size;
        b[i].pos = b[i].start;
        b[i].last = b[i].end;
        b[i].memory = 1;

        cl[i].buf = &b[i];
        cl[i].next = &cl[i + 1];
    }

    b[n - 1].last_buf = (r == r->main) ? 1 : 0;
    b[n - 1].last_in_chain = 1;
    cl[n - 1].next = NULL;

    return cl;
}


static ngx_int_t
ngx_http_binarize_body_join(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result, binarize_span_t *joined)
{
    u_char      *p;
    ngx_uint_t   i;

    p = ngx_pnalloc(r->pool, result->png_size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    joined->data = p;
    joined->size = result->png_size;

    for (i = 0; i < result->npieces; i++) {
        p = ngx_cpymem(p, result->png[i].data, result->png[i].size);
    }

    return NGX_OK;
}
