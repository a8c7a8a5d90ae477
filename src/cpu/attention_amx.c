/* Operands are rounded and laid out as the registers want them on every call: a tenth of what the product takes in f32, and
 * attention's tiles stay f32 between products. */
#include "cpu/attention_amx.h"

#include <immintrin.h>
#include <string.h>

#include "cpu/amx.h"
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

/* bf16 pairs of each column's elements, x below y. */
static __m512i pairs_of(__m512 x, __m512 y)
{
    static const uint16_t order[32] = { 0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                        21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                        11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), (__m512i)_mm512_cvtne2ps_pbh(y, x));
}

/* The first n of 16 elements, zeros behind them. */
static __m512 first(const float *x, int64_t n)
{
    if (n <= 0) return _mm512_setzero_ps();
    return _mm512_maskz_loadu_ps((__mmask16)(n < SIDE ? (1u << n) - 1 : 0xffffu), x);
}

/* A register of A, whose rows lie contiguous: up to SIDE rows and BLOCK of k. */
static void lay_rows(char *to, const float *a, int64_t ra, int64_t rows, int64_t k)
{
    if (rows >= SIDE && k >= BLOCK) {
        for (int64_t i = 0; i < SIDE; i++, a += ra)
            _mm512_store_si512(to + 64 * i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(a + SIDE),
                                                                         _mm512_loadu_ps(a)));
        return;
    }
    for (int64_t i = 0; i < SIDE; i++, a += ra) {
        const int64_t n = i < rows ? k : 0;
        _mm512_store_si512(to + 64 * i,
                           (__m512i)_mm512_cvtne2ps_pbh(first(a + SIDE, n - SIDE), first(a, n)));
    }
}

/* The same where columns lie contiguous. */
static void lay_columns(char *to, const float *a, int64_t ca, int64_t rows, int64_t k)
{
    wgi_vf square[SIDE];
    for (int64_t p = 0; p < SIDE; p++)
        square[p] = (wgi_vf)pairs_of(first(a + 2 * p * ca, 2 * p < k ? rows : 0),
                                     first(a + (2 * p + 1) * ca, 2 * p + 1 < k ? rows : 0));
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

/* k rows of a panel of `columns`, 16 or 32, and zeros to a whole block of k. */
static void lay_b(room *r, const float *b, int64_t ldb, int64_t k, int64_t columns)
{
    const int64_t whole = k / 2, rows = (k + BLOCK - 1) / BLOCK * SIDE;
    char *to = r->b;
    for (int64_t p = 0; p < whole; p++, b += 2 * ldb, to += BLOCK * 4)
        for (int64_t c = 0; c < columns; c += SIDE)
            _mm512_store_si512(to + c * 4,
                               pairs_of(_mm512_loadu_ps(b + c), _mm512_loadu_ps(b + ldb + c)));
    memset(to, 0, (size_t)(rows - whole) * BLOCK * 4);
    for (int64_t c = 0; k % 2 == 1 && c < columns; c += SIDE)
        _mm512_store_si512(to + c * 4, pairs_of(_mm512_loadu_ps(b + c), _mm512_setzero_ps()));
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
        lay_b(r, b + j / BLOCK * panel, ldb, k, columns);
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
