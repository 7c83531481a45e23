
#include "redis/frame.h"


typedef enum {
    sw_type = 0,
    sw_line,
    sw_number,
    sw_number_lf,
    sw_small,
    sw_skip,
    sw_large,
    sw_large_cr,
    sw_large_lf
} ngx_http_binarize_redis_frame_state_e;


static ngx_int_t ngx_http_binarize_redis_frame_type(
    ngx_http_binarize_redis_frame_t *frame, u_char ch);
static ngx_int_t ngx_http_binarize_redis_frame_digit(
    ngx_http_binarize_redis_frame_t *frame, u_char ch);
static ngx_int_t ngx_http_binarize_redis_frame_array(
    ngx_http_binarize_redis_frame_t *frame);
static ngx_int_t ngx_http_binarize_redis_frame_string(
    ngx_http_binarize_redis_frame_t *frame);
static ngx_int_t ngx_http_binarize_redis_frame_substitute(
    ngx_http_binarize_redis_frame_t *frame);
static ngx_uint_t ngx_http_binarize_redis_frame_element_end(
    ngx_http_binarize_redis_frame_t *frame);
static ngx_int_t ngx_http_binarize_redis_frame_reply_end(
    ngx_http_binarize_redis_frame_t *frame);
static ngx_int_t ngx_http_binarize_redis_frame_error(
    ngx_http_binarize_redis_frame_t *frame, const char *error);


void
ngx_http_binarize_redis_frame_init(ngx_http_binarize_redis_frame_t *frame,
    const ngx_http_binarize_redis_frame_events_t *events)
{
    ngx_memzero(frame, sizeof(ngx_http_binarize_redis_frame_t));

    frame->events = *events;
}


void
ngx_http_binarize_redis_frame_done(ngx_http_binarize_redis_frame_t *frame)
{
    ngx_uint_t  i, n;

    n = frame->nlarge + frame->filling;

    for (i = 0; i < n; i++) {
        free(frame->large[i].data);
    }

    frame->nlarge = 0;
    frame->filling = 0;
}


/*
 * from: what was not fed yet, NULL while nothing of the current piece is to
 * be; mark: where the header of the current string began, if in this piece
 */

ngx_int_t
ngx_http_binarize_redis_frame_process(ngx_http_binarize_redis_frame_t *frame,
    const u_char *p, size_t size)
{
    size_t         n;
    u_char         header[NGX_INT64_LEN + sizeof("$\r\n") - 1];
    u_char        *end;
    ngx_int_t      rc;
    ngx_uint_t     element_end;
    const u_char  *last, *from, *mark;
    ngx_http_binarize_redis_frame_events_t  *events;

    events = &frame->events;
    last = p + size;
    mark = NULL;

    switch (frame->state) {

    case sw_skip:
    case sw_large:
    case sw_large_cr:
    case sw_large_lf:
        from = NULL;
        break;

    default:
        from = p;
    }

    if ((frame->state == sw_number || frame->state == sw_number_lf)
        && frame->type == '$')
    {
        from = NULL;
    }

    while (p < last) {

        element_end = 0;

        switch (frame->state) {

        case sw_type:
            rc = ngx_http_binarize_redis_frame_type(frame, *p);
            if (rc != NGX_OK) {
                return rc;
            }

            if (from == NULL) {
                from = p;
            }

            mark = (*p == '$') ? p : NULL;
            p++;
            break;

        case sw_line:
            end = ngx_strlchr((u_char *) p, (u_char *) last, LF);
            n = (end ? end + 1 : last) - p;

            frame->line += n;
            if (frame->line > NGX_HTTP_BINARIZE_FRAME_LINE) {
                return ngx_http_binarize_redis_frame_error(frame,
                                                           "line too long");
            }

            if (end) {

                /* hiredis would read on */

                if ((n > 1 ? end[-1] : frame->cr) != CR) {
                    return ngx_http_binarize_redis_frame_error(frame,
                                                               "bad line end");
                }

                element_end = 1;
            }

            p += n;
            frame->cr = p[-1];
            break;

        case sw_number:
            rc = ngx_http_binarize_redis_frame_digit(frame, *p++);
            if (rc != NGX_OK) {
                return rc;
            }
            break;

        case sw_number_lf:
            if (*p++ != LF) {
                return ngx_http_binarize_redis_frame_error(frame,
                                                           "bad length");
            }

            if (frame->type == '*') {
                rc = ngx_http_binarize_redis_frame_array(frame);
                if (rc == NGX_ERROR) {
                    return NGX_ERROR;
                }

                element_end = (rc == NGX_DONE);
                break;
            }

            rc = ngx_http_binarize_redis_frame_string(frame);
            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_OK) {

                /* as it is, in one go with what is around it */

                if (mark == NULL) {
                    end = ngx_sprintf(header, "$%L\r\n", frame->number);

                    if (events->feed(events->data, header, end - header)
                        != NGX_OK)
                    {
                        return ngx_http_binarize_redis_frame_error(frame,
                                                               "no memory");
                    }

                    from = p;
                }

                mark = NULL;
                element_end = (frame->number == -1);
                break;
            }

            /* rc == NGX_DECLINED: something else takes its place */

            if (mark && mark > from
                && events->feed(events->data, from, mark - from) != NGX_OK)
            {
                return ngx_http_binarize_redis_frame_error(frame, "no memory");
            }

            mark = NULL;
            from = NULL;

            rc = ngx_http_binarize_redis_frame_substitute(frame);
            if (rc != NGX_OK) {
                return rc;
            }
            break;

        case sw_small:
        case sw_skip:
            n = ngx_min(frame->rest, (size_t) (last - p));
            p += n;
            frame->rest -= n;
            element_end = (frame->rest == 0);
            break;

        case sw_large:
            n = ngx_min(frame->rest, (size_t) (last - p));
            ngx_memcpy(frame->large[frame->nlarge].data
                       + frame->large[frame->nlarge].size - frame->rest, p, n);
            ngx_http_binarize_redis_frame_filled(frame, n);
            p += n;
            break;

        case sw_large_cr:
            if (*p++ != CR) {
                return ngx_http_binarize_redis_frame_error(frame,
                                                           "bad string end");
            }
            frame->state = sw_large_lf;
            break;

        default: /* sw_large_lf */
            if (*p++ != LF) {
                return ngx_http_binarize_redis_frame_error(frame,
                                                           "bad string end");
            }

            frame->filling = 0;
            frame->nlarge++;
            element_end = 1;
            break;
        }

        if (!element_end) {
            continue;
        }

        if (!ngx_http_binarize_redis_frame_element_end(frame)) {
            continue;
        }

        if (from && events->feed(events->data, from, p - from) != NGX_OK) {
            return ngx_http_binarize_redis_frame_error(frame, "no memory");
        }

        from = NULL;

        rc = ngx_http_binarize_redis_frame_reply_end(frame);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* the header of a string waits until it is whole */

    if (mark) {
        last = mark;
    }

    if (from && last > from
        && events->feed(events->data, from, last - from) != NGX_OK)
    {
        return ngx_http_binarize_redis_frame_error(frame, "no memory");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_redis_frame_type(ngx_http_binarize_redis_frame_t *frame,
    u_char ch)
{
    ssize_t  n;

    switch (ch) {

    case '+':
    case '-':
    case ':':
        frame->state = sw_line;
        frame->line = 0;
        frame->cr = 0;
        break;

    case '$':
    case '*':
        frame->state = sw_number;
        frame->type = ch;
        frame->number = 0;
        frame->ndigits = 0;
        frame->negative = 0;
        break;

    default:
        return ngx_http_binarize_redis_frame_error(frame, "bad type");
    }

    if (frame->depth) {
        return NGX_OK;
    }

    n = frame->events.reply_start(frame->events.data, ch);

    if (n == -1) {
        return ngx_http_binarize_redis_frame_error(frame, "unasked reply");
    }

    frame->reply_max = n;
    frame->reply_size = 0;
    frame->nstrings = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_redis_frame_digit(ngx_http_binarize_redis_frame_t *frame,
    u_char ch)
{
    if (ch == '-' && !frame->negative && frame->ndigits == 0) {
        frame->negative = 1;
        return NGX_OK;
    }

    if (ch == CR && frame->ndigits) {

        if (frame->negative) {
            frame->number = -frame->number;
        }

        if (frame->number < -1 || (frame->negative && frame->number == 0)) {
            return ngx_http_binarize_redis_frame_error(frame, "bad length");
        }

        frame->state = sw_number_lf;
        return NGX_OK;
    }

    /* as strict as hiredis; 16 digits do not overflow */

    if (ch < '0' || ch > '9'
        || (frame->ndigits && frame->number == 0)
        || ++frame->ndigits > 16)
    {
        return ngx_http_binarize_redis_frame_error(frame, "bad length");
    }

    frame->number = frame->number * 10 + (ch - '0');

    return NGX_OK;
}


/* NGX_OK: elements follow; NGX_DONE: the array is complete */

static ngx_int_t
ngx_http_binarize_redis_frame_array(ngx_http_binarize_redis_frame_t *frame)
{
    if (frame->number <= 0) {
        return NGX_DONE;
    }

    if (frame->number > NGX_HTTP_BINARIZE_FRAME_ELEMENTS) {
        return ngx_http_binarize_redis_frame_error(frame, "array too long");
    }

    if (frame->depth == NGX_HTTP_BINARIZE_FRAME_DEPTH) {
        return ngx_http_binarize_redis_frame_error(frame, "array too deep");
    }

    frame->left[frame->depth++] = (ngx_uint_t) frame->number;
    frame->state = sw_type;

    return NGX_OK;
}


/* NGX_OK: passes as it is; NGX_DECLINED: does not, it is skipped or taken */

static ngx_int_t
ngx_http_binarize_redis_frame_string(ngx_http_binarize_redis_frame_t *frame)
{
    size_t                            size;
    ngx_http_binarize_redis_large_t  *large;

    if (frame->number == -1) {
        return NGX_OK;
    }

    size = (size_t) frame->number;
    frame->reply_size += size;
    frame->rest = size + sizeof(CRLF) - 1;

    if (size > frame->reply_max) {
        frame->state = sw_skip;
        frame->oversize++;
        return NGX_DECLINED;
    }

    frame->reply_max -= size;

    if (size < NGX_HTTP_BINARIZE_FRAME_LARGE
        || frame->nlarge == NGX_HTTP_BINARIZE_FRAME_NLARGE)
    {
        frame->state = sw_small;
        frame->nstrings++;
        return NGX_OK;
    }

    large = &frame->large[frame->nlarge];

    large->ordinal = frame->nstrings++;
    large->size = size;
    large->data = malloc(size + 1);

    if (large->data == NULL) {
        return ngx_http_binarize_redis_frame_error(frame, "no memory");
    }

    large->data[size] = '\0';

    frame->rest = size;
    frame->filling = 1;
    frame->state = sw_large;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_binarize_redis_frame_substitute(
    ngx_http_binarize_redis_frame_t *frame)
{
    const char  *text;

    text = (frame->state == sw_skip) ? "$-1\r\n" : "$0\r\n\r\n";

    if (frame->events.feed(frame->events.data, (const u_char *) text,
                           ngx_strlen(text))
        != NGX_OK)
    {
        return ngx_http_binarize_redis_frame_error(frame, "no memory");
    }

    return NGX_OK;
}


size_t
ngx_http_binarize_redis_frame_room(ngx_http_binarize_redis_frame_t *frame,
    u_char **room)
{
    ngx_http_binarize_redis_large_t  *large;

    if (frame->state != sw_large) {
        return 0;
    }

    large = &frame->large[frame->nlarge];
    *room = large->data + large->size - frame->rest;

    return frame->rest;
}


void
ngx_http_binarize_redis_frame_filled(ngx_http_binarize_redis_frame_t *frame,
    size_t size)
{
    frame->rest -= size;

    if (frame->rest == 0) {
        frame->state = sw_large_cr;
    }
}


ngx_uint_t
ngx_http_binarize_redis_frame_take(ngx_http_binarize_redis_frame_t *frame,
    ngx_uint_t ordinal, u_char **data, size_t *size)
{
    ngx_uint_t                        i;
    ngx_http_binarize_redis_large_t  *large;

    large = frame->large;

    for (i = 0; i < frame->nlarge; i++) {

        if (large[i].ordinal == ordinal && large[i].data) {
            *data = large[i].data;
            *size = large[i].size;
            large[i].data = NULL;
            return 1;
        }
    }

    return 0;
}


/* 1: so is the reply */

static ngx_uint_t
ngx_http_binarize_redis_frame_element_end(
    ngx_http_binarize_redis_frame_t *frame)
{
    frame->state = sw_type;

    while (frame->depth) {

        if (--frame->left[frame->depth - 1]) {
            return 0;
        }

        frame->depth--;
    }

    return 1;
}


static ngx_int_t
ngx_http_binarize_redis_frame_reply_end(ngx_http_binarize_redis_frame_t *frame)
{
    ngx_int_t  rc;

    rc = frame->events.reply_end(frame->events.data);

    if (rc == NGX_OK) {
        ngx_http_binarize_redis_frame_done(frame);
    }

    return rc;
}


static ngx_int_t
ngx_http_binarize_redis_frame_error(ngx_http_binarize_redis_frame_t *frame,
    const char *error)
{
    if (frame->error == NULL) {
        frame->error = error;
    }

    return NGX_ERROR;
}
