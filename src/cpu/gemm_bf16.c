/* Products of one tile of bf16 by bf16 into f32, by AVX-512-BF16's product of pairs. Built where the compiler knows the
 * instruction. */
#include "cpu/gemm_kernel.h"
#include "cpu/stream.h"

enum {
    DEPTH = 384, /* pairs */
    PER_STEP = 2,
    UNPACKED_ROWS = 0,
    PACKED_COLUMNS = 0,
    ZEN5_COLUMNS = 0,
};

#include "cpu/gemm_micro_bf16.h"
#include "cpu/gemm_pack_pairs.inc.h"

/* Steps [from, from + steps) of all rows of A. */
static NAME(left)
    NAME(pack_a)(const wgi_gemm_block *g, int64_t from, int64_t steps, REAL *to, REAL *stage)
{
    (void)stage;
    const char *a = NAME(at)(g->a, 2, 2 * from * g->a_column);
    const int64_t k = g->k - 2 * from, row = steps + A_PAD;
    const bool odd = 2 * steps > k;
    if (g->a_column == 1) {
        for (int64_t i = 0; i < g->m; i++) {
            if (odd) memset(to + i * row + steps - 1, 0, sizeof *to);
            memcpy(to + i * row, a + 2 * i * g->a_row, 2 * (size_t)(odd ? k : 2 * steps));
        }
        return (NAME(left)) { to, row, 1, ROWS * row };
    }
    const int64_t next = 2 * g->a_column;
    for (int64_t first = 0; first < steps; first += 8) { /* few streams, pieces that lie together */
        const int64_t last = steps - first < 8 ? steps : first + 8;
        for (int64_t i = 0; i < g->m; i += ROWS)
            for (int64_t p = first; p < last; p++) {
                const char *x = a + 2 * p * next + 2 * i;
                pair_up(to + (i / ROWS * steps + p) * A_PANEL, x,
                        odd && p == steps - 1 ? NULL : x + next, g->m - i, A_PANEL);
            }
    }
    return (NAME(left)) { to, 1, A_PANEL, steps * A_PANEL };
}

#include "cpu/gemm_tile.inc.h"

static size_t scratch(const wgi_gemm_block *g)
{
    return sizeof(float) * (size_t)tile_scratch_bf16(g);
}

const wgi_gemm_kernel wgi_gemm_bf16 = { run_tile_bf16, scratch, ROWS };
