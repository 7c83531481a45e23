
#include "status/status.h"

#include <hiredis/hiredis.h>


static void ngx_http_binarize_json_zone(ngx_http_binarize_page_t *page,
    ngx_uint_t z);
static void ngx_http_binarize_json_requests(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot);
static void ngx_http_binarize_json_tries(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot);
static void ngx_http_binarize_json_family(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot,
    const ngx_http_binarize_family_t *family);
static void ngx_http_binarize_json_histogram(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot,
    const ngx_http_binarize_histogram_t *histogram);
static void ngx_http_binarize_json_credentials(ngx_http_binarize_page_t *page,
    ngx_uint_t z, const ngx_http_binarize_credential_t *credential);


void
ngx_http_binarize_page_json(ngx_http_binarize_page_t *page)
{
    ngx_uint_t  z;

    ngx_http_binarize_page_printf(page,
                          "{\"build_info\":{\"version\":\"%s\","
                          "\"nginx\":\"%s\",\"hiredis\":\"%d.%d.%d\"},\n"
                          "\"time\":%T,\n\"zones\":[",
                          NGX_HTTP_BINARIZE_VERSION, NGINX_VERSION,
                          HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
                          ngx_time());

    for (z = 0; z < page->nzones; z++) {
        ngx_http_binarize_page_printf(page, z ? ",\n" : "\n");
        ngx_http_binarize_json_zone(page, z);
    }

    ngx_http_binarize_page_printf(page, "\n]}\n");
}


static void
ngx_http_binarize_json_zone(ngx_http_binarize_page_t *page, ngx_uint_t z)
{
    ngx_http_binarize_snapshot_t          *snapshot;
    const ngx_http_binarize_family_t      *family;
    const ngx_http_binarize_histogram_t   *histogram;
    const ngx_http_binarize_credential_t  *credential;

    snapshot = &page->snapshots[z];

    ngx_http_binarize_page_printf(page, "{\"name\":\"%V\"",
                                  &page->names[z].json);

    ngx_http_binarize_json_requests(page, snapshot);
    ngx_http_binarize_json_tries(page, snapshot);

    for (family = ngx_http_binarize_families; family->name; family++) {
        ngx_http_binarize_json_family(page, snapshot, family);
    }

    for (histogram = ngx_http_binarize_histograms; histogram->name;
         histogram++)
    {
        ngx_http_binarize_json_histogram(page, snapshot, histogram);
    }

    for (credential = ngx_http_binarize_per_credential; credential->name;
         credential++)
    {
        ngx_http_binarize_json_credentials(page, z, credential);
    }

    ngx_http_binarize_page_printf(page, "}");
}


static void
ngx_http_binarize_json_requests(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot)
{
    u_char      *ns;
    ngx_uint_t   i, k, s, n;

    ngx_http_binarize_page_printf(page, ",\n\"requests\":{");

    for (i = 0, n = 0; i < NGX_HTTP_BINARIZE_NAMESPACES; i++) {
        ns = ngx_http_binarize_namespace_name(snapshot, i);

        if (ns == NULL) {
            continue;
        }

        ngx_http_binarize_page_printf(page, "%s\n\"%s\":{", n++ ? "," : "",
                                      ns);

        for (k = 0; k < NGX_HTTP_BINARIZE_FORMATS; k++) {
            ngx_http_binarize_page_printf(page, "%s\"%s\":{", k ? "," : "",
                                          ngx_http_binarize_format_name(k));

            for (s = 0; s < BINARIZE_SOURCES; s++) {
                ngx_http_binarize_page_printf(page, "%s\"%s\":%uL",
                             s ? "," : "", binarize_source_name(s),
                             ngx_http_binarize_requests(snapshot, i, k, s));
            }

            ngx_http_binarize_page_printf(page, "}");
        }

        ngx_http_binarize_page_printf(page, "}");
    }

    ngx_http_binarize_page_printf(page, "}");
}


static void
ngx_http_binarize_json_tries(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot)
{
    u_char      *ns;
    ngx_uint_t   i, n;

    ngx_http_binarize_page_printf(page, ",\n\"cloud_tries\":{");

    for (i = 0, n = 0; i < NGX_HTTP_BINARIZE_NAMESPACES; i++) {
        ns = ngx_http_binarize_namespace_name(snapshot, i);

        if (ns) {
            ngx_http_binarize_page_printf(page, "%s\"%s\":%uL",
                     n++ ? "," : "", ns,
                     snapshot->cells[NGX_HTTP_BINARIZE_M_CLOUD_TRIES + i]);
        }
    }

    ngx_http_binarize_page_printf(page, "}");
}


static void
ngx_http_binarize_json_family(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot,
    const ngx_http_binarize_family_t *family)
{
    ngx_uint_t   i, n;
    const char  *value;

    if (family->label == NULL) {
        ngx_http_binarize_page_printf(page, ",\n\"%s\":%uL", family->name,
                     ngx_http_binarize_family_number(family, snapshot, 0));
        return;
    }

    ngx_http_binarize_page_printf(page, ",\n\"%s\":{", family->name);

    for (i = 0, n = 0; i < family->n; i++) {
        value = ngx_http_binarize_family_value(family, i);

        if (value) {
            ngx_http_binarize_page_printf(page, "%s\"%s\":%uL",
                     n++ ? "," : "", value,
                     ngx_http_binarize_family_number(family, snapshot, i));
        }
    }

    ngx_http_binarize_page_printf(page, "}");
}


static void
ngx_http_binarize_json_histogram(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot,
    const ngx_http_binarize_histogram_t *histogram)
{
    uint64_t    sum;
    ngx_uint_t  i;

    sum = snapshot->cells[histogram->first + histogram->nbounds + 1];

    ngx_http_binarize_page_printf(page, ",\n\"%s\":{\"count\":%uL,\"sum\":",
                         histogram->name,
                         ngx_http_binarize_histogram_count(histogram,
                                              snapshot, histogram->nbounds));

    if (histogram->seconds) {
        ngx_http_binarize_page_printf(page, "%uL.%06uL", sum / 1000000,
                                      sum % 1000000);

    } else {
        ngx_http_binarize_page_printf(page, "%uL", sum);
    }

    ngx_http_binarize_page_printf(page, ",\"buckets\":{");

    for (i = 0; i <= histogram->nbounds; i++) {
        ngx_http_binarize_page_printf(page, "%s\"%s\":%uL", i ? "," : "",
                         i < histogram->nbounds ? histogram->labels[i]
                                                : "+Inf",
                         ngx_http_binarize_histogram_count(histogram,
                                                           snapshot, i));
    }

    ngx_http_binarize_page_printf(page, "}}");
}


static void
ngx_http_binarize_json_credentials(ngx_http_binarize_page_t *page,
    ngx_uint_t z, const ngx_http_binarize_credential_t *credential)
{
    uint64_t                           n;
    ngx_uint_t                         i, k;
    ngx_http_binarize_status_token_t  *token;

    ngx_http_binarize_page_printf(page, ",\n\"%s\":{", credential->name);

    for (i = 0, k = 0; i < page->ntokens; i++) {
        token = &page->tokens[i];

        if (token->nzone == z
            && ngx_http_binarize_credential_number(credential, token, &n))
        {
            ngx_http_binarize_page_printf(page, "%s\"%ui\":%uL",
                                          k++ ? "," : "", token->credential,
                                          n);
        }
    }

    ngx_http_binarize_page_printf(page, "}");
}
