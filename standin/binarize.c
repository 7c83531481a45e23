#include <leptonica/allheaders.h>

#include "binarize.h"

#define BINARIZE_MAX_PIXELS  (100 * 1000 * 1000)


static PIX *binarize_read(const unsigned char *data, size_t size,
    const char **error);
static PIX *binarize_grey(PIX *pix);
static PIX *binarize_flatten(PIX *grey);
static PIX *binarize_threshold(PIX *grey);
static PIX *binarize_black_white(PIX *grey);


unsigned char *
binarize_file(op_t op, const unsigned char *data, size_t size,
    size_t *result_size, const char **error)
{
    PIX      *pix, *grey, *result;
    l_uint8  *png;

    setMsgSeverity(L_SEVERITY_NONE);

    pix = binarize_read(data, size, error);

    if (pix == NULL) {
        return NULL;
    }

    grey = binarize_grey(pix);
    pixDestroy(&pix);

    switch (op) {

    case OP_BINARIZE:
        result = binarize_black_white(grey);
        break;

    case OP_DESKEW:
        result = pixDeskew(grey, 0);
        break;

    case OP_DEWARP:
        result = binarize_flatten(grey);
        break;

    default:
        result = pixScale(grey, 2.0, 2.0);
    }

    pixDestroy(&grey);
    *error = "The image could not be processed";

    if (result == NULL) {
        return NULL;
    }

    png = NULL;

    if (pixWriteMemPng(&png, result_size, result, 0.0) != 0) {
        png = NULL;
    }

    pixDestroy(&result);

    return png;
}


static PIX *
binarize_read(const unsigned char *data, size_t size, const char **error)
{
    PIX      *pix;
    l_int32   format, w, h;

    *error = "The image format is not supported";

    if (pixReadHeaderMem(data, size, &format, &w, &h, NULL, NULL, NULL) != 0) {
        return NULL;
    }

    if ((l_float64) w * h > BINARIZE_MAX_PIXELS) {
        *error = "The image is too large";
        return NULL;
    }

    pix = pixReadMem(data, size);

    if (pix == NULL) {
        *error = "The image is damaged";
    }

    return pix;
}


/* 8 bits of grey, transparent parts white. */
static PIX *
binarize_grey(PIX *pix)
{
    PIX  *flat, *grey;

    if (pixGetDepth(pix) == 32 && pixGetSpp(pix) == 4) {
        flat = pixAlphaBlendUniform(pix, 0xffffff00);
    } else {
        flat = pixClone(pix);
    }

    grey = pixConvertTo8(flat, 0);
    pixDestroy(&flat);

    return grey;
}


static PIX *
binarize_flatten(PIX *grey)
{
    return pixBackgroundNormSimple(grey, NULL, NULL);
}


static PIX *
binarize_threshold(PIX *grey)
{
    PIX  *bin;

    bin = NULL;
    pixOtsuAdaptiveThreshold(grey, 400, 400, 0, 0, 0.1f, NULL, &bin);

    return bin;
}


static PIX *
binarize_black_white(PIX *grey)
{
    PIX  *flat, *bin, *result;

    flat = binarize_flatten(grey);
    bin = binarize_threshold(flat ? flat : grey);
    pixDestroy(&flat);

    result = bin ? pixConvert1To8(NULL, bin, 255, 0) : NULL;
    pixDestroy(&bin);

    return result;
}
