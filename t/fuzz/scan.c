
/*
 * The first byte says how the document is cut and how much room there is,
 * the second how large the payload may be.  The document is compared with
 * what a strict parser, cJSON, and a simple base64 decoder make of it.
 */


#include <cjson/cJSON.h>

#include "fuzz.h"
#include "reference.h"
#include "scan.h"


typedef struct {
    int             rc;
    const char     *reason;
    unsigned char  *envelope;
    size_t          envelope_size;
    unsigned char  *payload;
    size_t          payload_size;
    size_t          payload_offset;
    int             seen;
    int             unpadded;
} result_t;


static void
grow(binarize_scan_t *scan, size_t size)
{
    unsigned char  *envelope;

    fuzz_assert(scan->envelope_size == scan->envelope_room);

    envelope = fuzz_alloc(scan->envelope_room + size);

    if (scan->envelope_size) {
        memcpy(envelope, scan->envelope, scan->envelope_size);
    }

    free(scan->envelope);
    scan->envelope = envelope;
    scan->envelope_room += size;
}


static void
run(const unsigned char *doc, size_t size, uint32_t seed, uint64_t max,
    result_t *r)
{
    size_t           done, n, room;
    unsigned char   *copy, *out;
    binarize_scan_t  scan;

    memset(r, 0, sizeof(*r));
    r->payload = fuzz_alloc(size + 4);
    r->rc = BINARIZE_AGAIN;

    binarize_scan_init(&scan, max);

    out = NULL;

    for (done = 0; done < size && r->rc == BINARIZE_AGAIN; done += n) {

        n = seed ? 1 + fuzz_random(&seed) % 90 : size;

        if (seed && fuzz_random(&seed) % 2) {
            n = 1;
        }

        if (n > size - done) {
            n = size - done;
        }

        copy = fuzz_copy(doc + done, n);
        scan.next_in = copy;
        scan.avail_in = n;

        for ( ;; ) {
            r->rc = binarize_scan_run(&scan);

            if (out) {
                memcpy(r->payload + r->payload_size, out,
                       scan.next_out - out);
                r->payload_size += scan.next_out - out;
                free(out);
            }

            out = NULL;
            scan.next_out = NULL;

            if (r->rc == BINARIZE_FULL) {
                fuzz_assert(scan.avail_out < 4);
                room = seed ? 4 + fuzz_random(&seed) % 90 : size + 4;
                out = fuzz_alloc(room);
                scan.next_out = out;
                scan.avail_out = room;
                continue;
            }

            scan.avail_out = 0;

            if (r->rc != BINARIZE_GROW) {
                break;
            }

            grow(&scan, seed ? 1 + fuzz_random(&seed) % 90 : size + 1);
        }

        fuzz_assert(r->rc != BINARIZE_AGAIN || scan.avail_in == 0);
        free(copy);
    }

    if (r->rc == BINARIZE_AGAIN) {
        r->rc = binarize_scan_finish(&scan);
    }

    fuzz_assert(r->rc == BINARIZE_OK || r->rc == BINARIZE_ERROR);
    fuzz_assert((r->rc == BINARIZE_OK) == (scan.reason == NULL));
    fuzz_assert(scan.payload_size == r->payload_size);

    r->reason = scan.reason;
    r->envelope = scan.envelope;
    r->envelope_size = scan.envelope_size;
    r->payload_offset = scan.payload_offset;
    r->seen = scan.payload_seen;
    r->unpadded = scan.payload_unpadded;
}


static void
result_free(result_t *r)
{
    free(r->envelope);
    free(r->payload);
}


static void
assert_same(const result_t *a, const result_t *b)
{
    fuzz_assert(a->rc == b->rc);
    fuzz_assert(a->reason == b->reason);
    fuzz_assert(a->seen == b->seen);
    fuzz_assert(a->payload_offset == b->payload_offset);
    fuzz_assert(a->unpadded == b->unpadded);
    fuzz_assert(a->envelope_size == b->envelope_size);
    fuzz_assert(a->envelope_size == 0
                || memcmp(a->envelope, b->envelope, a->envelope_size) == 0);

    if (a->rc == BINARIZE_OK) {
        fuzz_assert(a->payload_size == b->payload_size);
        fuzz_assert(memcmp(a->payload, b->payload, a->payload_size) == 0);
    }
}


static cJSON *
parse(const unsigned char *doc, size_t size)
{
    cJSON       *root;
    const char  *end, *last;

    root = cJSON_ParseWithLengthOpts((const char *) doc, size, &end, 0);
    fuzz_assert(root != NULL);

    for (last = (const char *) doc + size; end < last; end++) {
        fuzz_assert(*end && strchr(" \t\r\n", *end));
    }

    return root;
}


static int
has_twice(const cJSON *object, const char *names)
{
    size_t        n;
    const char   *name;
    const cJSON  *item;

    if (!cJSON_IsObject(object)) {
        return 0;
    }

    for (name = names; *name; name += strlen(name) + 1) {

        n = 0;

        cJSON_ArrayForEach(item, object) {
            n += strcmp(item->string, name) == 0;
        }

        if (n > 1) {
            return 1;
        }
    }

    return 0;
}


static const cJSON *
find_result(const cJSON *root)
{
    const cJSON  *results;

    results = cJSON_GetObjectItemCaseSensitive(root, "results");

    return cJSON_IsArray(results) && cJSON_IsObject(results->child)
           ? results->child : NULL;
}


/* whether the document should have been accepted, and what of */

static void
compare(const unsigned char *doc, size_t size, uint64_t max,
    const result_t *r)
{
    int             unpadded;
    char           *text, *again;
    long            n;
    cJSON          *root, *envelope, *data;
    size_t          tail;
    const cJSON    *result;
    unsigned char  *payload;

    if (size >= 3 && memcmp(doc, "\xef\xbb\xbf", 3) == 0) {
        doc += 3;
        size -= 3;
    }

    if (!reference_json(doc, size, BINARIZE_SCAN_MAX_DEPTH)) {
        fuzz_assert(r->rc == BINARIZE_ERROR);
        return;
    }

    root = parse(doc, size);
    result = find_result(root);
    data = cJSON_GetObjectItemCaseSensitive(result, "data");

    if (!cJSON_IsString(data)) {
        data = NULL;
    }

    if (has_twice(root, "id\0taskStatus\0responseStatusCode\0results\0error\0")
        || has_twice(result, "type\0data\0")
        || has_twice(cJSON_GetObjectItemCaseSensitive(root, "error"),
                     "messages\0warnings\0"))
    {
        fuzz_assert(r->rc == BINARIZE_ERROR);
        cJSON_Delete(root);
        return;
    }

    payload = NULL;
    unpadded = 0;
    n = 0;

    if (data) {
        payload = fuzz_alloc(strlen(data->valuestring));
        n = reference_base64((unsigned char *) data->valuestring,
                             strlen(data->valuestring), payload, &unpadded);
    }

    if (n == -1 || (uint64_t) n > max) {
        fuzz_assert(r->rc == BINARIZE_ERROR);
        free(payload);
        cJSON_Delete(root);
        return;
    }

    fuzz_assert(r->rc == BINARIZE_OK);
    fuzz_assert(r->seen == (data != NULL));
    fuzz_assert(r->unpadded == unpadded);
    fuzz_assert(r->payload_size == (size_t) n);
    fuzz_assert(n == 0 || memcmp(r->payload, payload, n) == 0);

    /* the envelope is the text but for the payload */

    if (data) {
        tail = r->envelope_size - r->payload_offset;
        fuzz_assert(memcmp(r->envelope, doc, r->payload_offset) == 0);
        fuzz_assert(memcmp(r->envelope + r->payload_offset,
                           doc + size - tail, tail) == 0);
        data->valuestring[0] = '\0';

    } else {
        fuzz_assert(r->envelope_size == size);
        fuzz_assert(memcmp(r->envelope, doc, size) == 0);
    }

    envelope = parse(r->envelope, r->envelope_size);
    text = cJSON_PrintUnformatted(root);
    again = cJSON_PrintUnformatted(envelope);
    fuzz_assert(text && again && strcmp(text, again) == 0);

    free(text);
    free(again);
    free(payload);
    cJSON_Delete(envelope);
    cJSON_Delete(root);
}


/* the document made anew from its parts splits into the same parts */

static void
join(const result_t *r)
{
    size_t          n, offset;
    result_t        again;
    unsigned char  *doc;

    fuzz_assert(binarize_scan_payload_offset(r->envelope, r->envelope_size,
                                             &offset) == BINARIZE_OK);
    fuzz_assert(offset == r->payload_offset);

    doc = fuzz_alloc(r->envelope_size
                     + binarize_base64_size(r->payload_size));

    memcpy(doc, r->envelope, offset);
    n = offset;
    n += binarize_base64_encode(doc + n, r->payload, r->payload_size);

    while (r->unpadded && doc[n - 1] == '=') {
        n--;
    }

    memcpy(doc + n, r->envelope + offset, r->envelope_size - offset);
    n += r->envelope_size - offset;

    run(doc, n, 0, r->payload_size, &again);
    assert_same(r, &again);

    result_free(&again);
    free(doc);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    offset;
    uint32_t  seed;
    uint64_t  max;
    result_t  whole, pieces;

    if (size < 2) {
        return 0;
    }

    seed = data[0] + 1;
    max = data[1] == 255 ? UINT64_MAX : data[1];
    data += 2;
    size -= 2;

    run(data, size, 0, max, &whole);
    run(data, size, seed, max, &pieces);

    assert_same(&whole, &pieces);
    compare(data, size, max, &whole);

    if (whole.rc == BINARIZE_OK) {

        if (whole.seen) {
            join(&whole);

        } else {
            fuzz_assert(binarize_scan_payload_offset(data, size, &offset)
                        == BINARIZE_ERROR);
        }
    }

    result_free(&whole);
    result_free(&pieces);

    return 0;
}
