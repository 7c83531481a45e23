
#ifndef _BINARIZE_ENVELOPE_H_INCLUDED_
#define _BINARIZE_ENVELOPE_H_INCLUDED_


#include "guid.h"


typedef enum {
    BINARIZE_TASK_PENDING = 0,
    BINARIZE_TASK_PROCESSING,
    BINARIZE_TASK_COMPLETED,
    BINARIZE_TASK_ERROR,
    BINARIZE_TASK_NOT_EXIST
} binarize_task_status_e;


/* what a document means to the gateway */
typedef enum {
    BINARIZE_RESULT = 0,      /* Completed + Ok + one non-empty ImagePNG */
    BINARIZE_NO_RESULT,       /* Completed, but not the above */
    BINARIZE_PENDING,         /* Pending or Processing */
    BINARIZE_TASK_FAILED,     /* Error */
    BINARIZE_NOT_EXIST,
    BINARIZE_REFUSED          /* not a document we can pass on: reason */
} binarize_outcome_e;


typedef struct {
    binarize_outcome_e        outcome;
    binarize_task_status_e    task_status;

    /*
     * Aspose's error.messages joined by "; ", cut at a character's boundary,
     * control characters replaced by spaces, zero-terminated UTF-8
     */
    char                      messages[512];

    const char               *reason;   /* static; BINARIZE_REFUSED */
} binarize_envelope_t;


/*
 * Reads an envelope as binarize_scan_run() leaves it.  payload_size is the
 * size of the decoded payload (0: none).  Whether the payload is a PNG is for
 * the caller to say.  Refused: not an object, an unknown taskStatus, an "id"
 * other than guid (in either case); null or no id only with a result.
 * Names of members are compared with their case; unknown ones are ignored.
 */
void binarize_envelope_read(const unsigned char *doc, size_t size,
    const unsigned char guid[BINARIZE_GUID_SIZE], uint64_t payload_size,
    binarize_envelope_t *envelope);

/* "Pending", "Processing", "Completed", "Error", "NotExist" */
const char *binarize_task_status_name(binarize_task_status_e status);


#endif /* _BINARIZE_ENVELOPE_H_INCLUDED_ */
