/* Operands are rounded and laid out as the registers want them on every call: a tenth of what the product takes in f32, and
 * attention's tiles stay f32 between products. */
#include "cpu/attention_product.h"

#include <immintrin.h>
#include <string.h>

#include "cpu/amx.h"
#include "cpu/attention_pairs.h"
#include "cpu/vec.h"

enum {
    ROWS = 128,  /* of A that are laid out at once */
    DEPTH = 256, /* of k */
    PAIRS = DEPTH / 2,
};

/* A: (DEPTH / BLOCK, ROWS / SIDE) registers. B: PAIRS rows of BLOCK pairs. */
typedef struct {
    _Alignas(64) char a[DEPTH / BLOCK * (ROWS / SIDE) * REGISTER];
    _Alignas(64) char b[PAIRS * BLOCK * 4];
} room;

/* A register of A, whose rows lie contiguous: up to SIDE rows and BLOCK of k. */
static void lay_rows(char *to, const float *a, int64_t ra, int64_t rows, int64_t k)
{
    if (rows >= SIDE && k >= BLOCK) {
        for (int64_t i = 0; i < SIDE; i++, a += ra)
            _mm512_store_si512(to + 64 * i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(a + SIDE),
                                                                         _mm512_loadu_ps(a)));
        return;
    }
    for (int64_t i = 0; i < SIDE; i++, a += ra)
        _mm512_store_si512(to + 64 * i, wgi_pairs_along(a, i < rows ? k : 0));
}

/* The same where columns lie contiguous. */
static void lay_columns(char *to, const float *a, int64_t ca, int64_t rows, int64_t k)
{
    wgi_vf square[SIDE];
    for (int64_t p = 0; p < SIDE; p++)
        square[p] = (wgi_vf)wgi_pairs_of(wgi_first(a + 2 * p * ca, 2 * p < k ? rows : 0),
                                         wgi_first(a + (2 * p + 1) * ca, 2 * p + 1 < k ? rows : 0));
    wgi_vf_transpose(square);
    memcpy(to, square, REGISTER);
}

static void lay_a(room *r, const float *a, int64_t ra, int64_t ca, int64_t m, int64_t k)
{
    for (int64_t p = 0; p < k; p += BLOCK)
        for (int64_t i = 0; i < m; i += SIDE) {
            char *to = r->a + (p / BLOCK * (ROWS / SIDE) + i / SIDE) * REGISTER;
            if (ca == 1)
                lay_rows(to, a + i * ra + p, ra, m - i, k - p);
            else
                lay_columns(to, a + i + p * ca, ca, m - i, k - p);
        }
}

static void products(const room *r, int64_t row, int64_t k, int64_t rows, int64_t columns)
{
    const wgi_amx_rows a = { r->a + row / SIDE * REGISTER, 64, REGISTER, ROWS / SIDE * REGISTER,
                             (k + BLOCK - 1) / BLOCK };
    wgi_amx_add_products(&a, r->b, rows, columns);
}

/* What does not fill a block goes by way of memory. */
static void run_edge(const room *r, int64_t row, int64_t k, int64_t rows, int64_t columns, float *c,
                     int64_t ldc, bool add)
{
    _Alignas(64) float sum[BLOCK][BLOCK] = { 0 };
    const size_t bytes = (size_t)columns * sizeof(float);
    for (int64_t i = 0; add && i < rows; i++) memcpy(sum[i], c + i * ldc, bytes);
    wgi_amx_memory_is_read();
    wgi_amx_load_sums(sum[0], BLOCK);
    products(r, row, k, rows, columns);
    wgi_amx_store_sums(sum[0], BLOCK);
    for (int64_t i = 0; i < rows; i++) memcpy(c + i * ldc, sum[i], bytes);
}

/* `rows` of A from `row` on by a panel, both at most BLOCK, into c. */
static void run_block(const room *r, int64_t row, int64_t k, int64_t rows, int64_t columns,
                      float *c, int64_t ldc, bool add)
{
    if (rows < BLOCK || columns < BLOCK) {
        run_edge(r, row, k, rows, columns, c, ldc, add);
        return;
    }
    if (add)
        wgi_amx_load_sums(c, ldc);
    else
        wgi_amx_zero_sums();
    products(r, row, k, rows, columns);
    wgi_amx_store_sums(c, ldc);
}

/* The rows of A that are laid out, by all of b. */
static void run_rows(room *r, int64_t m, int64_t n, int64_t k, const float *b, int64_t ldb,
                     int64_t panel, float *c, int64_t ldc, bool add)
{
    for (int64_t j = 0; j < n; j += BLOCK) {
        const int64_t columns = n - j < BLOCK ? n - j : BLOCK;
        wgi_lay_panel(r->b, (k + BLOCK - 1) / BLOCK * SIDE, b + j / BLOCK * panel, ldb, k, columns);
        wgi_amx_memory_is_read();
        for (int64_t i = 0; i < m; i += BLOCK)
            run_block(r, i, k, m - i < BLOCK ? m - i : BLOCK, columns, c + i * ldc + j, ldc, add);
        wgi_amx_memory_is_read();
    }
}

void wgi_tile_product_amx(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca,
                          const float *b, int64_t ldb, int64_t panel, float *c, int64_t ldc,
                          bool add)
{
    room r;
    wgi_amx_configure();
    for (int64_t p = 0; p < k; p += DEPTH)
        for (int64_t i = 0; i < m; i += ROWS) {
            const int64_t rows = m - i < ROWS ? m - i : ROWS, depth = k - p < DEPTH ? k - p : DEPTH;
            lay_a(&r, a + i * ra + p * ca, ra, ca, rows, depth);
            run_rows(&r, rows, n, depth, b + p * ldb, ldb, panel, c + i * ldc, ldc, add || p > 0);
        }
    _tile_release();
}
