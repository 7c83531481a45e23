
/* any bytes, also such as never went through the splitter */


#include "envelope.h"
#include "fuzz.h"
#include "reference.h"
#include "scan.h"


static int
splits(const unsigned char *doc, size_t size)
{
    int              rc;
    unsigned char    out[4096], envelope[4096];
    binarize_scan_t  scan;

    binarize_scan_init(&scan, sizeof(out) - 4);

    scan.next_in = doc;
    scan.avail_in = size;
    scan.next_out = out;
    scan.avail_out = sizeof(out);
    scan.envelope = envelope;
    scan.envelope_room = sizeof(envelope);

    rc = binarize_scan_run(&scan);

    return rc == BINARIZE_AGAIN && binarize_scan_finish(&scan) == BINARIZE_OK
           && size == scan.envelope_size;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                n;
    unsigned char        *doc, *p;
    binarize_envelope_t   with, without;

    doc = fuzz_copy(data, size);

    binarize_envelope_read(doc, size, (const unsigned char *) FUZZ_GUID, 1,
                           &with);
    binarize_envelope_read(doc, size, (const unsigned char *) FUZZ_GUID, 0,
                           &without);

    fuzz_assert((with.outcome == BINARIZE_REFUSED) == (with.reason != NULL));
    fuzz_assert(with.outcome <= BINARIZE_REFUSED);

    /* the payload makes a result, which may be refused as nobody's */

    fuzz_assert(without.outcome == with.outcome
                || (without.outcome == BINARIZE_NO_RESULT
                    && (with.outcome == BINARIZE_RESULT
                        || strcmp(with.reason, "the result does not say whose "
                                               "it is")
                           == 0)));
    fuzz_assert(without.task_status == with.task_status);
    fuzz_assert(strcmp(without.messages, with.messages) == 0);

    if (with.outcome != BINARIZE_REFUSED) {
        fuzz_assert(binarize_task_status_name(with.task_status) != NULL);
    }

    if (with.outcome == BINARIZE_RESULT
        || with.outcome == BINARIZE_NO_RESULT)
    {
        fuzz_assert(with.task_status == BINARIZE_TASK_COMPLETED);
    }

    n = strnlen(with.messages, sizeof(with.messages));
    fuzz_assert(n < sizeof(with.messages));

    p = (unsigned char *) with.messages;
    fuzz_assert(reference_utf8(p, n));

    for (/* void */; *p; p++) {
        fuzz_assert(*p >= 0x20 && *p != 0x7f);
        fuzz_assert(p[0] != 0xc2 || p[1] >= 0xa0);
    }

    /* cJSON takes all that the splitter takes */

    if (size < 4000 && splits(doc, size)) {
        fuzz_assert(with.reason == NULL
                    || strcmp(with.reason, "the document cannot be parsed"));
    }

    free(doc);

    return 0;
}
