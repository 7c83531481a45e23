
/*
 * The bulk goes through a kernel of the instruction set at hand (AVX2 or
 * plain C with tables, to encode also AVX-512), everything else (held digits,
 * white space, padding, the ends of the buffers) digit by digit.  No kernel
 * reads beyond the input or writes beyond the room it is given.
 */


#include <string.h>

#include "base64.h"


#if defined(__x86_64__) && defined(__GNUC__)                                  \
    && !defined(BINARIZE_BASE64_PORTABLE)
#define BINARIZE_BASE64_AVX2  1
#include <immintrin.h>

#if !defined(BINARIZE_BASE64_NO_AVX512)
#define BINARIZE_BASE64_AVX512  1
#endif

#define BASE64_BLOCK            32

/* what is encoded often comes from far away, and faster than that is fetched
   ahead by itself */
#define BASE64_PREFETCH         2048

#define BASE64_ESCAPE_MAX_SIZE  6       /* \u002B */

/* an escape that is a block's last character, and a block behind it */
#define BASE64_ESCAPE_REACH                                                   \
    (BASE64_BLOCK - 1 + BASE64_ESCAPE_MAX_SIZE + BASE64_BLOCK)

#endif


/*
 * A quantum is the sum of one entry of each table: the digits' bits in place
 * below, and the number of good digits in the top byte.
 */
#define BASE64_VALID      0x01000000u
#define BASE64_QUANTUM    4
#define BASE64_VALUE(v, shift)  (((uint32_t) (v) << (shift)) | BASE64_VALID)

#define BASE64_TABLE(s)                                                       \
    ['A'] = BASE64_VALUE(0, s),  ['B'] = BASE64_VALUE(1, s),                  \
    ['C'] = BASE64_VALUE(2, s),  ['D'] = BASE64_VALUE(3, s),                  \
    ['E'] = BASE64_VALUE(4, s),  ['F'] = BASE64_VALUE(5, s),                  \
    ['G'] = BASE64_VALUE(6, s),  ['H'] = BASE64_VALUE(7, s),                  \
    ['I'] = BASE64_VALUE(8, s),  ['J'] = BASE64_VALUE(9, s),                  \
    ['K'] = BASE64_VALUE(10, s), ['L'] = BASE64_VALUE(11, s),                 \
    ['M'] = BASE64_VALUE(12, s), ['N'] = BASE64_VALUE(13, s),                 \
    ['O'] = BASE64_VALUE(14, s), ['P'] = BASE64_VALUE(15, s),                 \
    ['Q'] = BASE64_VALUE(16, s), ['R'] = BASE64_VALUE(17, s),                 \
    ['S'] = BASE64_VALUE(18, s), ['T'] = BASE64_VALUE(19, s),                 \
    ['U'] = BASE64_VALUE(20, s), ['V'] = BASE64_VALUE(21, s),                 \
    ['W'] = BASE64_VALUE(22, s), ['X'] = BASE64_VALUE(23, s),                 \
    ['Y'] = BASE64_VALUE(24, s), ['Z'] = BASE64_VALUE(25, s),                 \
    ['a'] = BASE64_VALUE(26, s), ['b'] = BASE64_VALUE(27, s),                 \
    ['c'] = BASE64_VALUE(28, s), ['d'] = BASE64_VALUE(29, s),                 \
    ['e'] = BASE64_VALUE(30, s), ['f'] = BASE64_VALUE(31, s),                 \
    ['g'] = BASE64_VALUE(32, s), ['h'] = BASE64_VALUE(33, s),                 \
    ['i'] = BASE64_VALUE(34, s), ['j'] = BASE64_VALUE(35, s),                 \
    ['k'] = BASE64_VALUE(36, s), ['l'] = BASE64_VALUE(37, s),                 \
    ['m'] = BASE64_VALUE(38, s), ['n'] = BASE64_VALUE(39, s),                 \
    ['o'] = BASE64_VALUE(40, s), ['p'] = BASE64_VALUE(41, s),                 \
    ['q'] = BASE64_VALUE(42, s), ['r'] = BASE64_VALUE(43, s),                 \
    ['s'] = BASE64_VALUE(44, s), ['t'] = BASE64_VALUE(45, s),                 \
    ['u'] = BASE64_VALUE(46, s), ['v'] = BASE64_VALUE(47, s),                 \
    ['w'] = BASE64_VALUE(48, s), ['x'] = BASE64_VALUE(49, s),                 \
    ['y'] = BASE64_VALUE(50, s), ['z'] = BASE64_VALUE(51, s),                 \
    ['0'] = BASE64_VALUE(52, s), ['1'] = BASE64_VALUE(53, s),                 \
    ['2'] = BASE64_VALUE(54, s), ['3'] = BASE64_VALUE(55, s),                 \
    ['4'] = BASE64_VALUE(56, s), ['5'] = BASE64_VALUE(57, s),                 \
    ['6'] = BASE64_VALUE(58, s), ['7'] = BASE64_VALUE(59, s),                 \
    ['8'] = BASE64_VALUE(60, s), ['9'] = BASE64_VALUE(61, s),                 \
    ['+'] = BASE64_VALUE(62, s), ['/'] = BASE64_VALUE(63, s)


typedef struct {
    const unsigned char  *in;
    const unsigned char  *in_end;
    unsigned char        *out;
    unsigned char        *out_end;
} base64_io_t;


static int base64_decode_one(binarize_base64_t *b, base64_io_t *io);
static int base64_decode_digit(binarize_base64_t *b, uint32_t digit,
    base64_io_t *io);
static int base64_decode_pad(binarize_base64_t *b);
static void base64_decode_bulk(const binarize_base64_t *b, base64_io_t *io);
static void base64_encode_bulk(base64_io_t *io);

#if (BINARIZE_BASE64_AVX2)
static void base64_decode_avx2(base64_io_t *io, unsigned json);
static size_t base64_escape_size(const unsigned char *in,
    unsigned char *digit);
static void base64_encode_avx2(base64_io_t *io);
#endif

#if (BINARIZE_BASE64_AVX512)
static void base64_encode_avx512(base64_io_t *io);
#endif


static const uint32_t  base64_first[256] = { BASE64_TABLE(18) };
static const uint32_t  base64_second[256] = { BASE64_TABLE(12) };
static const uint32_t  base64_third[256] = { BASE64_TABLE(6) };
static const uint32_t  base64_fourth[256] = { BASE64_TABLE(0) };

/* not a string: no terminating zero */
static const char  base64_digits[64] = {
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
    'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
    'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'
};


void
binarize_base64_init(binarize_base64_t *b)
{
    b->bits = 0;
    b->ndigits = 0;
    b->npads = 0;
    b->json = 0;
}


int
binarize_base64_decode(binarize_base64_t *b, const unsigned char **in,
    const unsigned char *in_end, unsigned char **out, unsigned char *out_end)
{
    int          rc;
    base64_io_t  io;

    io.in = *in;
    io.in_end = in_end;
    io.out = *out;
    io.out_end = out_end;

    do {
        if (b->ndigits == 0 && b->npads == 0) {
            base64_decode_bulk(b, &io);
        }

        rc = base64_decode_one(b, &io);

    } while (rc == BINARIZE_OK);

    *in = io.in;
    *out = io.out;

    return rc;
}


static int
base64_decode_one(binarize_base64_t *b, base64_io_t *io)
{
    int            rc;
    uint32_t       digit;
    unsigned char  c;

    if (io->in == io->in_end) {
        return BINARIZE_AGAIN;
    }

    c = *io->in;
    digit = base64_fourth[c];

    if (digit) {
        rc = base64_decode_digit(b, digit & 0x3f, io);

    } else if (c == '=') {
        rc = base64_decode_pad(b);

    } else if ((c == '\r' || c == '\n' || c == ' ' || c == '\t')
               && !b->json)
    {
        rc = BINARIZE_OK;

    } else {
        rc = BINARIZE_ERROR;
    }

    if (rc == BINARIZE_OK) {
        io->in++;
    }

    return rc;
}


static int
base64_decode_digit(binarize_base64_t *b, uint32_t digit, base64_io_t *io)
{
    uint32_t  bits;

    if (b->npads) {
        return BINARIZE_ERROR;
    }

    bits = b->bits << 6 | digit;

    if (b->ndigits < 3) {
        b->bits = bits;
        b->ndigits++;
        return BINARIZE_OK;
    }

    if (io->out_end - io->out < 3) {
        return BINARIZE_FULL;
    }

    *io->out++ = (unsigned char) (bits >> 16);
    *io->out++ = (unsigned char) (bits >> 8);
    *io->out++ = (unsigned char) bits;

    b->bits = 0;
    b->ndigits = 0;

    return BINARIZE_OK;
}


static int
base64_decode_pad(binarize_base64_t *b)
{
    if (b->ndigits < 2 || b->ndigits + b->npads == 4) {
        return BINARIZE_ERROR;
    }

    b->npads++;

    return BINARIZE_OK;
}


int
binarize_base64_finish(binarize_base64_t *b, unsigned char **out,
    unsigned char *out_end)
{
    if (b->ndigits == 0) {
        return BINARIZE_OK;
    }

    if (b->ndigits == 1 || (b->npads && b->ndigits + b->npads != 4)) {
        return BINARIZE_ERROR;
    }

    if (b->bits & (b->ndigits == 2 ? 0x0f : 0x03)) {
        return BINARIZE_ERROR;
    }

    if (out_end - *out < 2) {
        return BINARIZE_FULL;
    }

    if (b->ndigits == 2) {
        *(*out)++ = (unsigned char) (b->bits >> 4);

    } else {
        *(*out)++ = (unsigned char) (b->bits >> 10);
        *(*out)++ = (unsigned char) (b->bits >> 2);
    }

    b->bits = 0;
    b->ndigits = 0;

    return BINARIZE_OK;
}


/* stops at the first quantum that is not four digits */

static void
base64_decode_bulk(const binarize_base64_t *b, base64_io_t *io)
{
    uint32_t              q;
    unsigned char        *out;
    const unsigned char  *in;

#if (BINARIZE_BASE64_AVX2)
    if (__builtin_cpu_supports("avx2")) {
        base64_decode_avx2(io, b->json);
    }
#else
    (void) b;
#endif

    in = io->in;
    out = io->out;

    while (io->in_end - in >= 4 && io->out_end - out >= 3) {

        q = base64_first[in[0]] + base64_second[in[1]]
            + base64_third[in[2]] + base64_fourth[in[3]];

        if (q >> 24 != BASE64_QUANTUM) {
            break;
        }

        out[0] = (unsigned char) (q >> 16);
        out[1] = (unsigned char) (q >> 8);
        out[2] = (unsigned char) q;

        in += 4;
        out += 3;
    }

    io->in = in;
    io->out = out;
}


size_t
binarize_base64_encode(unsigned char *out, const unsigned char *in,
    size_t size)
{
    uint32_t     q;
    base64_io_t  io;

    io.in = in;
    io.in_end = in + size;
    io.out = out;
    io.out_end = out + binarize_base64_size(size);

    base64_encode_bulk(&io);

    switch (io.in_end - io.in) {

    case 2:
        q = (uint32_t) io.in[0] << 16 | (uint32_t) io.in[1] << 8;
        *io.out++ = (unsigned char) base64_digits[q >> 18];
        *io.out++ = (unsigned char) base64_digits[q >> 12 & 0x3f];
        *io.out++ = (unsigned char) base64_digits[q >> 6 & 0x3f];
        *io.out++ = '=';
        break;

    case 1:
        *io.out++ = (unsigned char) base64_digits[io.in[0] >> 2];
        *io.out++ = (unsigned char) base64_digits[io.in[0] << 4 & 0x3f];
        *io.out++ = '=';
        *io.out++ = '=';
        break;
    }

    return io.out - out;
}


static void
base64_encode_bulk(base64_io_t *io)
{
    uint32_t              q;
    unsigned char        *out;
    const unsigned char  *in;

#if (BINARIZE_BASE64_AVX512)
    if (__builtin_cpu_supports("avx512vbmi")) {
        base64_encode_avx512(io);
    }
#endif

#if (BINARIZE_BASE64_AVX2)
    if (__builtin_cpu_supports("avx2")) {
        base64_encode_avx2(io);
    }
#endif

    in = io->in;
    out = io->out;

    while (io->in_end - in >= 3) {

        q = (uint32_t) in[0] << 16 | (uint32_t) in[1] << 8 | in[2];

        out[0] = (unsigned char) base64_digits[q >> 18];
        out[1] = (unsigned char) base64_digits[q >> 12 & 0x3f];
        out[2] = (unsigned char) base64_digits[q >> 6 & 0x3f];
        out[3] = (unsigned char) base64_digits[q & 0x3f];

        in += 3;
        out += 4;
    }

    io->in = in;
    io->out = out;
}


#if (BINARIZE_BASE64_AVX2)

/*
 * Both nibbles of a character look up a set of classes; a class in common
 * says that it is no digit:
 *   0x01  2x, digits are "+" and "/"     0x08  5x and 7x, P-Z and p-z
 *   0x02  3x, digits are 0-9             0x10  everything else
 *   0x04  4x and 6x, A-O and a-o
 * The high nibble, less one for "/", also finds what is to be added to the
 * character to get its value.  (W. Mula, D. Lemire, "Faster Base64 Encoding
 * and Decoding Using AVX2 Instructions", 2018)
 */

__attribute__((target("avx2")))
static inline __m256i
base64_values_avx2(__m256i text, uint32_t *invalid)
{
    __m256i  high, low, classes, rolls, slash;

    const __m256i  high_classes = _mm256_setr_epi8(
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08,
        0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08,
        0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);

    const __m256i  low_classes = _mm256_setr_epi8(
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a,
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);

    const __m256i  roll = _mm256_setr_epi8(
        0, 63 - '/', 62 - '+', 52 - '0', 0 - 'A', 0 - 'A', 26 - 'a', 26 - 'a',
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 63 - '/', 62 - '+', 52 - '0', 0 - 'A', 0 - 'A', 26 - 'a', 26 - 'a',
        0, 0, 0, 0, 0, 0, 0, 0);

    const __m256i  nibble = _mm256_set1_epi8(0x0f);

    high = _mm256_and_si256(_mm256_srli_epi32(text, 4), nibble);
    low = _mm256_and_si256(text, nibble);

    classes = _mm256_and_si256(_mm256_shuffle_epi8(high_classes, high),
                               _mm256_shuffle_epi8(low_classes, low));

    *invalid = ~(uint32_t) _mm256_movemask_epi8(
                     _mm256_cmpeq_epi8(classes, _mm256_setzero_si256()));

    slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/'));
    rolls = _mm256_shuffle_epi8(roll, _mm256_add_epi8(high, slash));

    return _mm256_add_epi8(text, rolls);
}


/* stores 32 bytes, of which the first 24 count */

__attribute__((target("avx2")))
static inline void
base64_pack_avx2(__m256i values, unsigned char *out)
{
    __m256i  v;

    const __m256i  bytes = _mm256_setr_epi8(
        2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1,
        2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);

    const __m256i  join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);

    v = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
    v = _mm256_shuffle_epi8(v, bytes);
    v = _mm256_permutevar8x32_epi32(v, join);

    _mm256_storeu_si256((__m256i *) out, v);
}


__attribute__((target("avx2")))
static void
base64_decode_avx2(base64_io_t *io, unsigned json)
{
    size_t                at, ngood, escape;
    __m256i               text, values;
    uint32_t              invalid;
    unsigned char        *out, digit, spliced[2 * BASE64_BLOCK];
    const unsigned char  *in;

    in = io->in;
    out = io->out;
    digit = 0;

    while (io->in_end - in >= BASE64_BLOCK
           && io->out_end - out >= BASE64_BLOCK)
    {
        text = _mm256_loadu_si256((const __m256i *) in);
        values = base64_values_avx2(text, &invalid);
        base64_pack_avx2(values, out);

        if (invalid == 0) {
            in += BASE64_BLOCK;
            out += BASE64_BLOCK / 4 * 3;
            continue;
        }

        at = (size_t) __builtin_ctz(invalid);
        escape = 0;

        if (json && io->in_end - in >= BASE64_ESCAPE_REACH) {
            escape = base64_escape_size(in + at, &digit);
        }

        if (escape == 0) {
            in += at / 4 * 4;
            out += at / 4 * 3;
            break;
        }

        /* the block again with the digit in place of its escape */

        _mm256_storeu_si256((__m256i *) spliced, text);
        spliced[at] = digit;
        _mm256_storeu_si256((__m256i *) &spliced[at + 1],
            _mm256_loadu_si256((const __m256i *) (in + at + escape)));

        text = _mm256_loadu_si256((const __m256i *) spliced);
        values = base64_values_avx2(text, &invalid);
        base64_pack_avx2(values, out);

        ngood = invalid ? (size_t) __builtin_ctz(invalid) / 4 * 4
                        : BASE64_BLOCK;

        if (ngood <= at) {
            in += ngood;
            out += ngood / 4 * 3;
            break;
        }

        in += ngood + escape - 1;
        out += ngood / 4 * 3;
    }

    io->in = in;
    io->out = out;
}


/* bytes of a JSON escape of a digit as writers of JSON use it, or 0 */

static size_t
base64_escape_size(const unsigned char *in, unsigned char *digit)
{
    if (in[0] != '\\') {
        return 0;
    }

    if (in[1] == '/') {
        *digit = '/';
        return 2;
    }

    if (memcmp(in + 1, "u002", 4) == 0 && (in[5] | 0x20) == 'b') {
        *digit = '+';
        return BASE64_ESCAPE_MAX_SIZE;
    }

    return 0;
}


__attribute__((target("avx2")))
static void
base64_encode_avx2(base64_io_t *io)
{
    __m256i               v, high, low, class;
    unsigned char        *out;
    const unsigned char  *in;

    /* three bytes to four, in the order that the multiplications need */

    const __m256i  spread = _mm256_setr_epi8(
        1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,
        1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);

    /*
     * values above 51 less 51, and 13 for those below 26, find what makes
     * the digit: 0 for a-z, 1-10 for 0-9, 11 "+", 12 "/", 13 for A-Z
     */

    const __m256i  roll = _mm256_setr_epi8(
        'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
        '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62,
        '/' - 63, 'A', 0, 0,
        'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
        '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62,
        '/' - 63, 'A', 0, 0);

    in = io->in;
    out = io->out;

    /* 24 bytes, read as two halves of 16 that lie 12 apart */

    while (io->in_end - in >= 28) {

        _mm_prefetch((const char *) in + BASE64_PREFETCH, _MM_HINT_T0);

        v = _mm256_inserti128_si256(
                _mm256_castsi128_si256(
                    _mm_loadu_si128((const __m128i *) in)),
                _mm_loadu_si128((const __m128i *) (in + 12)), 1);

        v = _mm256_shuffle_epi8(v, spread);

        high = _mm256_mulhi_epu16(
                   _mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)),
                   _mm256_set1_epi32(0x04000040));

        low = _mm256_mullo_epi16(
                  _mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)),
                  _mm256_set1_epi32(0x01000010));

        v = _mm256_or_si256(high, low);

        class = _mm256_or_si256(
                    _mm256_subs_epu8(v, _mm256_set1_epi8(51)),
                    _mm256_and_si256(
                        _mm256_cmpgt_epi8(_mm256_set1_epi8(26), v),
                        _mm256_set1_epi8(13)));

        v = _mm256_add_epi8(v, _mm256_shuffle_epi8(roll, class));

        _mm256_storeu_si256((__m256i *) out, v);

        in += 24;
        out += 32;
    }

    io->in = in;
    io->out = out;
}

#endif


#if (BINARIZE_BASE64_AVX512)

__attribute__((target("avx512f,avx512bw,avx512vbmi")))
static void
base64_encode_avx512(base64_io_t *io)
{
    __m512i               v;
    unsigned char        *out;
    const unsigned char  *in;

    const __m512i  digits = _mm512_loadu_si512(base64_digits);

    /* three bytes a b c to four, b a c b */

    const __m512i  spread = _mm512_set_epi8(
        46, 47, 45, 46, 43, 44, 42, 43, 40, 41, 39, 40, 37, 38, 36, 37,
        34, 35, 33, 34, 31, 32, 30, 31, 28, 29, 27, 28, 25, 26, 24, 25,
        22, 23, 21, 22, 19, 20, 18, 19, 16, 17, 15, 16, 13, 14, 12, 13,
        10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);

    /*
     * where each of the eight values of 64 bits begins; the two bits above
     * it are ignored
     */

    const __m512i  shifts = _mm512_set1_epi64(0x3036242a1016040a);

    in = io->in;
    out = io->out;

    while (io->in_end - in >= 48) {

        _mm_prefetch((const char *) in + BASE64_PREFETCH, _MM_HINT_T0);

        v = _mm512_maskz_loadu_epi8(0x0000ffffffffffff, in);

        v = _mm512_permutexvar_epi8(spread, v);
        v = _mm512_multishift_epi64_epi8(shifts, v);
        v = _mm512_permutexvar_epi8(v, digits);

        _mm512_storeu_si512(out, v);

        in += 48;
        out += 64;
    }

    io->in = in;
    io->out = out;
}

#endif
