#include <leptonica/allheaders.h>

#include "binarize.h"

#define BINARIZE_MAX_PIXELS  (100 * 1000 * 1000)


static PIX *binarize_read(const unsigned char *data, size_t size,
    const char **error);
static PIX *binarize_grey(PIX *pix);
static PIX *binarize_flatten(PIX *grey);
static PIX *binarize_stretch(PIX *grey);
static PIX *binarize_threshold(PIX *grey);
static PIX *binarize_clean(PIX *bin, PIX *grey);
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
    PIX  *colour, *flat, *grey;

    colour = pixRemoveColormap(pix, REMOVE_CMAP_BASED_ON_SRC);

    if (pixGetDepth(colour) == 32 && pixGetSpp(colour) == 4) {
        flat = pixAlphaBlendUniform(colour, 0xffffff00);
    } else {
        flat = pixClone(colour);
    }

    /* old paper is yellow: red tells it best from ink */
    grey = pixGetDepth(flat) == 32 ? pixConvertRGBToGray(flat, 0.5f, 0.3f, 0.2f)
                                   : pixConvertTo8(flat, 0);
    pixDestroy(&flat);
    pixDestroy(&colour);

    return grey;
}


/*
 * Evens out the light: tiles' backgrounds become 200. A picture without
 * enough light background comes back as it is.
 */
static PIX *
binarize_flatten(PIX *grey)
{
    PIX      *flat;
    l_int32   size, tile;

    size = L_MIN(pixGetWidth(grey), pixGetHeight(grey));
    tile = L_MAX(15, size / 20);

    flat = pixBackgroundNorm(grey, NULL, NULL, tile, tile, 60,
                             tile * tile / 3, 200, 2, 2);

    return flat ? flat : pixClone(grey);
}


/* Gives pale print the contrast of black print, tile by tile. */
static PIX *
binarize_stretch(PIX *grey)
{
    PIX      *sharp;
    l_int32   size, tile;

    size = L_MIN(pixGetWidth(grey), pixGetHeight(grey));
    tile = L_MAX(15, size / 12);

    /* tiles with less contrast than that are blank */
    sharp = pixContrastNorm(NULL, grey, tile, tile, 110, 1, 1);

    return sharp ? sharp : pixClone(grey);
}


/*
 * Sauvola's threshold m * (1 - k * (1 - s / 128)) of mean and deviation in
 * a window (J. Sauvola, M. Pietikainen, Pattern Recognition 33, 2000).
 */
static PIX *
binarize_threshold(PIX *grey)
{
    PIX      *bin;
    l_int32   size, radius;

    size = L_MIN(pixGetWidth(grey), pixGetHeight(grey));
    radius = L_MIN(L_MAX(20, size / 40), (size - 3) / 2);
    bin = NULL;

    if (radius < 2) {
        return pixThresholdToBinary(grey, 128);
    }

    pixSauvolaBinarizeTiled(grey, radius, 0.37f, 1, 1, NULL, &bin);

    return bin;
}


/*
 * Specks stay only if they have a core as dark as print: dots stay, grain
 * of the paper goes. Takes over bin.
 */
static PIX *
binarize_clean(PIX *bin, PIX *grey)
{
    PIX  *cores, *large, *clean;

    if (bin == NULL) {
        return NULL;
    }

    cores = pixThresholdToBinary(grey, 105);
    pixAnd(cores, cores, bin);

    large = pixSelectBySize(bin, 5, 5, 8, L_SELECT_IF_EITHER, L_SELECT_IF_GT,
                            NULL);
    if (large) {
        pixOr(cores, cores, large);
    }

    clean = pixSeedfillBinary(NULL, cores, bin, 8);

    pixDestroy(&large);
    pixDestroy(&cores);
    pixDestroy(&bin);

    return clean;
}


static PIX *
binarize_black_white(PIX *grey)
{
    PIX  *flat, *sharp, *bin, *result;

    flat = binarize_flatten(grey);
    sharp = binarize_stretch(flat);
    bin = binarize_clean(binarize_threshold(sharp), sharp);
    result = bin ? pixConvert1To8(NULL, bin, 255, 0) : NULL;

    pixDestroy(&bin);
    pixDestroy(&sharp);
    pixDestroy(&flat);

    return result;
}
