
/*
 * Byte 0: a bit for each field that is missing, from png on; bytes 1 to 5:
 * the sizes of etag, stored, unpadded, and of doc (two bytes).  Then these
 * fields, and the rest is the png.
 */


#include "base64.h"
#include "fuzz.h"
#include "record.h"
#include "scan.h"


#define HEAD_SIZE  6


static const uint8_t *
take(binarize_span_t *value, int missing, const uint8_t *p, const uint8_t *end,
    size_t size)
{
    if (size > (size_t) (end - p)) {
        size = end - p;
    }

    value->size = missing ? 0 : size;
    value->data = missing ? NULL : fuzz_copy(p, size);

    return p + size;
}


/* document and picture come back from what the record holds */

static void
check(const binarize_record_t *record, const binarize_span_t *values)
{
    int              rc;
    char             stored[BINARIZE_STORED_SIZE];
    size_t           n, payload;
    unsigned char   *doc, *png, *envelope;
    binarize_scan_t  scan;

    fuzz_assert(record->png.data == values[0].data);
    fuzz_assert(record->doc.data == values[1].data);
    fuzz_assert(record->etag.data == values[2].data);
    fuzz_assert(record->etag.size == BINARIZE_ETAG_SIZE);

    fuzz_assert(binarize_record_stored(record->stored, stored)
                == values[3].size);
    fuzz_assert(memcmp(stored, values[3].data, values[3].size) == 0);

    fuzz_assert(record->payload_offset < record->doc.size);

    payload = binarize_base64_size(record->png.size);
    doc = fuzz_alloc(record->doc.size + payload);
    n = record->payload_offset;

    memcpy(doc, record->doc.data, n);
    n += binarize_base64_encode(doc + n, record->png.data, record->png.size);
    memcpy(doc + n, record->doc.data + record->payload_offset,
           record->doc.size - record->payload_offset);

    png = fuzz_alloc(record->png.size + 4);
    envelope = fuzz_alloc(record->doc.size);

    binarize_scan_init(&scan, record->png.size);

    scan.next_in = doc;
    scan.avail_in = record->doc.size + payload;
    scan.next_out = png;
    scan.avail_out = record->png.size + 4;
    scan.envelope = envelope;
    scan.envelope_room = record->doc.size;

    rc = binarize_scan_run(&scan);

    fuzz_assert(rc == BINARIZE_AGAIN);
    fuzz_assert(binarize_scan_finish(&scan) == BINARIZE_OK);
    fuzz_assert(scan.envelope_size == record->doc.size);
    fuzz_assert(memcmp(envelope, record->doc.data, record->doc.size) == 0);
    fuzz_assert(scan.payload_size == record->png.size);
    fuzz_assert(memcmp(png, record->png.data, record->png.size) == 0);
    fuzz_assert(scan.payload_offset == record->payload_offset);

    free(doc);
    free(png);
    free(envelope);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                 rc;
    size_t              i, nmissing;
    const char         *reason;
    const uint8_t      *p, *end;
    binarize_span_t     values[5];
    binarize_record_t   record;

    if (size < HEAD_SIZE) {
        return 0;
    }

    p = data + HEAD_SIZE;
    end = data + size;

    p = take(&values[2], data[0] & 4, p, end, data[1]);
    p = take(&values[3], data[0] & 8, p, end, data[2]);
    p = take(&values[4], data[0] & 16, p, end, data[3]);
    p = take(&values[1], data[0] & 2, p, end, data[4] << 8 | data[5]);
    (void) take(&values[0], data[0] & 1, p, end, end - p);

    reason = NULL;
    rc = binarize_record_read(values, (const unsigned char *) FUZZ_GUID,
                              1000, &record, &reason);

    fuzz_assert((rc == BINARIZE_ERROR) == (reason != NULL));

    nmissing = 0;

    for (i = 0; i < 5; i++) {
        nmissing += values[i].data == NULL;
    }

    fuzz_assert((rc == BINARIZE_DECLINED) == (nmissing == 5));

    if (rc == BINARIZE_OK) {
        fuzz_assert(nmissing == 0 || (nmissing == 1 && !values[4].data));
        fuzz_assert(record.unpadded == (values[4].data != NULL));
        fuzz_assert(record.png.size <= 1000);
        check(&record, values);
    }

    for (i = 0; i < 5; i++) {
        free((void *) values[i].data);
    }

    return 0;
}
