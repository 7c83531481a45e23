
#ifndef _NGX_CORE_H_INCLUDED_
#define _NGX_CORE_H_INCLUDED_


#include <ngx_config.h>


#define NGX_OK        0
#define NGX_ERROR     -1
#define NGX_DONE      -4
#define NGX_DECLINED  -5

#define CR            (u_char) '\r'
#define LF            (u_char) '\n'
#define CRLF          "\r\n"

#define ngx_min(a, b)       ((a) > (b) ? (b) : (a))
#define ngx_memzero(p, n)   (void) memset(p, 0, n)
#define ngx_memcpy(d, s, n) (void) memcpy(d, s, n)
#define ngx_strlen(s)       strlen(s)


static inline u_char *
ngx_strlchr(u_char *p, u_char *last, u_char c)
{
    return memchr(p, c, last - p);
}


/* the one format there is */

static inline u_char *
ngx_sprintf(u_char *p, const char *format, int64_t n)
{
    char  text[32];
    int   size;

    if (strcmp(format, "$%L\r\n") != 0) {
        abort();
    }

    size = snprintf(text, sizeof(text), "$%lld\r\n", (long long) n);
    memcpy(p, text, size);

    return p + size;
}


#endif /* _NGX_CORE_H_INCLUDED_ */
