
#ifndef _BINARIZE_NEGOTIATE_H_INCLUDED_
#define _BINARIZE_NEGOTIATE_H_INCLUDED_


#include "guid.h"


typedef enum {
    BINARIZE_FORMAT_NONE = 0,
    BINARIZE_FORMAT_PNG,
    BINARIZE_FORMAT_JSON
} binarize_format_e;


/*
 * "<guid>", "<guid>.png" or "<guid>.json" (suffix in lower case) to the
 * canonical guid and the suffix' format, BINARIZE_FORMAT_NONE without one.
 * BINARIZE_OK or BINARIZE_ERROR.
 */
int binarize_segment_parse(const unsigned char *text, size_t size,
    unsigned char guid[BINARIZE_GUID_SIZE], binarize_format_e *format);

/* the value of ?format=: "png" or "json", else BINARIZE_FORMAT_NONE */
binarize_format_e binarize_format_parse(const unsigned char *text,
    size_t size);

/*
 * RFC 9110 12.5.1 with the offers image/png and application/json.  accept is
 * the field's combined value, size 0 if there was none.  The most specific
 * matching range gives an offer its quality; the higher quality wins;
 * preferred wins on a tie and where accept is absent or empty.  text/plain
 * and text/json stand for application/json, only when named, and less closely
 * than its own name.  Of equally specific ranges the better counts.  A range
 * with parameters other than q matches nothing, but charset=utf-8 does JSON.
 * Malformed members are skipped; if nothing well formed is left, as absent.
 * "q=.2" is read as 0.2: clients on Java's HttpURLConnection send it.
 * BINARIZE_FORMAT_NONE: neither is acceptable (406).
 */
binarize_format_e binarize_negotiate(const unsigned char *accept, size_t size,
    binarize_format_e preferred);

/*
 * The quality RFC 9110 12.5.1 gives one media type, in thousandths: 0 is not
 * acceptable, 1000 the best, and where accept is absent, empty, or has nothing
 * well formed in it.  type and subtype are in lower case.  Parameters other
 * than q are ignored.
 */
unsigned binarize_accept_quality(const unsigned char *accept, size_t size,
    const char *type, const char *subtype);

/*
 * The value of a Prefer field (RFC 7240), its instances joined by ", ":
 * wait=N.  BINARIZE_OK and *wait_s, BINARIZE_DECLINED if it is not there,
 * BINARIZE_ERROR (to be ignored) if it is malformed.  The first one counts.
 * More than 4294967295 seconds are that many.
 */
int binarize_prefer_wait(const unsigned char *prefer, size_t size,
    uint32_t *wait_s);


#endif /* _BINARIZE_NEGOTIATE_H_INCLUDED_ */
