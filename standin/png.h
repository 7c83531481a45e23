/* Pictures made of noise, for results of a chosen size. */

#ifndef STANDIN_PNG_H
#define STANDIN_PNG_H

#include "util.h"

/*
 * A valid 8-bit grey PNG of exactly size bytes (at least about 100; 0: some
 * hundred bytes), half of it pixels, the rest a private chunk. The same seed
 * gives the same picture.
 */
blob_t *png_generate(size_t size, uint64_t seed);

#endif
