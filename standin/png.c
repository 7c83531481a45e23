#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "png.h"

/* signature, IHDR, and what IDAT, the private chunk and IEND need */
#define PNG_OVERHEAD   (8 + 25 + 12 + 12 + 12)
#define PNG_MAX_WIDTH  1024


static void png_chunk(buf_t *b, const char *type, const void *data,
    size_t size);
static void png_be32(unsigned char *p, size_t n);


blob_t *
png_generate(size_t size, uint64_t seed)
{
    buf_t           b = { NULL, 0, 0 };
    size_t          width, height, raw_size, i, want;
    uLongf          packed_size;
    unsigned char   ihdr[13], *raw, *packed, *pad;

    size = size ? size : 700;
    seed |= 1;

    want = size / 2;
    width = want < PNG_MAX_WIDTH ? 8 : PNG_MAX_WIDTH;
    height = want / (width + 1);
    height = height ? height : 1;
    raw_size = height * (width + 1);

    raw = mem_alloc(raw_size);
    noise_bytes(&seed, raw, raw_size);

    /* filter type None */
    for (i = 0; i < height; i++) {
        raw[i * (width + 1)] = 0;
    }

    packed_size = compressBound(raw_size);
    packed = mem_alloc(packed_size);
    compress2(packed, &packed_size, raw, raw_size, Z_NO_COMPRESSION);

    png_be32(ihdr, width);
    png_be32(ihdr + 4, height);
    memcpy(ihdr + 8, "\x08\0\0\0\0", 5);

    buf_add(&b, "\x89PNG\r\n\x1a\n", 8);
    png_chunk(&b, "IHDR", ihdr, sizeof(ihdr));
    png_chunk(&b, "IDAT", packed, packed_size);

    if (size >= PNG_OVERHEAD + packed_size) {
        size -= PNG_OVERHEAD + packed_size;
        pad = mem_alloc(size);
        noise_bytes(&seed, pad, size);
        png_chunk(&b, "paDd", pad, size);
        free(pad);
    }

    png_chunk(&b, "IEND", NULL, 0);

    free(raw);
    free(packed);

    return blob_from_buf(&b);
}


static void
png_chunk(buf_t *b, const char *type, const void *data, size_t size)
{
    uLong          crc;
    unsigned char  word[4];

    png_be32(word, size);
    buf_add(b, word, 4);
    buf_add(b, type, 4);
    buf_add(b, data, size);

    crc = crc32_z(0, (const unsigned char *) b->data + b->size - size - 4,
                  size + 4);
    png_be32(word, crc);
    buf_add(b, word, 4);
}


static void
png_be32(unsigned char *p, size_t n)
{
    p[0] = (unsigned char) (n >> 24);
    p[1] = (unsigned char) (n >> 16);
    p[2] = (unsigned char) (n >> 8);
    p[3] = (unsigned char) n;
}
