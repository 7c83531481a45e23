
#include <string.h>

#include "decimal.h"
#include "envelope.h"
#include "png.h"
#include "record.h"
#include "scan.h"


/* the order of HMGET */
enum {
    RECORD_PNG = 0,
    RECORD_DOC,
    RECORD_ETAG,
    RECORD_STORED,
    RECORD_UNPADDED,
    RECORD_NFIELDS
};


static int record_is_missing(const binarize_span_t *values);
static const char *record_etag(binarize_span_t etag);
static const char *record_stored(binarize_span_t text, int64_t *stored);
static const char *record_unpadded(binarize_span_t text,
    binarize_record_t *record);
static const char *record_png(binarize_span_t png, uint64_t max_size);
static const char *record_doc(binarize_record_t *record,
    const unsigned char guid[BINARIZE_GUID_SIZE]);


int
binarize_record_read(const binarize_span_t values[5],
    const unsigned char guid[BINARIZE_GUID_SIZE], uint64_t max_size,
    binarize_record_t *record, const char **reason)
{
    if (record_is_missing(values)) {
        return BINARIZE_DECLINED;
    }

    memset(record, 0, sizeof(*record));

    record->png = values[RECORD_PNG];
    record->doc = values[RECORD_DOC];
    record->etag = values[RECORD_ETAG];

    /* the cheap checks first */

    *reason = record_etag(record->etag);

    if (*reason == NULL) {
        *reason = record_stored(values[RECORD_STORED], &record->stored);
    }

    if (*reason == NULL) {
        *reason = record_unpadded(values[RECORD_UNPADDED], record);
    }

    if (*reason == NULL) {
        *reason = record_png(record->png, max_size);
    }

    if (*reason == NULL) {
        *reason = record_doc(record, guid);
    }

    return *reason ? BINARIZE_ERROR : BINARIZE_OK;
}


size_t
binarize_record_stored(int64_t stored, char text[BINARIZE_STORED_SIZE])
{
    unsigned char  *p;

    p = (unsigned char *) text;

    if (stored < 0) {
        *p++ = '-';
    }

    p = binarize_decimal(p, stored < 0 ? 0 - (uint64_t) stored
                                       : (uint64_t) stored);
    *p = '\0';

    return (size_t) ((char *) p - text);
}


void
binarize_record_hex(const unsigned char digest[16],
    unsigned char etag[BINARIZE_ETAG_SIZE])
{
    size_t  i;

    static const char  hex[] = "0123456789abcdef";

    for (i = 0; i < BINARIZE_ETAG_SIZE / 2; i++) {
        etag[2 * i] = (unsigned char) hex[digest[i] >> 4];
        etag[2 * i + 1] = (unsigned char) hex[digest[i] & 0x0f];
    }
}


static int
record_is_missing(const binarize_span_t *values)
{
    size_t  i;

    for (i = 0; i < RECORD_NFIELDS; i++) {
        if (values[i].data) {
            return 0;
        }
    }

    return 1;
}


/* these return what is wrong, or NULL */

static const char *
record_etag(binarize_span_t etag)
{
    size_t         i;
    unsigned char  c;

    if (etag.data == NULL) {
        return "the record has no etag";
    }

    if (etag.size != BINARIZE_ETAG_SIZE) {
        return "the record's etag is malformed";
    }

    for (i = 0; i < etag.size; i++) {
        c = etag.data[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return "the record's etag is malformed";
        }
    }

    return NULL;
}


/* as binarize_record_stored() writes it, and nothing else */

static const char *
record_stored(binarize_span_t text, int64_t *stored)
{
    char      canonical[BINARIZE_STORED_SIZE];
    size_t    i;
    uint64_t  value;

    if (text.data == NULL) {
        return "the record has no stored";
    }

    if (text.size == 0 || text.size >= BINARIZE_STORED_SIZE) {
        return "the record's stored is malformed";
    }

    /* 20 digits may wrap around, which the comparison finds */

    value = 0;

    for (i = text.data[0] == '-'; i < text.size; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return "the record's stored is malformed";
        }

        value = value * 10 + (text.data[i] - '0');
    }

    *stored = (int64_t) (text.data[0] == '-' ? 0 - value : value);

    if (binarize_record_stored(*stored, canonical) != text.size
        || memcmp(canonical, text.data, text.size) != 0)
    {
        return "the record's stored is malformed";
    }

    return NULL;
}


static const char *
record_unpadded(binarize_span_t text, binarize_record_t *record)
{
    if (text.data == NULL) {
        return NULL;
    }

    if (text.size != 1 || text.data[0] != '1') {
        return "the record's unpadded is malformed";
    }

    record->unpadded = 1;

    return NULL;
}


static const char *
record_png(binarize_span_t data, uint64_t max_size)
{
    binarize_png_t  png;

    if (data.data == NULL) {
        return "the record has no png";
    }

    if (data.size > max_size) {
        return "the record's png is too large";
    }

    binarize_png_init(&png);

    if (binarize_png_feed(&png, data.data, data.size) != BINARIZE_AGAIN
        || binarize_png_finish(&png) != BINARIZE_OK)
    {
        return png.reason;
    }

    return NULL;
}


static const char *
record_doc(binarize_record_t *record,
    const unsigned char guid[BINARIZE_GUID_SIZE])
{
    binarize_span_t      doc;
    binarize_envelope_t  envelope;

    doc = record->doc;

    if (doc.data == NULL) {
        return "the record has no doc";
    }

    if (binarize_scan_payload_offset(doc.data, doc.size,
                                     &record->payload_offset)
        != BINARIZE_OK)
    {
        return "the record's doc has no place for the payload";
    }

    binarize_envelope_read(doc.data, doc.size, guid, record->png.size,
                           &envelope);

    if (envelope.outcome == BINARIZE_REFUSED) {
        return envelope.reason;
    }

    if (envelope.outcome != BINARIZE_RESULT) {
        return "the record's doc is not a result's";
    }

    return NULL;
}
