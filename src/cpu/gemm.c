/* Every tile of C is one task: a product over all of k on one thread, or two that follow each other, by halves of k. The own
 * kernels give an element the same bits in whatever tile it lies, as long as tiles begin at whole vectors; which kernel makes
 * it, and whether as C or as C^T, is fixed by the whole product's shape, layout and type, and the instruction-set level. BLIS
 * promises no such thing, and what it multiplies is cut by shape alone. */
#include "cpu/gemm.h"

#include <stdatomic.h>

#include "cpu/blis.h"
#include "cpu/convert.h"
#include "cpu/gemm_kernel.h"
#include "cpu/parallel.h"
#include "tensor/internal.h"

enum {
    SERIAL_WORK = 200 << 10, /* operations for which no parallel region is opened */
    SMALL_WORK = 512 << 10,  /* operations below which BLIS's packing does not pay */
    STREAM_SIZE = 3 << 19,   /* elements of C from which on it is stored past the caches */
    HALVED_DEPTH = 512,      /* of k, from which on a product may be made by halves of it, */
    HALVED_SIDE = 64,        /* with at least so many rows and columns of C, */
    HALVED_SIZE = 1 << 20,   /* and at most so many elements: it is written twice */
    BLIS_HANDS = 8, /* what BLIS multiplies is cut for so many threads, however many there are */
};

/* The own kernel from AVX2 on (in f32 88 against BLIS's 80, 88 and 62 GFLOP/s for NT, NN and TN at 384 x 384 x 768 on one
 * Zen 3 core; in f64 146 against 103 at 256 x 768 x 768 on two of a Xeon, which BLIS 0.9.0 takes for a Haswell) and wherever
 * the product is small; BLIS where the own kernel has no FMA. */
static bool is_own(const wgi_gemm_args *g)
{
    return wgi_cpu_level() >= WGI_LEVEL_AVX2 ||
           2.0 * (double)g->m * (double)g->n * (double)g->k < SMALL_WORK;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* ---- operands in the type and with the strides that kernels take ----------------------------- */
typedef struct {
    void *data;
    int64_t row, column;
    size_t scratch; /* bytes to give back; 0: data is the operand's own */
} operand;

/* One stride 1, the other at least that axis's size. */
static bool is_plain(int64_t rows, int64_t columns, int64_t *row, int64_t *column)
{
    if (columns == 1) *column = rows == 1 ? 1 : *row == 1 ? rows : 1;
    if (rows == 1) *row = *column == 1 ? columns : 1;
    return (*column == 1 && *row >= columns) || (*row == 1 && *column >= rows);
}

static char *element(const wgi_matrix *x, int64_t row, int64_t column, int64_t offset)
{
    return (char *)x->data +
           (row * x->row + column * x->column + offset) * (int64_t)wg_dtype_size(x->type);
}

/* rows x columns elements, converted. */
static void copy_matrix(char *to, wg_dtype to_type, int64_t to_row, int64_t to_column,
                        const char *from, wg_dtype type, int64_t row, int64_t column, int64_t rows,
                        int64_t columns)
{
    wgi_copy_strided(to, to_type, (int64_t[]) { to_row, to_column }, from, type,
                     (int64_t[]) { row, column }, 2, (int64_t[]) { rows, columns });
}

/* Memory for rows x columns elements. */
static bool take_scratch(operand *o, wg_dtype type, int64_t rows, int64_t columns, bool by_columns)
{
    *o = (operand) { .row = by_columns ? 1 : columns, .column = by_columns ? rows : 1 };
    o->scratch = (size_t)rows * (size_t)columns * wg_dtype_size(type);
    return (o->data = wgi_cpu_alloc(o->scratch)) != NULL;
}

/* x's rows x columns from `from` on, to be read. */
static bool take(operand *o, const wgi_matrix *x, wg_dtype type, const char *from, int64_t rows,
                 int64_t columns)
{
    *o = (operand) { (void *)from, x->row, x->column, 0 };
    if (x->type == type && is_plain(rows, columns, &o->row, &o->column)) return true;
    if (!take_scratch(o, type, rows, columns, x->row == 1 && x->column != 1)) return false;
    copy_matrix(o->data, type, o->row, o->column, from, x->type, x->row, x->column, rows, columns);
    return true;
}

/* n of the bias from `column` on, side by side; data NULL if there is none. */
static bool take_bias(operand *o, const wgi_gemm_args *g, wg_dtype type, int64_t column, int64_t n)
{
    const wgi_matrix bias = { (void *)g->bias, g->bias_type, 0, g->bias_stride, { 0 } };
    *o = (operand) { .data = NULL };
    if (!g->bias) return true;
    const char *from = element(&bias, 0, column, 0);
    *o = (operand) { (void *)from, n, 1, 0 };
    if (g->bias_type == type && g->bias_stride == 1) return true;
    if (!take_scratch(o, type, 1, n, false)) return false;
    copy_matrix(o->data, type, n, 1, from, g->bias_type, 0, g->bias_stride, 1, n);
    return true;
}

static void release(operand *o)
{
    if (o->scratch && o->data) wgi_cpu_free(o->data, o->scratch);
}

typedef struct {
    const wgi_gemm_args *g;
    wg_dtype type;   /* of the sums */
    bool own;        /* the own kernel multiplies, not BLIS */
    operand c;       /* C where it lies, as kernels see it; data NULL: they make a copy */
    bool by_columns; /* its columns lie contiguous, not its rows: C^T = B^T A^T is made */
    wgi_gemm_cut tile;
    int64_t tile_columns, tiles; /* tiles across, tiles of one entry */
    int64_t pieces, per_task;    /* tiles of all entries, tiles of a task */
    atomic_bool failed;          /* out of memory */
} job;

/* Once for all tiles: one of a single row or column could be seen either way, and has other bits if it is. */
static void lay_out(job *j)
{
    const wgi_gemm_args *g = j->g;
    const wgi_matrix *c = &g->c;
    j->c = (operand) { NULL, c->row, c->column, 0 };
    if (c->type == j->type && is_plain(g->m, g->n, &j->c.row, &j->c.column)) j->c.data = c->data;
    j->by_columns = j->c.data ? j->c.column != 1 : c->row == 1 && c->column != 1;
}

/* ---- one tile -------------------------------------------------------------------------------- */
typedef struct {
    int64_t m, n, k; /* of this tile */
    double alpha, beta;
} extent;

/* C = beta C + bias, whatever C held when beta is 0. bias: (n), its data NULL if there is none. */
static void begin_f32(const extent *e, const operand *c, const operand *bias)
{
    const float *row = bias->data;
    float beta = (float)e->beta;
    for (int64_t i = 0; i < e->m; i++)
        for (int64_t j = 0; j < e->n; j++) {
            float *z = (float *)c->data + i * c->row + j * c->column;
            *z = (beta == 0 ? 0 : beta * *z) + (row ? row[j * bias->column] : 0);
        }
}

static void begin_f64(const extent *e, const operand *c, const operand *bias)
{
    const double *row = bias->data;
    for (int64_t i = 0; i < e->m; i++)
        for (int64_t j = 0; j < e->n; j++) {
            double *z = (double *)c->data + i * c->row + j * c->column;
            *z = (e->beta == 0 ? 0 : e->beta * *z) + (row ? row[j * bias->column] : 0);
        }
}

static void begin(wg_dtype type, extent *e, const operand *c, const operand *bias)
{
    if (type == WG_F64)
        begin_f64(e, c, bias);
    else
        begin_f32(e, c, bias);
    e->beta = 1;
}

/* A tile's operands as they lie, C as the kernels want it. */
typedef struct {
    wgi_matrix a, b; /* data: of the tile */
    operand c, bias; /* bias: (n), its data NULL if there is none */
    wg_dtype type;
    int64_t all_rows; /* of the whole C, or C^T */
    bool stream;
} tile;

enum { FEW_ROWS = 8 }; /* up to so many are not worth packing */

/* Both of bf16, each with a stride of 1, into sums of f32. */
static bool is_bf16(const tile *t)
{
    return t->a.type == WG_BF16 && t->b.type == WG_BF16 && t->type == WG_F32 &&
           (t->a.row == 1 || t->a.column == 1) && (t->b.row == 1 || t->b.column == 1);
}

static const wgi_gemm_kernel *own_kernel(const tile *t)
{
    const wgi_gemm_kernels *kernels = WGI_PICK(wgi_gemm_kernels);
    if (t->type == WG_F64) return &kernels->f64;
    if (t->all_rows <= FEW_ROWS || !is_bf16(t)) return &kernels->f32;
#if defined(WGI_HAVE_AMX)
    if (wgi_cpu_amx()) return &wgi_gemm_amx;
#endif
#if defined(WGI_HAVE_AVX512_BF16)
    if (wgi_cpu_bf16()) return &wgi_gemm_bf16;
#endif
    return &kernels->f32;
}

static bool own_product(const tile *t, const extent *e)
{
    wgi_gemm_block g = { .m = e->m,
                         .n = e->n,
                         .k = e->k,
                         .all_rows = t->all_rows,
                         .a = t->a.data,
                         .b = t->b.data,
                         .c = t->c.data,
                         .a_row = t->a.row,
                         .a_column = t->a.column,
                         .b_row = t->b.row,
                         .b_column = t->b.column,
                         .c_row = t->c.row,
                         .a_size = (int64_t)wg_dtype_size(t->a.type),
                         .b_size = (int64_t)wg_dtype_size(t->b.type),
                         .bias = t->bias.data,
                         .alpha = e->alpha,
                         .add = e->beta != 0,
                         .stream = t->stream && e->beta == 0,
                         .fetches_a = wgi_cpu_wants_fetches(),
                         .zen5 = wgi_cpu_zen5() };
    if (t->a.type != t->type) g.a_convert = wgi_converter(t->type, t->a.type);
    if (t->b.type != t->type) g.b_convert = wgi_converter(t->type, t->b.type);
    const wgi_gemm_kernel *kernel = own_kernel(t);
    size_t bytes = kernel->scratch(&g);
    if (!(g.scratch = wgi_cpu_alloc(bytes))) return false;
    kernel->run(&g);
    wgi_cpu_free(g.scratch, bytes);
    return true;
}

static bool blis_product(const tile *t, const extent *e)
{
    operand a = { 0 }, b = { 0 };
    const operand *c = &t->c;
    bool ok = take(&a, &t->a, t->type, t->a.data, e->m, e->k) &&
              take(&b, &t->b, t->type, t->b.data, e->k, e->n);
    if (ok && t->type == WG_F64)
        wgi_blis_f64(e->m, e->n, e->k, e->alpha, a.data, a.row, a.column, b.data, b.row, b.column,
                     e->beta, c->data, c->row, c->column);
    else if (ok)
        wgi_blis_f32(e->m, e->n, e->k, (float)e->alpha, a.data, a.row, a.column, b.data, b.row,
                     b.column, (float)e->beta, c->data, c->row, c->column);
    release(&a);
    release(&b);
    return ok;
}

/* C^T = B^T A^T. */
static void turn(tile *t, extent *e)
{
    wgi_matrix a = t->a;
    t->a = t->b;
    t->b = a;
    wgi_matrix *both[] = { &t->a, &t->b };
    for (int i = 0; i < 2; i++) {
        int64_t row = both[i]->row;
        both[i]->row = both[i]->column;
        both[i]->column = row;
    }
    int64_t m = e->m;
    e->m = e->n;
    e->n = m;
    t->c.row = t->c.column;
    t->c.column = 1;
}

/* The own kernel adds the bias as it stores; what it cannot do is done to C beforehand. */
static bool product(const job *j, tile *t, extent e)
{
    const bool adds_bias = j->own && !j->by_columns && e.beta == 0;
    if (e.k == 0 || (t->bias.data && !adds_bias) || (e.beta != 0 && e.beta != 1)) {
        begin(t->type, &e, &t->c, &t->bias);
        t->bias.data = NULL;
    }
    if (e.k == 0) return true;
    if (!j->own) return blis_product(t, &e);
    if (j->by_columns) turn(t, &e);
    return own_product(t, &e);
}

static bool float_tile(const job *j, extent e, int64_t row, int64_t column, const int64_t *offset)
{
    const wgi_gemm_args *g = j->g;
    const wg_dtype type = j->type;
    tile t = {
        .a = g->a, .b = g->b, .c = j->c, .type = type, .all_rows = j->by_columns ? g->n : g->m
    };
    t.stream = !g->made && j->c.data && (double)g->m * (double)g->n >= STREAM_SIZE;
    t.a.data = element(&g->a, row, 0, offset[0]);
    t.b.data = element(&g->b, 0, column, offset[1]);
    char *into = element(&g->c, row, column, offset[2]);
    bool ok = true;
    if (j->c.data) {
        t.c.data = into;
    } else if ((ok = take_scratch(&t.c, type, e.m, e.n, j->by_columns)) && e.beta != 0) {
        copy_matrix(t.c.data, type, t.c.row, t.c.column, into, g->c.type, g->c.row, g->c.column,
                    e.m, e.n);
    }
    ok = ok && take_bias(&t.bias, g, type, column, e.n);
    operand c = t.c, bias = t.bias; /* product() lays them as it needs them */
    ok = ok && product(j, &t, e);
    if (ok && c.scratch)
        copy_matrix(into, g->c.type, g->c.row, g->c.column, c.data, type, c.row, c.column, e.m,
                    e.n);
    release(&bias);
    release(&c);
    return ok;
}

static void integer_tile(const wgi_gemm_args *g, extent e, int64_t row, int64_t column,
                         const int64_t *offset)
{
    for (int64_t i = 0; i < e.m; i++)
        for (int64_t j = 0; j < e.n; j++) {
            char *z = element(&g->c, row + i, column + j, offset[2]);
            uint64_t sum = 0; /* unsigned: wraps around */
            for (int64_t p = 0; p < e.k; p++)
                sum += (uint64_t)wgi_load_int(element(&g->a, row + i, p, offset[0]), g->a.type) *
                       (uint64_t)wgi_load_int(element(&g->b, p, column + j, offset[1]), g->b.type);
            sum *= (uint64_t)(int64_t)e.alpha;
            if (e.beta != 0)
                sum += (uint64_t)(int64_t)e.beta * (uint64_t)wgi_load_int(z, g->c.type);
            if (g->bias)
                sum += (uint64_t)wgi_load_int((const char *)g->bias +
                                                  (column + j) * g->bias_stride *
                                                      (int64_t)wg_dtype_size(g->bias_type),
                                              g->bias_type);
            wgi_store_int(z, g->c.type, (int64_t)sum);
        }
}

static void run_piece(job *j, int64_t piece)
{
    const wgi_gemm_args *g = j->g;
    int64_t entry = piece / j->tiles, t = piece % j->tiles, offset[3] = { 0 };
    int64_t row = t / j->tile_columns * j->tile.rows,
            column = t % j->tile_columns * j->tile.columns;
    for (int d = g->batch_dims - 1; d >= 0; d--) {
        int64_t i = entry % g->batch_shape[d];
        entry /= g->batch_shape[d];
        offset[0] += i * g->a.batch[d];
        offset[1] += i * g->b.batch[d];
        offset[2] += i * g->c.batch[d];
    }
    extent e = { g->m - row, g->n - column, g->k, g->alpha, g->beta };
    if (e.m > j->tile.rows) e.m = j->tile.rows;
    if (e.n > j->tile.columns) e.n = j->tile.columns;
    if (!wgi_is_float(g->c.type)) {
        integer_tile(g, e, row, column, offset);
        return;
    }
    if (!float_tile(j, e, row, column, offset))
        atomic_store(&j->failed, true);
    else if (g->made)
        g->made(g->made_self, g, offset[2] + row * g->c.row + column * g->c.column, e.m, e.n);
}

static void run_task(void *self, int64_t task)
{
    job *j = self;
    int64_t end = (task + 1) * j->per_task;
    for (int64_t p = task * j->per_task; p < end && p < j->pieces; p++) run_piece(j, p);
}

/* The own f32 kernel will read A where it lies. What is made of the tile wants long rows more: 768 x 512 x 128 with GELU took
 * 0.54 ms in tiles of 192 x 256, 0.65 in 384 x 128. */
static bool reads_a_in_place(const wgi_gemm_args *g)
{
    const wgi_matrix *a = &g->a;
    return !g->made && a->type == WG_F32 && g->b.type == WG_F32 && g->c.type == WG_F32 &&
           g->c.column == 1 && a->column == 1 &&
           !wgi_gemm_rows_collide(a->row * (int64_t)sizeof(float),
                                  WGI_PICK(wgi_gemm_kernels)->f32.rows);
}

/* Cuts the tiles of a job of `entries` products, beside which as many others run: `at_once` times as many in all. */
static void cut_tiles(job *j, int64_t entries, int64_t at_once)
{
    const wgi_gemm_args *g = j->g;
    j->tile = wgi_gemm_tile(g->m, g->n, g->k, at_once * entries,
                            j->own ? wgi_threads_here() : BLIS_HANDS, reads_a_in_place(g));
    j->tile_columns = ceil_div(g->n, j->tile.columns);
    j->tiles = j->tile_columns * ceil_div(g->m, j->tile.rows);
    j->pieces = entries * j->tiles;
    const double work = 2.0 * (double)j->tile.rows * (double)j->tile.columns * (double)(g->k + 1);
    j->per_task = work >= SERIAL_WORK ? 1 : (int64_t)(SERIAL_WORK / work) + 1;
}

static int64_t tasks_of(const job *j)
{
    return ceil_div(j->pieces, j->per_task);
}

/* ---- by halves of k --------------------------------------------------------------------------- */
/* A layer's cotangent and input, whose product is its weight's gradient, lie by rows of k, and of those each half was mostly
 * made by some of the cores. They multiply it themselves: first for the half of C that others keep, then, added to what those
 * have made, for their own. So what cores exchange is C and not their rows, which both would pay for, the one that reads them
 * and the other when it next writes there (3% of nanoGPT's small step where each core has a cache of its own). One thread
 * does the same, for the same bits. */
static bool is_halved(const job *j, int64_t entries)
{
    const wgi_gemm_args *g = j->g;
    return entries == 1 && j->own && j->c.data && !j->by_columns && !g->made && !g->bias &&
           g->k >= HALVED_DEPTH && g->m >= HALVED_SIDE && g->n >= HALVED_SIDE &&
           (double)g->m * (double)g->n <= HALVED_SIZE && g->a.row == 1 && g->a.column >= g->m &&
           g->b.column == 1 && g->b.row >= g->n;
}

/* Half p of an axis: where it begins, and its size. */
static void take_half(int64_t *size, int64_t *from, int p)
{
    const int64_t first = (*size / 2 + 16) / 32 * 32;
    *from = p ? first : 0;
    *size = p ? *size - first : first;
}

/* What half p of k gives half q of C. */
static wgi_gemm_args quarter(const wgi_gemm_args *g, int p, int q)
{
    wgi_gemm_args part = *g;
    int64_t k, row = 0, column = 0;
    take_half(&part.k, &k, p);
    if (g->m > g->n)
        take_half(&part.m, &row, q);
    else
        take_half(&part.n, &column, q);
    part.a.data = element(&g->a, row, k, 0);
    part.b.data = element(&g->b, k, column, 0);
    part.c.data = element(&g->c, row, column, 0);
    return part;
}

typedef struct {
    job half[2];   /* of k */
    int64_t tasks; /* of each */
} halves;

static void run_half(void *self, int64_t task)
{
    halves *h = self;
    run_task(&h->half[task / h->tasks], task % h->tasks);
}

static bool run_halves(const wgi_gemm_args *g, wg_dtype type)
{
    bool ok = true;
    for (int own = 0; own < 2 && ok; own++) {
        halves h = { .tasks = 0 };
        wgi_gemm_args part[2];
        for (int p = 0; p < 2; p++) {
            job *j = &h.half[p];
            part[p] = quarter(g, p, own ? p : 1 - p);
            if (own) part[p].beta = 1;
            *j = (job) { .g = &part[p], .type = type, .own = true };
            lay_out(j);
            cut_tiles(j, 1, 2);
            if (h.tasks < tasks_of(j)) h.tasks = tasks_of(j);
        }
        wgi_parallel_tasks(2 * h.tasks, run_half, &h);
        ok = !atomic_load(&h.half[0].failed) && !atomic_load(&h.half[1].failed);
    }
    return ok;
}

bool wgi_gemm_try(const wgi_gemm_args *g)
{
    int64_t entries = 1;
    for (int d = 0; d < g->batch_dims; d++) entries *= g->batch_shape[d];
    if (entries == 0 || g->m == 0 || g->n == 0) return true;
    const bool wide = g->a.type == WG_F64 || g->b.type == WG_F64 || g->c.type == WG_F64;
    job j = { .g = g, .type = wide ? WG_F64 : WG_F32, .own = is_own(g) };
    lay_out(&j);
    if (is_halved(&j, entries)) return run_halves(g, j.type);
    cut_tiles(&j, entries, 1);
    wgi_parallel_tasks(tasks_of(&j), run_task, &j);
    return !atomic_load(&j.failed);
}

wg_status wgi_gemm(const wgi_gemm_args *g)
{
    return wgi_gemm_try(g) ? WG_OK : wg_raise(WG_EMEM, "out of memory in a product");
}
