/*
 * What can be asked of the stand-in cloud, as query parameters: how an
 * answer travels, what a document looks like, and how often it is so.
 * README.md has the table.
 */

#ifndef STANDIN_FAULT_H
#define STANDIN_FAULT_H

#include "util.h"


typedef enum {
    AT_NEVER,
    AT_START,                   /* before any byte */
    AT_MIDHEAD,                 /* in the middle of the header */
    AT_HEAD,                    /* between header and body */
    AT_BODY,                    /* in the middle of the body */
    AT_END                      /* after the last byte */
} fault_at_t;


typedef enum {
    FRAMING_CHUNKED,
    FRAMING_LENGTH,
    FRAMING_CLOSE,              /* no length, HTTP/1.1 */
    FRAMING_HTTP10,             /* no length, HTTP/1.0 */
    FRAMING_BOTH                /* chunked and a Content-Length */
} fault_framing_t;


typedef enum {
    ESCAPE_DOTNET,              /* "+" as \u002B */
    ESCAPE_LOWER,               /* "+" as \u002b */
    ESCAPE_NONE,
    ESCAPE_SLASH,               /* "/" as \/ */
    ESCAPE_USLASH,              /* "+" as \u002B, "/" as \u002F */
    ESCAPE_CRLF,                /* a line break, escaped, every 76 characters */
    ESCAPE_ALL                  /* every character as \uXXXX */
} fault_escape_t;


typedef enum {
    PAYLOAD_RESULT,
    PAYLOAD_NOTPNG,
    PAYLOAD_CUT,                /* the last third is missing */
    PAYLOAD_NOIEND,
    PAYLOAD_BADBASE64,
    PAYLOAD_UNPADDED,
    PAYLOAD_EMPTY,
    PAYLOAD_NULL
} fault_payload_t;


typedef enum {
    RESULTS_ONE,
    RESULTS_TWO,
    RESULTS_EMPTY,
    RESULTS_NULL,
    RESULTS_ABSENT
} fault_results_t;



typedef enum {
    TEXT_AS_IS,
    TEXT_INVALID,
    TEXT_CUT,
    TEXT_TRAILING,
    TEXT_EMPTY
} fault_text_t;


typedef enum {
    ORDER_DOTNET,
    ORDER_REVERSE,
    ORDER_SHUFFLE,
    ORDER_RESULTS_FIRST
} fault_order_t;


/* Strings point into the rule's text; all zeroes is an honest answer. */
typedef struct {
    /* the answer on the wire */
    uint64_t      http;                 /* status, 0: as it would be */
    char         *body;
    char         *retry_after;
    char         *location;
    char         *content_type;
    char         *header[16];
    size_t        nheader;
    uint64_t      huge_header;
    uint64_t      delay_ms;
    uint64_t      body_delay_ms;
    uint64_t      dribble;
    uint64_t      dribble_ms;
    int           dribble_head;
    char         *flood;                /* instead of the body's rest */
    int           hang;                 /* fault_at_t */
    int           close;                /* fault_at_t */
    uint64_t      at;                   /* bytes of body before that, 0: half */
    int           reset;
    int           framing;              /* fault_framing_t + 1 */
    uint64_t      chunk;
    char         *interim;
    int           gzip;                 /* 1: true, 2: only the header */
    char         *length;               /* "123", "+5", "-5" */
    int           keepalive_off;
    uint64_t      garbage;
    int           raw;
    /* the document */
    char         *id;
    char         *status;
    char         *response_status;
    char         *type;
    char         *messages;
    char         *warnings;
    int           results;              /* fault_results_t */
    int           payload;              /* fault_payload_t */
    int           escape;               /* fault_escape_t */
    int           order;                /* fault_order_t */
    uint64_t      unknown;
    uint64_t      unknown_size;
    uint64_t      nest;
    int           duplicate;
    int           bom;
    int           indent;
    int           text;                 /* fault_text_t */
    char         *omit;
    /* the task */
    uint64_t      pending;
    uint64_t      pending_ms;
    uint64_t      processing;
    uint64_t      processing_ms;
    uint64_t      retention;
    uint64_t      size;
    /* the token */
    char         *expires_in;
    char         *token_type;
    char         *token;
    uint64_t      lives;
    /* the rule */
    uint64_t      times;
    uint64_t      skip;
    char         *on;
    char         *op;
} fault_t;


/* A rule as it was given: its text is read anew for every answer. */
typedef struct rule_s  rule_t;

struct rule_s {
    char      *query;
    blob_t    *body;
    uint64_t   skip;            /* calls yet to pass by */
    uint64_t   left;            /* calls yet to be hit */
    rule_t    *next;
};


/*
 * Reads query on top of *f; the pointers of *f live as long as *text, which
 * the caller frees. On an unknown name or a bad value 0 is returned as text
 * and *bad (freed by the caller) names it.
 */
char *fault_read(fault_t *f, const char *query, char **bad);

/* NULL, with *bad set, if the query is wrong; the body may be NULL. */
rule_t *rule_create(const char *query, const void *body, size_t size,
    char **bad);
void rule_free_all(rule_t **list);
void rule_append(rule_t **list, rule_t *r);
/* The rule that rules this call, counted; NULL if none does. */
rule_t *rule_take(rule_t *list);

#endif
