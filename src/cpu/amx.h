/* AMX's matrix registers, eight of 16 rows of 64 bytes. Registers 0 to 3 are sums of (first, second) SIDE rows by (first,
 * second) SIDE columns. Only for files that are compiled for AMX. */
#ifndef WGI_CPU_AMX_H
#define WGI_CPU_AMX_H
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SIDE = 16,            /* rows of a register, and 32-bit columns */
    BLOCK = 2 * SIDE,     /* rows and columns of sums at once; of k in a register */
    REGISTER = 64 * SIDE, /* bytes */
};

/* Between stores and loads of registers, and between those and later stores: to the compiler they read no memory. */
static inline void wgi_amx_memory_is_read(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline void wgi_amx_configure(void)
{
    struct {
        uint8_t palette, row, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        c.bytes[i] = 64;
        c.rows[i] = SIDE;
    }
    wgi_amx_memory_is_read();
    _tile_loadconfig(&c);
    wgi_amx_memory_is_read();
}

static inline void wgi_amx_load_sums(const float *c, int64_t row)
{
    _tile_loadd(0, c, row * 4);
    _tile_loadd(1, c + SIDE, row * 4);
    _tile_loadd(2, c + SIDE * row, row * 4);
    _tile_loadd(3, c + SIDE * row + SIDE, row * 4);
}

static inline void wgi_amx_store_sums(float *c, int64_t row)
{
    _tile_stored(0, c, row * 4);
    _tile_stored(1, c + SIDE, row * 4);
    _tile_stored(2, c + SIDE * row, row * 4);
    _tile_stored(3, c + SIDE * row + SIDE, row * 4);
}

static inline void wgi_amx_zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* Rows of A: those of a register lie `stride` bytes apart, the second SIDE rows at `half`, the next BLOCK of k at `step`. */
typedef struct {
    const char *p;
    int64_t stride, half, step, steps;
} wgi_amx_rows;

/* Registers 4 and 5 hold A, 6 and 7 B. */
static inline __attribute__((always_inline)) void wgi_amx_add_some(const wgi_amx_rows *a,
                                                                   const char *b,
                                                                   const bool two_rows,
                                                                   const bool two_columns)
{
    const char *p = a->p;
    for (int64_t s = 0; s < a->steps; s++, p += a->step, b += 2 * REGISTER) {
        _tile_loadd(4, p, a->stride);
        _tile_loadd(6, b, 2 * 64);
        _tile_dpbf16ps(0, 4, 6);
        if (two_columns) {
            _tile_loadd(7, b + 64, 2 * 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (!two_rows) continue;
        _tile_loadd(5, p + a->half, a->stride);
        _tile_dpbf16ps(2, 5, 6);
        if (two_columns) _tile_dpbf16ps(3, 5, 7);
    }
}

/* Adds a's products with a panel of B, rows of BLOCK pairs, to the sums, as far as so many rows and columns need. */
static inline void wgi_amx_add_products(const wgi_amx_rows *a, const char *b, int64_t rows,
                                        int64_t columns)
{
    if (rows > SIDE && columns > SIDE)
        wgi_amx_add_some(a, b, true, true);
    else if (rows > SIDE)
        wgi_amx_add_some(a, b, true, false);
    else if (columns > SIDE)
        wgi_amx_add_some(a, b, false, true);
    else
        wgi_amx_add_some(a, b, false, false);
}
#endif
