
/* W3C Portable Network Graphics, section 5 (chunks) and 11.2.2 (IHDR) */


#include <string.h>

#include "png.h"


#define PNG_SIGNATURE_SIZE  8
#define PNG_HEADER_SIZE     8       /* length and type of a chunk */
#define PNG_IHDR_SIZE       13
#define PNG_CRC_SIZE        4

/* of a chunk's length, width and height */
#define PNG_INTEGER_MAX     0x7fffffffu

#define PNG_TYPE(a, b, c, d)                                                  \
    ((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8        \
     | (uint32_t) (d))

#define PNG_IHDR  PNG_TYPE('I', 'H', 'D', 'R')
#define PNG_IDAT  PNG_TYPE('I', 'D', 'A', 'T')
#define PNG_IEND  PNG_TYPE('I', 'E', 'N', 'D')


typedef enum {
    PNG_SIGNATURE = 0,
    PNG_FIRST_HEADER,
    PNG_IHDR_DATA,
    PNG_HEADER,
    PNG_IEND_CRC,
    PNG_END,
    PNG_FAILED
} png_state_e;


static int png_held(binarize_png_t *png);
static int png_signature(binarize_png_t *png);
static int png_first_header(binarize_png_t *png);
static int png_ihdr(binarize_png_t *png);
static int png_header(binarize_png_t *png);
static int png_depth_allowed(unsigned depth, unsigned colour);
static int png_fail(binarize_png_t *png, const char *reason);
static uint32_t png_integer(const unsigned char *p);


static const unsigned char  png_signature_bytes[PNG_SIGNATURE_SIZE] = {
    0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'
};


/* what has to be held until it is whole, by state */
static const unsigned char  png_held_size[] = {
    PNG_SIGNATURE_SIZE,
    PNG_HEADER_SIZE,
    PNG_IHDR_SIZE + PNG_CRC_SIZE,
    PNG_HEADER_SIZE,
    PNG_CRC_SIZE
};


void
binarize_png_init(binarize_png_t *png)
{
    memset(png, 0, sizeof(*png));
}


int
binarize_png_feed(binarize_png_t *png, const unsigned char *data, size_t size)
{
    size_t  n;

    if (png->state == PNG_FAILED) {
        return BINARIZE_ERROR;
    }

    while (size) {

        if (png->skip) {
            n = png->skip < size ? (size_t) png->skip : size;
            png->skip -= n;

        } else if (png->state == PNG_END) {
            return png_fail(png, "data behind the PNG's end");

        } else {
            n = png_held_size[png->state] - png->nheld;

            if (n > size) {
                n = size;
            }

            memcpy(&png->held[png->nheld], data, n);
            png->nheld += (unsigned) n;

            if (png->nheld == png_held_size[png->state]) {
                png->nheld = 0;

                if (png_held(png) != BINARIZE_OK) {
                    return BINARIZE_ERROR;
                }
            }
        }

        data += n;
        size -= n;
    }

    return BINARIZE_AGAIN;
}


int
binarize_png_finish(binarize_png_t *png)
{
    if (png->state == PNG_FAILED) {
        return BINARIZE_ERROR;
    }

    if (png->state != PNG_END) {
        return png_fail(png, "the PNG is cut short");
    }

    return BINARIZE_OK;
}


static int
png_held(binarize_png_t *png)
{
    switch (png->state) {

    case PNG_SIGNATURE:
        return png_signature(png);

    case PNG_FIRST_HEADER:
        return png_first_header(png);

    case PNG_IHDR_DATA:
        return png_ihdr(png);

    case PNG_HEADER:
        return png_header(png);

    default: /* PNG_IEND_CRC */
        png->state = PNG_END;
        return BINARIZE_OK;
    }
}


static int
png_signature(binarize_png_t *png)
{
    if (memcmp(png->held, png_signature_bytes, PNG_SIGNATURE_SIZE) != 0) {
        return png_fail(png, "no PNG signature");
    }

    png->state = PNG_FIRST_HEADER;

    return BINARIZE_OK;
}


static int
png_first_header(binarize_png_t *png)
{
    if (png_integer(&png->held[4]) != PNG_IHDR
        || png_integer(&png->held[0]) != PNG_IHDR_SIZE)
    {
        return png_fail(png, "the PNG does not start with an IHDR chunk");
    }

    png->state = PNG_IHDR_DATA;

    return BINARIZE_OK;
}


static int
png_ihdr(binarize_png_t *png)
{
    const unsigned char  *ihdr;

    ihdr = png->held;

    png->width = png_integer(&ihdr[0]);
    png->height = png_integer(&ihdr[4]);

    if (png->width == 0 || png->width > PNG_INTEGER_MAX
        || png->height == 0 || png->height > PNG_INTEGER_MAX)
    {
        return png_fail(png, "the PNG's size is out of range");
    }

    if (!png_depth_allowed(ihdr[8], ihdr[9])) {
        return png_fail(png, "the PNG's bit depth and colour type are wrong");
    }

    /* compression and filter methods, interlace method */

    if (ihdr[10] != 0 || ihdr[11] != 0 || ihdr[12] > 1) {
        return png_fail(png, "the PNG uses an unknown method");
    }

    png->state = PNG_HEADER;

    return BINARIZE_OK;
}


static int
png_header(binarize_png_t *png)
{
    size_t    i;
    uint32_t  size, type;

    size = png_integer(&png->held[0]);
    type = png_integer(&png->held[4]);

    for (i = 4; i < 8; i++) {
        if ((png->held[i] | 0x20) < 'a' || (png->held[i] | 0x20) > 'z') {
            return png_fail(png, "a PNG chunk's type is not four letters");
        }
    }

    if (size > PNG_INTEGER_MAX) {
        return png_fail(png, "a PNG chunk's length is out of range");
    }

    switch (type) {

    case PNG_IHDR:
        return png_fail(png, "the PNG has two IHDR chunks");

    case PNG_IEND:
        if (size) {
            return png_fail(png, "the PNG's IEND chunk is not empty");
        }

        if (!png->idat_seen) {
            return png_fail(png, "the PNG has no IDAT chunk");
        }

        png->state = PNG_IEND_CRC;
        return BINARIZE_OK;

    case PNG_IDAT:
        png->idat_seen = 1;
        break;
    }

    png->skip = (uint64_t) size + PNG_CRC_SIZE;

    return BINARIZE_OK;
}


static int
png_depth_allowed(unsigned depth, unsigned colour)
{
    switch (colour) {

    case 0: /* greyscale */
        return depth == 1 || depth == 2 || depth == 4 || depth == 8
               || depth == 16;

    case 3: /* palette */
        return depth == 1 || depth == 2 || depth == 4 || depth == 8;

    case 2: /* truecolour */
    case 4: /* greyscale with alpha */
    case 6: /* truecolour with alpha */
        return depth == 8 || depth == 16;

    default:
        return 0;
    }
}


static int
png_fail(binarize_png_t *png, const char *reason)
{
    png->state = PNG_FAILED;
    png->reason = reason;

    return BINARIZE_ERROR;
}


static uint32_t
png_integer(const unsigned char *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | (uint32_t) p[3];
}
