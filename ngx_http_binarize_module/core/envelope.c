
#include <string.h>

#include <cjson/cJSON.h>

#include "envelope.h"


typedef struct {
    char   *text;
    size_t  size;
    size_t  room;       /* one byte is kept back for the zero */
} envelope_text_t;


static cJSON *envelope_parse(const unsigned char *doc, size_t size);
static int envelope_is_guid(const cJSON *id,
    const unsigned char guid[BINARIZE_GUID_SIZE]);
static int envelope_task_status(const cJSON *root,
    binarize_task_status_e *status);
static binarize_outcome_e envelope_outcome(const cJSON *root,
    binarize_task_status_e status, uint64_t payload_size);
static int envelope_has_result(const cJSON *root, uint64_t payload_size);
static void envelope_messages(const cJSON *root, envelope_text_t *text);
static int envelope_add(envelope_text_t *text, const char *s);
static size_t envelope_char_size(const unsigned char *p);
static int envelope_is_control(const unsigned char *p, size_t size);
static int envelope_is(const cJSON *item, const char *value);
static void envelope_refuse(binarize_envelope_t *envelope,
    const char *reason);


static const char  *envelope_task_statuses[] = {
    "Pending",
    "Processing",
    "Completed",
    "Error",
    "NotExist"
};


#define ENVELOPE_NTASK_STATUSES                                               \
    (sizeof(envelope_task_statuses) / sizeof(envelope_task_statuses[0]))


void
binarize_envelope_read(const unsigned char *doc, size_t size,
    const unsigned char guid[BINARIZE_GUID_SIZE], uint64_t payload_size,
    binarize_envelope_t *envelope)
{
    cJSON            *root;
    const cJSON      *id;
    envelope_text_t   text;

    memset(envelope, 0, sizeof(*envelope));

    root = envelope_parse(doc, size);

    if (root == NULL) {
        envelope_refuse(envelope, "the document cannot be parsed");
        return;
    }

    id = cJSON_GetObjectItemCaseSensitive(root, "id");

    if (cJSON_IsNull(id)) {
        id = NULL;
    }

    if (!cJSON_IsObject(root)) {
        envelope_refuse(envelope, "the document is not an object");

    } else if (id && !envelope_is_guid(id, guid)) {
        envelope_refuse(envelope, "the document is another task's");

    } else if (envelope_task_status(root, &envelope->task_status)
               != BINARIZE_OK)
    {
        envelope_refuse(envelope, "the document has no known taskStatus");

    } else {
        envelope->outcome = envelope_outcome(root, envelope->task_status,
                                             payload_size);

        if (envelope->outcome == BINARIZE_RESULT && id == NULL) {
            /* what a confused connection brings may be another task's */
            envelope_refuse(envelope, "the result does not say whose it is");
        }

        text.text = envelope->messages;
        text.size = 0;
        text.room = sizeof(envelope->messages) - 1;

        envelope_messages(root, &text);
    }

    cJSON_Delete(root);
}


const char *
binarize_task_status_name(binarize_task_status_e status)
{
    return envelope_task_statuses[status];
}


/* the whole of doc; NULL also if there is no memory */

static cJSON *
envelope_parse(const unsigned char *doc, size_t size)
{
    cJSON       *root;
    const char  *end, *last;

    root = cJSON_ParseWithLengthOpts((const char *) doc, size, &end, 0);

    if (root == NULL) {
        return NULL;
    }

    last = (const char *) doc + size;

    while (end < last
           && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
    {
        end++;
    }

    if (end != last) {
        cJSON_Delete(root);
        return NULL;
    }

    return root;
}


static int
envelope_is_guid(const cJSON *id,
    const unsigned char guid[BINARIZE_GUID_SIZE])
{
    unsigned char  canonical[BINARIZE_GUID_SIZE];

    return cJSON_IsString(id)
           && binarize_guid_parse((unsigned char *) id->valuestring,
                                  strlen(id->valuestring), canonical)
              == BINARIZE_OK
           && memcmp(canonical, guid, BINARIZE_GUID_SIZE) == 0;
}


static int
envelope_task_status(const cJSON *root, binarize_task_status_e *status)
{
    size_t        i;
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(root, "taskStatus");

    for (i = 0; i < ENVELOPE_NTASK_STATUSES; i++) {

        if (envelope_is(item, envelope_task_statuses[i])) {
            *status = (binarize_task_status_e) i;
            return BINARIZE_OK;
        }
    }

    return BINARIZE_ERROR;
}


static binarize_outcome_e
envelope_outcome(const cJSON *root, binarize_task_status_e status,
    uint64_t payload_size)
{
    switch (status) {

    case BINARIZE_TASK_COMPLETED:
        return envelope_has_result(root, payload_size) ? BINARIZE_RESULT
                                                       : BINARIZE_NO_RESULT;

    case BINARIZE_TASK_ERROR:
        return BINARIZE_TASK_FAILED;

    case BINARIZE_TASK_NOT_EXIST:
        return BINARIZE_NOT_EXIST;

    default: /* BINARIZE_TASK_PENDING, BINARIZE_TASK_PROCESSING */
        return BINARIZE_PENDING;
    }
}


static int
envelope_has_result(const cJSON *root, uint64_t payload_size)
{
    const cJSON  *results, *result;

    if (payload_size == 0) {
        return 0;
    }

    if (!envelope_is(cJSON_GetObjectItemCaseSensitive(root,
                                                      "responseStatusCode"),
                     "Ok"))
    {
        return 0;
    }

    results = cJSON_GetObjectItemCaseSensitive(root, "results");

    if (!cJSON_IsArray(results) || cJSON_GetArraySize(results) != 1) {
        return 0;
    }

    result = results->child;

    return cJSON_IsObject(result)
           && envelope_is(cJSON_GetObjectItemCaseSensitive(result, "type"),
                          "ImagePNG")
           && cJSON_IsString(cJSON_GetObjectItemCaseSensitive(result,
                                                              "data"));
}


static void
envelope_messages(const cJSON *root, envelope_text_t *text)
{
    const cJSON  *error, *messages, *message;

    error = cJSON_GetObjectItemCaseSensitive(root, "error");

    if (!cJSON_IsObject(error)) {
        return;
    }

    messages = cJSON_GetObjectItemCaseSensitive(error, "messages");

    if (!cJSON_IsArray(messages)) {
        return;
    }

    cJSON_ArrayForEach(message, messages) {

        if (!cJSON_IsString(message) || message->valuestring[0] == '\0') {
            continue;
        }

        if (text->size && envelope_add(text, "; ") != BINARIZE_OK) {
            return;
        }

        if (envelope_add(text, message->valuestring) != BINARIZE_OK) {
            return;
        }
    }
}


/* text->text is zeroed by its owner, so it always ends with a zero */

static int
envelope_add(envelope_text_t *text, const char *s)
{
    size_t                n;
    char                 *last;
    const unsigned char  *p;

    for (p = (const unsigned char *) s; *p; p += n) {

        n = envelope_char_size(p);

        if (n > text->room - text->size) {
            return BINARIZE_FULL;
        }

        last = &text->text[text->size];

        if (n == 0) {
            /* a document that was not split may hold bad UTF-8 */

            if (text->size == text->room) {
                return BINARIZE_FULL;
            }

            *last = '?';
            text->size++;
            n = 1;

        } else if (envelope_is_control(p, n)) {
            *last = ' ';
            text->size++;

        } else {
            memcpy(last, p, n);
            text->size += n;
        }
    }

    return BINARIZE_OK;
}


/* bytes of the well formed character at p (RFC 3629, section 4), or 0 */

static size_t
envelope_char_size(const unsigned char *p)
{
    size_t         i, n;
    unsigned char  low, high;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }

    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

    /* the zero at the end is no following byte */

    for (i = 1; i < n; i++) {

        if (p[i] < low || p[i] > high) {
            return 0;
        }

        low = 0x80;
        high = 0xbf;
    }

    return n;
}


/* C0, DEL and C1 */

static int
envelope_is_control(const unsigned char *p, size_t size)
{
    return p[0] < 0x20 || p[0] == 0x7f
           || (size == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}


static int
envelope_is(const cJSON *item, const char *value)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, value) == 0;
}


static void
envelope_refuse(binarize_envelope_t *envelope, const char *reason)
{
    envelope->outcome = BINARIZE_REFUSED;
    envelope->reason = reason;
}
