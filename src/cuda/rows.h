/* Kernels that work row by row: softmax, norms, losses over classes, rotary positions. A block a
 * row; sums are trees fixed by the row's length. Real: double or float, by f64. */
#ifndef WGI_CUDA_ROWS_H
#define WGI_CUDA_ROWS_H
#include "cuda/fault.h"
#include "cuda/pass.h"
#include "cuda/reduce.h"
#include "wengert/base.h"

typedef struct {
    void *data; /* NULL: absent */
    int type;
    wgi_axes_of lines; /* row i begins at wgi_axes_offset(&lines, i) */
    int64_t step;      /* between a row's elements */
} wgi_lines;

typedef struct {
    bool f64, log, accumulate;
    int64_t rows, n;
    wgi_lines x, y, dy, dx;
} wgi_softmax_launch;

typedef struct {
    bool f64, centered, accumulate;
    int64_t rows, n;
    wgi_lines x, y, dy, dx;
    wgi_lines added, sum; /* forward: x + added -> sum, whose norm is y; absent: the norm of x */
    const void *weight, *bias; /* (n) real, or NULL */
    void *mean, *rstd;         /* (rows) real; forward: results, NULL if not wanted */
    double eps;
    int64_t groups, run;   /* groups: weight[(row % groups) * (n / run) + i / run]; else 0 */
    void *dweight, *dbias; /* (blocks, n), or groups: (rows, n / run): partial sums, real */
} wgi_norm_launch;
enum { WGI_NORM_ROWS = 32 /* of a block of partial sums */ };

/* out (n; stride) = the sum over blocks of partial (blocks, n), in a fixed order and in f64; or added. */
typedef struct {
    const void *partial; /* real */
    void *out;
    int type;
    int64_t stride;
} wgi_block_sums;
typedef struct {
    bool f64, accumulate;
    int count; /* at most two of one shape: a weight's and a bias's */
    int64_t blocks, n;
    wgi_block_sums of[2];
} wgi_block_sums_launch;

/* A block of WGI_NORM_THREADS keeps a row of up to 2 chunks in registers, a chunk being 8 (f64: 4) elements a thread: how
 * many a row of n takes; 0: it does not fit, or is empty. */
enum { WGI_NORM_THREADS = 256, WGI_NORM_CHUNKS = 2 };
static inline int wgi_norm_chunks(int64_t n, bool f64)
{
    const int64_t chunk = WGI_NORM_THREADS * (f64 ? 4 : 8), chunks = (n + chunk - 1) / chunk;
    return chunks <= WGI_NORM_CHUNKS ? (int)chunks : 0;
}
/* Threads for it, a multiple of 32: no more than have elements. */
static inline int wgi_norm_threads(int64_t n, bool f64)
{
    const int64_t each = f64 ? 4 : 8, threads = ((n + each - 1) / each + 31) / 32 * 32;
    return threads < WGI_NORM_THREADS ? (int)threads : WGI_NORM_THREADS;
}

/* Rows that lie in packs: 8 elements of one type a lane and chunk, `most` chunks. */
enum { WGI_PACK_LONGEST = 4096 };
static inline int wgi_pack_threads(int64_t n, int most)
{
    return (int)((n + 256 * most - 1) / (256 * most)) * 32;
}
/* l's rows begin at multiples of 16 bytes, of type `type`, their elements side by side; absent ones do, too. */
static inline bool wgi_lines_in_packs(const wgi_lines *l, int type)
{
    if (!l->data) return true;
    const int64_t bytes = type == WG_F32 ? 4 : 2;
    bool whole = l->type == type && l->step == 1 && (uintptr_t)l->data % 16 == 0;
    for (int a = 0; a < l->lines.n; a++) whole = whole && l->lines.stride[a] * bytes % 16 == 0;
    return whole;
}
/* wgi_launch_norm_packs takes it. */
static inline bool wgi_norm_in_packs(const wgi_norm_launch *l)
{
    const int type = l->x.type;
    const bool weights = ((uintptr_t)l->weight | (uintptr_t)l->bias) % 16 == 0;
    return !l->f64 && !l->groups && l->n > 0 && l->n % 8 == 0 && l->n <= WGI_PACK_LONGEST &&
           (type == WG_F32 || type == WG_BF16 || type == WG_F16) && weights &&
           wgi_lines_in_packs(&l->x, type) && wgi_lines_in_packs(&l->y, type) &&
           wgi_lines_in_packs(&l->dy, type) && wgi_lines_in_packs(&l->dx, type) &&
           wgi_lines_in_packs(&l->added, type) && wgi_lines_in_packs(&l->sum, type);
}

typedef struct {
    bool f64, accumulate;
    int64_t rows, n; /* n: classes */
    wgi_lines x, probs, dx;
    const int64_t *target; /* (rows), those out of range are `ignore`; NULL: probs */
    const void *weight;    /* (n) real, or NULL */
    int64_t ignore;
    double smoothing;
    bool nll;          /* loss = -weight x[target] */
    void *loss, *lse;  /* (rows) real */
    const void *scale; /* (rows) real: cotangents; NULL: dy over denominator, for all */
    const void *dy, *denominator;
    int dy_type, denominator_type;
    double unit; /* wgi_launch_class_rows without dy: what the gradients are multiples of */
} wgi_classes_launch;

/* Sums over rows in order, by one block: loss / denominator -> out, denominator -> at (each may be
 * NULL). */
typedef struct {
    bool f64, mean;
    int64_t rows;
    const void *loss, *weight;
    const int64_t *target;
    int64_t ignore;
    void *out, *at;
    int out_type, at_type;
} wgi_class_sum;

typedef struct {
    const void *from;
    int type;
    wgi_axes_of axes;
    int64_t *to;
    int64_t classes, ignore;
    wgi_fault_record *fault;
    wgi_fault_source source;
} wgi_target_reading;

typedef struct {
    bool f64, adjacent, inverse, accumulate;
    int64_t rows, n, t, batch_rows, positions;
    wgi_lines x, y;
    const int64_t *given;  /* (positions), or NULL: 0 .. t - 1 */
    const double *factors; /* (n / 2), or NULL */
    int64_t offset;
    double base;
    void *cos, *sin; /* (positions, n / 2) real, scratch */
} wgi_rope_launch;

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_softmax(const wgi_softmax_launch *l, void *stream);
void wgi_launch_softmax_backward(const wgi_softmax_launch *l, void *stream);
void wgi_launch_norm(const wgi_norm_launch *l, void *stream);
/* The same of rows for which wgi_norm_chunks is not 0. */
void wgi_launch_norm_rows(const wgi_norm_launch *l, void *stream);
void wgi_launch_norm_rows_backward(const wgi_norm_launch *l, void *stream);
/* Either of both, of rows for which wgi_norm_in_packs holds: forward where there is a y. */
void wgi_launch_norm_packs(const wgi_norm_launch *l, void *stream);
/* dx, if it is there, and the partial sums, if they are. */
void wgi_launch_norm_backward(const wgi_norm_launch *l, void *stream);
void wgi_launch_sum_blocks(const wgi_block_sums_launch *l, void *stream);
void wgi_launch_targets(const wgi_target_reading *t, void *stream);
void wgi_launch_classes(const wgi_classes_launch *l, void *stream);
void wgi_launch_classes_backward(const wgi_classes_launch *l, void *stream);
/* Both in one, in f32, of targets without weights: loss and lse where they are wanted, and dx, which may be x. A row's
 * elements lie side by side. */
void wgi_launch_class_rows(const wgi_classes_launch *l, void *stream);
void wgi_launch_class_sum(const wgi_class_sum *l, void *stream);
void wgi_launch_rope(const wgi_rope_launch *l, void *stream);
#ifdef __cplusplus
}
#endif
#endif
