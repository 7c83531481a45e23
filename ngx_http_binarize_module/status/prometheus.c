
#include "status/status.h"

#include <hiredis/hiredis.h>


static void ngx_http_binarize_prometheus_head(ngx_http_binarize_page_t *page,
    const char *name, const char *suffix, const char *help, const char *type);
static void ngx_http_binarize_prometheus_requests(
    ngx_http_binarize_page_t *page);
static void ngx_http_binarize_prometheus_tries(
    ngx_http_binarize_page_t *page);
static void ngx_http_binarize_prometheus_family(
    ngx_http_binarize_page_t *page, const ngx_http_binarize_family_t *family);
static void ngx_http_binarize_prometheus_histogram(
    ngx_http_binarize_page_t *page,
    const ngx_http_binarize_histogram_t *histogram);
static void ngx_http_binarize_prometheus_credentials(
    ngx_http_binarize_page_t *page,
    const ngx_http_binarize_credential_t *credential);


void
ngx_http_binarize_page_prometheus(ngx_http_binarize_page_t *page)
{
    const ngx_http_binarize_family_t      *family;
    const ngx_http_binarize_histogram_t   *histogram;
    const ngx_http_binarize_credential_t  *credential;

    ngx_http_binarize_prometheus_head(page, "build_info", "",
                                      "What runs here.", "gauge");
    ngx_http_binarize_page_printf(page,
                      "binarize_build_info{version=\"%s\",nginx=\"%s\","
                      "hiredis=\"%d.%d.%d\"} 1\n",
                      NGX_HTTP_BINARIZE_VERSION, NGINX_VERSION,
                      HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);

    ngx_http_binarize_prometheus_requests(page);
    ngx_http_binarize_prometheus_tries(page);

    for (family = ngx_http_binarize_families; family->name; family++) {
        ngx_http_binarize_prometheus_family(page, family);
    }

    for (histogram = ngx_http_binarize_histograms; histogram->name;
         histogram++)
    {
        ngx_http_binarize_prometheus_histogram(page, histogram);
    }

    for (credential = ngx_http_binarize_per_credential; credential->name;
         credential++)
    {
        ngx_http_binarize_prometheus_credentials(page, credential);
    }
}


static void
ngx_http_binarize_prometheus_head(ngx_http_binarize_page_t *page,
    const char *name, const char *suffix, const char *help, const char *type)
{
    ngx_http_binarize_page_printf(page, "# HELP binarize_%s%s %s\n"
                                  "# TYPE binarize_%s%s %s\n",
                                  name, suffix, help, name, suffix, type);
}


static void
ngx_http_binarize_prometheus_requests(ngx_http_binarize_page_t *page)
{
    u_char                        *ns;
    uint64_t                       n;
    ngx_uint_t                     z, i, k, s;
    ngx_http_binarize_snapshot_t  *snapshot;

    ngx_http_binarize_prometheus_head(page, "requests", "_total",
                                      "Requests by where the answer came "
                                      "from, as $binarize_cache.", "counter");

    for (z = 0; z < page->nzones; z++) {
        snapshot = &page->snapshots[z];

        for (i = 0; i < NGX_HTTP_BINARIZE_NAMESPACES; i++) {
            ns = ngx_http_binarize_namespace_name(snapshot, i);

            if (ns == NULL) {
                continue;
            }

            for (k = 0; k < NGX_HTTP_BINARIZE_FORMATS; k++) {
                for (s = 0; s < BINARIZE_SOURCES; s++) {
                    n = ngx_http_binarize_requests(snapshot, i, k, s);

                    if (n == 0 && s && k == BINARIZE_FORMAT_NONE) {
                        continue;
                    }

                    ngx_http_binarize_page_printf(page,
                        "binarize_requests_total{zone=\"%V\",namespace=\"%s\","
                        "format=\"%s\",cache=\"%s\"} %uL\n",
                        &page->names[z].label, ns,
                        ngx_http_binarize_format_name(k),
                        binarize_source_name(s), n);
                }
            }
        }
    }
}


static void
ngx_http_binarize_prometheus_tries(ngx_http_binarize_page_t *page)
{
    u_char                        *ns;
    ngx_uint_t                     z, i;
    ngx_http_binarize_snapshot_t  *snapshot;

    ngx_http_binarize_prometheus_head(page, "cloud_tries", "_total",
                                      "Requests sent to the cloud for a "
                                      "result: what is billed.", "counter");

    for (z = 0; z < page->nzones; z++) {
        snapshot = &page->snapshots[z];

        for (i = 0; i < NGX_HTTP_BINARIZE_NAMESPACES; i++) {
            ns = ngx_http_binarize_namespace_name(snapshot, i);

            if (ns == NULL) {
                continue;
            }

            ngx_http_binarize_page_printf(page,
                     "binarize_cloud_tries_total{zone=\"%V\",namespace=\"%s\"}"
                     " %uL\n",
                     &page->names[z].label, ns,
                     snapshot->cells[NGX_HTTP_BINARIZE_M_CLOUD_TRIES + i]);
        }
    }
}


static void
ngx_http_binarize_prometheus_family(ngx_http_binarize_page_t *page,
    const ngx_http_binarize_family_t *family)
{
    uint64_t     n;
    ngx_uint_t   z, i;
    const char  *value, *suffix;

    suffix = family->counter ? "_total" : "";

    ngx_http_binarize_prometheus_head(page, family->name, suffix,
                                      family->help,
                                      family->counter ? "counter" : "gauge");

    for (z = 0; z < page->nzones; z++) {
        for (i = 0; i < family->n; i++) {

            n = ngx_http_binarize_family_number(family, &page->snapshots[z],
                                                i);

            if (family->label == NULL) {
                ngx_http_binarize_page_printf(page,
                                      "binarize_%s%s{zone=\"%V\"} %uL\n",
                                      family->name, suffix,
                                      &page->names[z].label, n);
                continue;
            }

            value = ngx_http_binarize_family_value(family, i);

            if (value) {
                ngx_http_binarize_page_printf(page,
                                  "binarize_%s%s{zone=\"%V\",%s=\"%s\"} %uL\n",
                                  family->name, suffix,
                                  &page->names[z].label, family->label, value,
                                  n);
            }
        }
    }
}


static void
ngx_http_binarize_prometheus_histogram(ngx_http_binarize_page_t *page,
    const ngx_http_binarize_histogram_t *histogram)
{
    uint64_t                       sum;
    ngx_str_t                     *zone;
    ngx_uint_t                     z, i;
    const char                    *name;
    ngx_http_binarize_snapshot_t  *snapshot;

    name = histogram->name;

    ngx_http_binarize_prometheus_head(page, name, "", histogram->help,
                                      "histogram");

    for (z = 0; z < page->nzones; z++) {
        snapshot = &page->snapshots[z];
        zone = &page->names[z].label;

        for (i = 0; i <= histogram->nbounds; i++) {
            ngx_http_binarize_page_printf(page,
                             "binarize_%s_bucket{zone=\"%V\",le=\"%s\"} %uL\n",
                             name, zone,
                             i < histogram->nbounds ? histogram->labels[i]
                                                    : "+Inf",
                             ngx_http_binarize_histogram_count(histogram,
                                                               snapshot, i));
        }

        sum = snapshot->cells[histogram->first + histogram->nbounds + 1];

        if (histogram->seconds) {
            ngx_http_binarize_page_printf(page,
                                 "binarize_%s_sum{zone=\"%V\"} %uL.%06uL\n",
                                 name, zone, sum / 1000000, sum % 1000000);

        } else {
            ngx_http_binarize_page_printf(page,
                                          "binarize_%s_sum{zone=\"%V\"} %uL\n",
                                          name, zone, sum);
        }

        ngx_http_binarize_page_printf(page,
                             "binarize_%s_count{zone=\"%V\"} %uL\n",
                             name, zone,
                             ngx_http_binarize_histogram_count(histogram,
                                              snapshot, histogram->nbounds));
    }
}


static void
ngx_http_binarize_prometheus_credentials(ngx_http_binarize_page_t *page,
    const ngx_http_binarize_credential_t *credential)
{
    uint64_t                           n;
    ngx_uint_t                         i;
    ngx_http_binarize_status_token_t  *token;

    ngx_http_binarize_prometheus_head(page, credential->name, "",
                                      credential->help, "gauge");

    for (i = 0; i < page->ntokens; i++) {
        token = &page->tokens[i];

        if (ngx_http_binarize_credential_number(credential, token, &n)) {
            ngx_http_binarize_page_printf(page,
                     "binarize_%s{zone=\"%V\",credential=\"%ui\"} %uL\n",
                     credential->name, &page->names[token->nzone].label,
                     token->credential, n);
        }
    }
}
