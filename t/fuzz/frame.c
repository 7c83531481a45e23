
/*
 * ngx_http_binarize_redis_frame.h: a stream of replies that is cut anywhere,
 * and read in place where there is room, makes the replies that it makes in
 * one piece; hiredis never sees what it does not take, and has nothing left
 * when a reply ends.
 */


#include <hiredis/hiredis.h>

#include "fuzz.h"
#include "redis/frame.h"


#define FRAME_REPLY_MAX  200000


typedef struct {
    redisReader                      *reader;
    redisReplyObjectFunctions         functions;
    redisReplyObjectFunctions        *hiredis;
    ngx_http_binarize_redis_frame_t   frame;

    size_t                            reply_max;
    ngx_uint_t                        nstrings;

    ngx_uint_t                        nreplies;
    uint64_t                          digest;
    int                               broken;
} frame_stream_t;


static void
frame_digest(frame_stream_t *s, const void *data, size_t size)
{
    size_t               i;
    const unsigned char  *p;

    p = data;

    for (i = 0; i < size; i++) {
        s->digest = s->digest * 31 + p[i];
    }

    s->digest = s->digest * 31 + size;
}


static void
frame_digest_reply(frame_stream_t *s, const redisReply *reply)
{
    size_t  i;

    fuzz_assert(reply != NULL);

    s->digest = s->digest * 31 + (uint64_t) reply->type;

    switch (reply->type) {

    case REDIS_REPLY_ARRAY:
        for (i = 0; i < reply->elements; i++) {
            frame_digest_reply(s, reply->element[i]);
        }
        break;

    case REDIS_REPLY_INTEGER:
        s->digest = s->digest * 31 + (uint64_t) reply->integer;
        break;

    case REDIS_REPLY_NIL:
        break;

    default:
        frame_digest(s, reply->str, reply->len);
    }
}


static ssize_t
frame_reply_start(void *data, u_char type)
{
    frame_stream_t *s = data;

    (void) type;
    s->nstrings = 0;

    return (ssize_t) s->reply_max;
}


static ngx_int_t
frame_feed(void *data, const u_char *p, size_t size)
{
    frame_stream_t *s = data;

    unsigned char  *copy;
    int             rc;

    copy = fuzz_copy(p, size);
    rc = redisReaderFeed(s->reader, (char *) copy, size);
    free(copy);

    return rc == REDIS_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
frame_reply_end(void *data)
{
    frame_stream_t *s = data;

    void  *reply;

    reply = NULL;

    if (redisReaderGetReply(s->reader, &reply) != REDIS_OK) {
        return NGX_DONE;
    }

    frame_digest_reply(s, reply);
    s->functions.freeObject(reply);
    s->nreplies++;

    fuzz_assert(s->reader->pos == s->reader->len);

    return NGX_OK;
}


/* as the adapter's: large strings take the place of empty ones */

static void *
frame_create_string(const redisReadTask *task, char *str, size_t len)
{
    frame_stream_t *s = task->privdata;

    u_char      *p;
    size_t       size;
    redisReply  *reply;

    reply = s->hiredis->createString(task, str, len);

    if (reply == NULL || task->type != REDIS_REPLY_STRING) {
        return reply;
    }

    if (ngx_http_binarize_redis_frame_take(&s->frame, s->nstrings++, &p,
                                           &size))
    {
        fuzz_assert(len == 0);
        fuzz_assert(size >= NGX_HTTP_BINARIZE_FRAME_LARGE);
        fuzz_assert(p[size] == '\0');

        free(reply->str);
        reply->str = (char *) p;
        reply->len = size;
    }

    return reply;
}


static void
frame_run(frame_stream_t *s, const uint8_t *data, size_t size, size_t step,
    int in_place, size_t reply_max)
{
    u_char                                  *room;
    size_t                                   i, n, free_size;
    ngx_int_t                                rc;
    unsigned char                           *copy;
    ngx_http_binarize_redis_frame_events_t   events;

    memset(s, 0, sizeof(*s));

    s->reply_max = reply_max;
    s->reader = redisReaderCreate();
    fuzz_assert(s->reader != NULL);

    s->hiredis = s->reader->fn;
    s->functions = *s->hiredis;
    s->functions.createString = frame_create_string;
    s->reader->fn = &s->functions;
    s->reader->privdata = s;

    events.reply_start = frame_reply_start;
    events.feed = frame_feed;
    events.reply_end = frame_reply_end;
    events.data = s;

    ngx_http_binarize_redis_frame_init(&s->frame, &events);

    for (i = 0; i < size; i += n) {

        n = size - i < step ? size - i : step;

        free_size = in_place
                    ? ngx_http_binarize_redis_frame_room(&s->frame, &room) : 0;

        if (free_size) {
            n = n < free_size ? n : free_size;
            memcpy(room, data + i, n);
            ngx_http_binarize_redis_frame_filled(&s->frame, n);
            continue;
        }

        copy = fuzz_copy(data + i, n);
        rc = ngx_http_binarize_redis_frame_process(&s->frame, copy, n);
        free(copy);

        if (rc != NGX_OK) {
            fuzz_assert(rc == NGX_DONE || s->frame.error != NULL);
            s->broken = 1;
            break;
        }
    }

    ngx_http_binarize_redis_frame_done(&s->frame);

    s->reader->fn = s->hiredis;
    redisReaderFree(s->reader);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              in_place;
    size_t           step;
    frame_stream_t   whole, pieces, small;

    if (size < 2) {
        return 0;
    }

    step = (size_t) (data[0] >> 1) + 1;
    in_place = data[0] & 1;

    data++;
    size--;

    frame_run(&whole, data, size, size, 0, FRAME_REPLY_MAX);
    frame_run(&pieces, data, size, step, in_place, FRAME_REPLY_MAX);

    fuzz_assert(whole.nreplies == pieces.nreplies);
    fuzz_assert(whole.digest == pieces.digest);
    fuzz_assert(whole.broken == pieces.broken);

    /* strings that are not taken are nil, and how they end is not looked at */

    frame_run(&small, data, size, step, in_place, 10);

    if (!whole.broken) {
        fuzz_assert(small.nreplies == whole.nreplies);
        fuzz_assert(!small.broken);
    }

    return 0;
}
