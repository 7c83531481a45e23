
#include "answer/answer.h"


typedef struct {
    ngx_uint_t   status;
    const char  *title;
    const char  *detail;
} ngx_http_binarize_problem_t;


static u_char *ngx_http_binarize_json_string(ngx_pool_t *pool, u_char *s,
    size_t len, size_t *size);


/* by binarize_problem_e */

static ngx_http_binarize_problem_t  ngx_http_binarize_problems[] = {

    { 0, "", "" },

    { 400, "Not a task id",
      "The id has to be a GUID of 8-4-4-4-12 hex digits." },

    { 400, "Unknown format",
      "The argument \"format\" has to be \"png\" or \"json\"." },

    { 405, "Method not allowed",
      "This resource answers the methods that Allow names." },

    { 406, "No acceptable representation",
      "This resource is available as image/png and as application/json." },

    { 404, "No such task",
      "The cloud knows no task of this id; it forgets results 24 hours after "
      "their submission." },

    { 502, "The task has failed",
      "The cloud could not binarize the image. Submit it again, or another." },

    { 502, "The task has no result",
      "The task is completed, but the cloud has no picture of it. Submit the "
      "image again." },

    { 502, "The cloud can not be reached",
      "No connection to the cloud could be made, or it broke. Try again." },

    { 502, "The cloud refuses the gateway",
      "The cloud does not accept the gateway's token, not even a new one. "
      "Its operator has to look at the credentials." },

    { 502, "Unexpected status of the cloud",
      "The cloud answered with a status that is no result, see "
      "cloud_status. Try again later." },

    { 502, "The cloud's answer is not valid HTTP",
      "The cloud's answer is not valid HTTP. Try again." },

    { 502, "The cloud's answer is cut short",
      "The cloud ended its answer early. Try again." },

    { 502, "The cloud's answer is not understood",
      "The cloud's answer is not the document of this task. Try again later." },

    { 502, "The picture is too large",
      "The picture is larger than the gateway accepts. Its operator may raise "
      "binarize_max_size." },

    { 502, "The result is not a picture",
      "What the cloud sent as the result is not a whole PNG. Submit the image "
      "again." },

    { 504, "The cloud is too slow",
      "The cloud did not answer in time. Try again." },

    { 503, "The cloud is busy",
      "The cloud asks for a pause. Try again after it." },

    { 503, "The budget is spent",
      "The gateway may not call the cloud now. Try again later." },

    { 502, "The cloud refuses the credentials",
      "The cloud does not accept the gateway's credentials. "
      "Its operator has to look at them." },

    { 502, "The gateway has no token",
      "The gateway could not get a token for the cloud. Try again." },

    { 500, "Internal error",
      "The gateway could not do its work; its error log says why." },

    { 503, "Too many tasks at once",
      "The gateway has no room to ask for one more task now. Try again." },

    { 404, "Nothing to purge",
      "Neither this gateway nor Redis had anything of this task." },

    { 503, "The purge is not complete",
      "Redis can not be reached: only this gateway was emptied. Try again." }
};


ngx_uint_t
ngx_http_binarize_problem_status(binarize_problem_e problem)
{
    return ngx_http_binarize_problems[problem].status;
}


ngx_int_t
ngx_http_binarize_problem_body(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    binarize_problem_e problem, ngx_str_t *body)
{
    size_t                        size;
    u_char                       *p, *text;
    ngx_str_t                     detail;
    binarize_envelope_t           envelope;
    ngx_http_binarize_problem_t  *pr;

    pr = &ngx_http_binarize_problems[problem];

    detail.data = (u_char *) pr->detail;
    detail.len = ngx_strlen(pr->detail);

    if (problem == BINARIZE_PROBLEM_TASK_ERROR && result) {
        binarize_envelope_read(result->doc.data, result->doc.len, ctx->guid,
                               0, &envelope);

        if (envelope.messages[0]) {
            detail.data = (u_char *) envelope.messages;
            detail.len = ngx_strlen(envelope.messages);
        }
    }

    text = ngx_http_binarize_json_string(r->pool, detail.data, detail.len,
                                         &size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"type\":\"urn:binarize:\","
                                    "\"title\":\"\",\"status\":,"
                                    "\"detail\":\"\",\"id\":\"\","
                                    "\"cloud_status\":}" CRLF)
                             + ngx_strlen(binarize_problem_name(problem))
                             + ngx_strlen(pr->title)
                             + 2 * NGX_INT_T_LEN + size + BINARIZE_GUID_SIZE);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "{\"type\":\"urn:binarize:%s\",\"title\":\"%s\","
                    "\"status\":%ui,\"detail\":\"%*s\"",
                    binarize_problem_name(problem), pr->title, pr->status,
                    size, text);

    if (ctx->has_guid) {
        p = ngx_sprintf(p, ",\"id\":\"%*s\"", (size_t) BINARIZE_GUID_SIZE,
                        ctx->guid);
    }

    if (problem == BINARIZE_PROBLEM_BAD_STATUS && result) {
        p = ngx_sprintf(p, ",\"cloud_status\":%ui", result->status);
    }

    p = ngx_sprintf(p, "}" "\n");

    body->len = p - body->data;

    return NGX_OK;
}


static u_char *
ngx_http_binarize_json_string(ngx_pool_t *pool, u_char *s, size_t len,
    size_t *size)
{
    u_char  *p;

    *size = len + ngx_escape_json(NULL, s, len);

    p = ngx_pnalloc(pool, *size);
    if (p) {
        ngx_escape_json(p, s, len);
    }

    return p;
}
