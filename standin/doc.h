/* The OCRResponse document. */

#ifndef STANDIN_DOC_H
#define STANDIN_DOC_H

#include "fault.h"


typedef struct {
    const char    *id;
    const char    *status;              /* taskStatus */
    const blob_t  *result;              /* NULL: none */
    const char    *message;             /* NULL: none */
} doc_t;


/* The document's text, as f says; never NULL. */
blob_t *doc_write(const doc_t *d, const fault_t *f);

/*
 * Joins members ("name":value texts, freed here) to an object, in the order
 * and with the faults of f. nmembers is at most DOC_MAX_MEMBERS.
 */
#define DOC_MAX_MEMBERS  24

typedef struct {
    const char  *name;
    buf_t        value;
} doc_member_t;

blob_t *doc_join(doc_member_t *members, size_t nmembers, const fault_t *f);

#endif
