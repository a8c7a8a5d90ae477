/* What every measuring program needs: a clock, the median of its runs, what memory gives. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wengert/wengert.h"

/* Seconds. */
static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- options ---- */
typedef struct {
    const char *name; /* "--batch"; NULL: the last */
    int64_t *to;
} count_option;

/* argv[i] is one of `counts` and the next argument a positive number, which is stored. */
static inline bool take_count(char **argv, int i, const count_option *counts)
{
    for (; counts->name; counts++)
        if (strcmp(argv[i], counts->name) == 0) return (*counts->to = atoll(argv[i + 1])) > 0;
    return false;
}

/* argv[i] is --dtype and the next one of bf16, f16 and f32. */
static inline bool take_dtype(char **argv, int i, wg_dtype *to)
{
    static const wg_dtype types[] = { WG_BF16, WG_F16, WG_F32 };
    if (strcmp(argv[i], "--dtype") != 0) return false;
    for (int t = 0; t < 3; t++)
        if (strcmp(argv[i + 1], wg_dtype_name(types[t])) == 0) return *to = types[t], true;
    return false;
}

/* Sorts v. */
static inline double median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

/* ---- the memory's read bandwidth: sums over a large buffer ----------------------------------- */
enum { READ_CHUNKS = 64 };
typedef struct {
    const uint64_t *data;
    size_t words; /* a chunk */
    uint64_t sum[READ_CHUNKS];
} reading;

static inline void read_chunk(void *self, int64_t chunk)
{
    reading *r = self;
    const uint64_t *p = r->data + (size_t)chunk * r->words;
    uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (size_t i = 0; i + 8 <= r->words; i += 8) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
        e += p[i + 4];
        f += p[i + 5];
        g += p[i + 6];
        h += p[i + 7];
    }
    r->sum[chunk] = a + b + c + d + e + f + g + h;
}

/* Bytes a second of one reading of the whole buffer; bytes: a multiple of 4096. */
static inline double read_bandwidth(const void *data, size_t bytes)
{
    static reading r; /* static: the sums are written, so that no reading is left out */
    r.data = data;
    r.words = bytes / sizeof(uint64_t) / READ_CHUNKS;
    const double start = now();
    wg_parallel(READ_CHUNKS, read_chunk, &r);
    return (double)bytes / (now() - start);
}
#endif
