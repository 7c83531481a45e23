/* The work on a picture. */

#ifndef STANDIN_BINARIZE_H
#define STANDIN_BINARIZE_H

#include <stddef.h>

#include "tasks.h"

/*
 * Does op's work on a picture file (PNG, JPEG, TIFF, BMP, WebP, whatever
 * Leptonica was built with). The result is a PNG in memory from malloc().
 * On failure NULL is returned and *error says why (a constant). Called by
 * the worker thread.
 */
unsigned char *binarize_file(op_t op, const unsigned char *data, size_t size,
    size_t *result_size, const char **error);

#endif
