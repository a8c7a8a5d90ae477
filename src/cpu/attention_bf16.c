/* Attention's products of tiles by AVX-512-BF16's product of pairs. Operands are rounded and paired on every call, for
 * attention's tiles stay f32 between products. */
#include "cpu/attention_pairs.h"
#include "cpu/attention_product.h"

enum { DEPTH = 128 }; /* pairs along k at once */

#include "cpu/gemm_micro_bf16.h"

enum { TALL = 9 * ROWS }; /* rows of A at once */

/* A as the micro-kernel walks it: in blocks, or in rows of DEPTH + A_PAD, which takes less. */
typedef struct {
    _Alignas(64) float a[TALL / ROWS * DEPTH * A_PANEL];
    _Alignas(64) float b[DEPTH * COLUMNS];
} room;

/* A's rows lie contiguous. */
static left_bf16 lay_rows(float *to, const float *a, int64_t ra, int64_t m, int64_t k)
{
    enum { ROW = DEPTH + A_PAD };
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p += 2 * WGI_PAIRS)
            _mm512_storeu_si512(to + i * ROW + p / 2, wgi_pairs_along(a + i * ra + p, k - p));
    return (left_bf16) { to, ROW, 1, ROWS * ROW };
}

/* A's columns do. */
static left_bf16 lay_columns(float *to, const float *a, int64_t ca, int64_t m, int64_t k)
{
    enum { BLOCK = DEPTH * A_PANEL };
    for (int64_t i = 0; i < m; i += ROWS)
        for (int64_t p = 0; p < k; p += 2)
            _mm512_storeu_si512(
                to + i / ROWS * BLOCK + p / 2 * A_PANEL,
                wgi_pairs_of(wgi_first(a + i + p * ca, m - i),
                             wgi_first(a + i + (p + 1) * ca, p + 1 < k ? m - i : 0)));
    return (left_bf16) { to, 1, A_PANEL, BLOCK };
}

/* The m rows that are laid out, k pairs deep, by the panel in r. */
static void run_panel(const room *r, const left_bf16 *a, int64_t m, int64_t pairs, int64_t columns,
                      float *c, int64_t ldc, bool add)
{
    micro_bf16 u = { .k = pairs,
                     .a_row = a->row,
                     .a_column = a->column,
                     .b_row = COLUMNS,
                     .c_row = ldc,
                     .b = r->b,
                     .alpha = 1,
                     .columns = (int)columns,
                     .add = add };
    for (int64_t i = 0; i < m; i += ROWS) {
        u.a = a->p + i / ROWS * a->step;
        u.c = c + i * ldc;
        micro_run_bf16(&u, (int)(m - i < ROWS ? m - i : ROWS));
    }
}

void wgi_tile_product_bf16(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca,
                           const float *b, int64_t ldb, int64_t panel, float *c, int64_t ldc,
                           bool add)
{
    room r;
    for (int64_t p = 0; p < k; p += 2 * DEPTH) {
        const int64_t depth = k - p < 2 * DEPTH ? k - p : 2 * DEPTH, pairs = (depth + 1) / 2;
        for (int64_t i = 0; i < m; i += TALL) {
            const int64_t rows = m - i < TALL ? m - i : TALL;
            const float *from = a + i * ra + p * ca;
            const left_bf16 left = ca == 1 ? lay_rows(r.a, from, ra, rows, depth)
                                           : lay_columns(r.a, from, ca, rows, depth);
            for (int64_t j = 0; j < n; j += COLUMNS) {
                const int64_t columns = n - j < COLUMNS ? n - j : COLUMNS;
                wgi_lay_panel((char *)r.b, pairs, b + j / COLUMNS * panel + p * ldb, ldb, depth,
                              columns);
                run_panel(&r, &left, rows, pairs, columns, c + i * ldc + j, ldc, add || p > 0);
            }
        }
    }
}
