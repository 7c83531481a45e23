
#include "status/status.h"


static void ngx_http_binarize_html_zone(ngx_http_binarize_page_t *page,
    ngx_uint_t z);
static void ngx_http_binarize_html_attention(ngx_http_binarize_page_t *page,
    ngx_uint_t z);
static void ngx_http_binarize_html_now(ngx_http_binarize_page_t *page,
    ngx_uint_t z);
static void ngx_http_binarize_html_requests(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot);
static void ngx_http_binarize_html_cloud(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot);
static void ngx_http_binarize_html_families(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot);
static void ngx_http_binarize_html_durations(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot);
static const char *ngx_http_binarize_html_quantile(
    const ngx_http_binarize_histogram_t *histogram,
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t percent);
static void ngx_http_binarize_html_bytes(ngx_http_binarize_page_t *page,
    uint64_t n);


void
ngx_http_binarize_page_html(ngx_http_binarize_page_t *page)
{
    ngx_uint_t  z;

    ngx_http_binarize_page_printf(page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<title>binarize: status</title>\n<style>\n"
        ":root { color-scheme: light dark }\n"
        "body { font: 16px/1.4 sans-serif; margin: 1em; max-width: 60em }\n"
        "td, th { padding: .1em 1em .1em 0; text-align: left; "
        "vertical-align: top }\n"
        "td.n { text-align: right; font-variant-numeric: tabular-nums; "
        "white-space: nowrap }\n"
        ".bad { font-weight: bold; border-left: .4em solid #c00; "
        "padding-left: .6em }\n"
        "</style>\n");

    ngx_http_binarize_page_printf(page,
        "<h1>binarize: status</h1>\n"
        "<p>%V, ngx_http_binarize_module %s in nginx %s. Counters run since "
        "nginx was started, over reloads.</p>\n",
        &ngx_cached_http_time, NGX_HTTP_BINARIZE_VERSION, NGINX_VERSION);

    if (page->nzones == 0) {
        ngx_http_binarize_page_printf(page, "<p>No zone is configured.</p>\n");
    }

    for (z = 0; z < page->nzones; z++) {
        ngx_http_binarize_html_zone(page, z);
    }

    ngx_http_binarize_page_printf(page, "</html>\n");
}


static void
ngx_http_binarize_html_zone(ngx_http_binarize_page_t *page, ngx_uint_t z)
{
    ngx_http_binarize_snapshot_t  *snapshot;

    snapshot = &page->snapshots[z];

    ngx_http_binarize_page_printf(page, "<h2>Zone %V</h2>\n",
                                  &page->names[z].html);

    ngx_http_binarize_html_attention(page, z);
    ngx_http_binarize_html_now(page, z);
    ngx_http_binarize_html_requests(page, snapshot);
    ngx_http_binarize_html_cloud(page, snapshot);
    ngx_http_binarize_html_durations(page, snapshot);
    ngx_http_binarize_html_families(page, snapshot);
}


/* what is wrong now; what is said here ends when it is mended */

static void
ngx_http_binarize_html_attention(ngx_http_binarize_page_t *page, ngx_uint_t z)
{
    uint64_t                          *g;
    ngx_uint_t                         i, n;
    ngx_http_binarize_status_token_t  *token;

    n = 0;
    g = page->snapshots[z].gauges;

    if (g[NGX_HTTP_BINARIZE_G_REDIS_USABLE]
        < g[NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS])
    {
        n++;
        ngx_http_binarize_page_printf(page,
            "<p class=\"bad\">Redis: only %uL of %uL connections are usable. "
            "Results go past it; the error log says why.</p>\n",
            g[NGX_HTTP_BINARIZE_G_REDIS_USABLE],
            g[NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS]);
    }

    for (i = 0; i < page->ntokens; i++) {
        token = &page->tokens[i];

        if (token->nzone != z) {
            continue;
        }

        if (token->quota && token->spent >= token->quota) {
            n++;
            ngx_http_binarize_page_printf(page,
                "<p class=\"bad\">Credential %ui: its quota of %uL calls is "
                "spent. The cloud is not asked until the next day or month "
                "(UTC) begins.</p>\n", token->credential, token->quota);
        }

        if (token->next_try_s == 0 || token->problem == BINARIZE_PROBLEM_NONE) {
            continue;
        }

        n++;
        ngx_http_binarize_page_printf(page,
            "<p class=\"bad\">Credential %ui: the last call for a token "
            "failed (%s), the next try is in %uL s. %s</p>\n",
            token->credential, binarize_problem_name(token->problem),
            token->next_try_s,
            token->expires_s ? "The token there is still works."
                             : "There is no token: the cloud is not asked.");
    }

    if (n == 0) {
        ngx_http_binarize_page_printf(page,
                                      "<p>Nothing needs attention.</p>\n");
    }
}


static void
ngx_http_binarize_html_now(ngx_http_binarize_page_t *page, ngx_uint_t z)
{
    uint64_t                          *g;
    ngx_uint_t                         i;
    binarize_store_stats_t            *store;
    ngx_http_binarize_snapshot_t      *snapshot;
    ngx_http_binarize_status_token_t  *token;

    snapshot = &page->snapshots[z];
    store = &snapshot->store;
    g = snapshot->gauges;

    ngx_http_binarize_page_printf(page,
        "<h3>Now</h3>\n<table>\n"
        "<tr><th>Workers<td>%uL\n"
        "<tr><th>Waiting requests<td>%uL\n"
        "<tr><th>Calls to the cloud in the air<td>%uL\n"
        "<tr><th>Pending tasks somebody waits for<td>%uL\n",
        snapshot->nworkers, g[NGX_HTTP_BINARIZE_G_WAITING],
        g[NGX_HTTP_BINARIZE_G_FETCHING], g[NGX_HTTP_BINARIZE_G_SLEEPING]);

    ngx_http_binarize_page_printf(page,
        "<tr><th>Shared memory<td>%uL results, %uL failures and %uL pending "
        "remembered; ",
        store->kinds[BINARIZE_STORE_RESULT].nentries,
        store->kinds[BINARIZE_STORE_NEGATIVE].nentries,
        store->kinds[BINARIZE_STORE_PENDING].nentries);

    ngx_http_binarize_html_bytes(page, store->nfree_blocks
                                       * BINARIZE_STORE_BLOCK_SIZE);
    ngx_http_binarize_page_printf(page, " of ");
    ngx_http_binarize_html_bytes(page, store->nblocks
                                       * BINARIZE_STORE_BLOCK_SIZE);
    ngx_http_binarize_page_printf(page, " free\n<tr><th>Redis<td>");

    if (g[NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS]) {
        ngx_http_binarize_page_printf(page, "%uL of %uL connections usable\n",
                                   g[NGX_HTTP_BINARIZE_G_REDIS_USABLE],
                                   g[NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS]);
    } else {
        ngx_http_binarize_page_printf(page, "not configured\n");
    }

    for (i = 0; i < page->ntokens; i++) {
        token = &page->tokens[i];

        if (token->nzone != z) {
            continue;
        }

        ngx_http_binarize_page_printf(page, "<tr><th>Credential %ui<td>",
                                      token->credential);
        if (token->file) {
            ngx_http_binarize_page_printf(page, "a file, read by each "
                                          "worker\n");

        } else if (token->expires_s) {
            ngx_http_binarize_page_printf(page, "token valid for %uL s\n",
                                          token->expires_s);

        } else {
            ngx_http_binarize_page_printf(page, "no token%s\n",
                                          token->used ? ""
                                                      : ", none was needed");
        }

        if (token->quota) {
            ngx_http_binarize_page_printf(page, "<br>%uL of a quota of %uL "
                                          "calls spent\n",
                                          token->spent, token->quota);
        }
    }

    ngx_http_binarize_page_printf(page, "</table>\n");
}


static void
ngx_http_binarize_html_requests(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot)
{
    uint64_t    n[BINARIZE_SOURCES], total;
    ngx_uint_t  i, k, s;

    /* by binarize_source_e */

    static const char  *texts[] = {
        "refused as wrong, or the client left",
        "from shared memory",
        "from Redis",
        "fetched from the cloud",
        "waited for another request's call",
        "a remembered failure",
        "a remembered Pending",
        "fetched, nothing caches"
    };

    total = 0;
    ngx_memzero(n, sizeof(n));

    for (i = 0; i < NGX_HTTP_BINARIZE_NAMESPACES; i++) {
        for (k = 0; k < NGX_HTTP_BINARIZE_FORMATS; k++) {
            for (s = 0; s < BINARIZE_SOURCES; s++) {
                n[s] += ngx_http_binarize_requests(snapshot, i, k, s);
                total += ngx_http_binarize_requests(snapshot, i, k, s);
            }
        }
    }

    ngx_http_binarize_page_printf(page,
        "<h3>Requests</h3>\n<table>\n"
        "<tr><th>all<td class=\"n\">%uL<td class=\"n\">\n", total);

    for (s = 1; s <= BINARIZE_SOURCES; s++) {
        i = s % BINARIZE_SOURCES;

        if (n[i]) {
            ngx_http_binarize_page_printf(page,
                "<tr><th>%s<td class=\"n\">%uL<td class=\"n\">%uL.%uL %%"
                "<td>%s\n",
                binarize_source_name(i), n[i], n[i] * 100 / total,
                n[i] * 1000 / total % 10, texts[i]);
        }
    }

    ngx_http_binarize_page_printf(page, "</table>\n");
}


static void
ngx_http_binarize_html_cloud(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot)
{
    u_char      *ns;
    ngx_uint_t   i;

    ngx_http_binarize_page_printf(page,
                     "<h3>Cloud</h3>\n<table>\n"
                     "<tr><th>received<td class=\"n\">");
    ngx_http_binarize_html_bytes(page,
                           snapshot->cells[NGX_HTTP_BINARIZE_M_CLOUD_BYTES]);

    for (i = 0; i < NGX_HTTP_BINARIZE_NAMESPACES; i++) {
        ns = ngx_http_binarize_namespace_name(snapshot, i);

        if (ns) {
            ngx_http_binarize_page_printf(page,
                     "\n<tr><th>billed, %s<td class=\"n\">%uL",
                     ns, snapshot->cells[NGX_HTTP_BINARIZE_M_CLOUD_TRIES + i]);
        }
    }

    ngx_http_binarize_page_printf(page, "\n</table>\n");
}


/* the numbers that are not 0, under the names the other formats have */

static void
ngx_http_binarize_html_families(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot)
{
    uint64_t                           n;
    ngx_uint_t                         i;
    const char                        *value;
    const ngx_http_binarize_family_t  *family;

    ngx_http_binarize_page_printf(page, "<h3>All that is not 0</h3>\n"
                                        "<table>\n");

    for (family = ngx_http_binarize_families; family->name; family++) {
        for (i = 0; i < family->n; i++) {

            value = family->label ? ngx_http_binarize_family_value(family, i)
                                  : "";
            if (value == NULL) {
                continue;
            }

            n = ngx_http_binarize_family_number(family, snapshot, i);

            if (n == 0) {
                continue;
            }

            ngx_http_binarize_page_printf(page,
                             "<tr><th>%s%s%s<td class=\"n\">%uL<td>%s\n",
                             family->name, family->label ? " " : "", value, n,
                             family->help);
        }
    }

    ngx_http_binarize_page_printf(page, "</table>\n");
}


static void
ngx_http_binarize_html_durations(ngx_http_binarize_page_t *page,
    ngx_http_binarize_snapshot_t *snapshot)
{
    uint64_t                              n;
    const ngx_http_binarize_histogram_t  *histogram;

    ngx_http_binarize_page_printf(page,
        "<h3>Durations</h3>\n<table>\n"
        "<tr><th><th>events<th>half within<th>99 %% within<th>\n");

    for (histogram = ngx_http_binarize_histograms; histogram->name;
         histogram++)
    {
        n = ngx_http_binarize_histogram_count(histogram, snapshot,
                                              histogram->nbounds);
        if (n == 0 || !histogram->seconds) {
            continue;
        }

        ngx_http_binarize_page_printf(page,
            "<tr><th>%s<td class=\"n\">%uL<td class=\"n\">%s s"
            "<td class=\"n\">%s s<td>%s\n",
            histogram->name, n,
            ngx_http_binarize_html_quantile(histogram, snapshot, 50),
            ngx_http_binarize_html_quantile(histogram, snapshot, 99),
            histogram->help);
    }

    ngx_http_binarize_page_printf(page, "</table>\n");
}


/* the bound of the bucket it lies in: nothing more is known */

static const char *
ngx_http_binarize_html_quantile(const ngx_http_binarize_histogram_t *histogram,
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t percent)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = ngx_http_binarize_histogram_count(histogram, snapshot,
                                          histogram->nbounds);

    for (i = 0; i < histogram->nbounds; i++) {
        if (ngx_http_binarize_histogram_count(histogram, snapshot, i) * 100
            >= n * percent)
        {
            return histogram->labels[i];
        }
    }

    return "more";
}


static void
ngx_http_binarize_html_bytes(ngx_http_binarize_page_t *page, uint64_t n)
{
    ngx_uint_t  i;

    static const char  *units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };

    for (i = 0; i < 4 && n >= 10 * 1024; i++) {
        n /= 1024;
    }

    ngx_http_binarize_page_printf(page, "%uL %s", n, units[i]);
}
