/* f32 to blocks; compiled once per level. */
#include "cpu/quantise_block.h"

#include "cpu/quant.h"

static void q4_0(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to;
    for (int64_t b = 0; b < blocks; b++) wgi_quantise_q4_0(y + 18 * b, x + 32 * b);
}

static void q4_1(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to;
    for (int64_t b = 0; b < blocks; b++) wgi_quantise_q4_1(y + 20 * b, x + 32 * b);
}

static void q5_0(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to;
    for (int64_t b = 0; b < blocks; b++) wgi_quantise_q5_0(y + 22 * b, x + 32 * b);
}

static void q5_1(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to;
    for (int64_t b = 0; b < blocks; b++) wgi_quantise_q5_1(y + 24 * b, x + 32 * b);
}

static void q8_0(void *to, const float *x, int64_t blocks)
{
    uint8_t *y = to;
    for (int64_t b = 0; b < blocks; b++) wgi_quantise_q8_0(y + 34 * b, x + 32 * b);
}

const wgi_quantise_kernels WGI_AT_LEVEL(wgi_quantise_kernels) = {
    .to = { [WG_Q4_0 - WG_Q4_0] = q4_0,
            [WG_Q4_1 - WG_Q4_0] = q4_1,
            [WG_Q5_0 - WG_Q4_0] = q5_0,
            [WG_Q5_1 - WG_Q4_0] = q5_1,
            [WG_Q8_0 - WG_Q4_0] = q8_0 },
};
