/* The small integer scales within blocks of 256: for the CPU's loops and for CUDA. */
#ifndef WGI_CPU_BLOCK_SCALES_H
#define WGI_CPU_BLOCK_SCALES_H
#include "tensor/half.h"

/* q4_k and q5_k: 12 bytes, as three words, hold eight 6-bit scales and eight minima. Those of parts
 * 2 pair and 2 pair + 1, pair in 0 .. 3, as the low two bytes of *most and *least. */
WGI_DEVICE void wgi_k_scale_pair(const uint32_t s[3], int pair, uint32_t *most, uint32_t *least)
{
    const int at = pair % 2 * 16;
    const uint32_t a = s[0] >> at & 0xffff, b = s[1] >> at & 0xffff, c = s[2] >> at & 0xffff;
    *most = pair < 2 ? a & 0x3f3f : (c & 0x0f0f) | (a >> 2 & 0x3030);
    *least = pair < 2 ? b & 0x3f3f : (c >> 4 & 0x0f0f) | (b >> 2 & 0x3030);
}

/* q3_k: 8 bytes of two low nibbles, 4 bytes of four high pairs of bits. part in 0 .. 15. */
WGI_DEVICE int wgi_q3_k_scale(const uint8_t *s, int part)
{
    return ((s[part % 8] >> part / 8 * 4 & 15) | (s[8 + part % 4] >> part / 4 * 2 & 3) << 4) - 32;
}
#endif
