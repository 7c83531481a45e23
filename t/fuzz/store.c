
/*
 * Sequences of calls of the store, compared with the model of the unit test.
 * The first byte is the size of the memory; each number that the model asks
 * for is taken from the next bytes, the fewer the smaller.
 */


#include "../unit/store_model.h"


typedef struct {
    const uint8_t  *data;
    size_t          size;
} fuzz_input_t;


static uint32_t
fuzz_next(void *data)
{
    uint32_t       n;
    fuzz_input_t  *input;

    input = data;

    if (input->size < 2) {
        input->size = 0;
        return 0;
    }

    n = input->data[0] | (uint32_t) input->data[1] << 8;

    input->data += 2;
    input->size -= 2;

    /* to sizes of some weight */

    return n | n << 15;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned      nsteps;
    fuzz_input_t  input;

    static model_t  model;

    static const size_t  sizes[] = { 64 << 10, 72 << 10, 128 << 10 };

    if (size == 0) {
        return 0;
    }

    input.data = data + 1;
    input.size = size - 1;

    model_init(&model, sizes[data[0] % 3], fuzz_next, &input);

    for (nsteps = 0; input.size && nsteps < 2000; nsteps++) {
        model_step(&model);
    }

    model_done(&model);

    return 0;
}
