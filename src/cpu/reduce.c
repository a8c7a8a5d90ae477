/* The fold: the engine of reductions. Axes are sorted by stride and merged. If the innermost is
 * reduced, each group folds runs of elements ("rows"); if it is kept, strips of adjacent groups
 * fold together, a row of the strip at a time
 * ("columns"). Either way the reduced elements are cut into blocks of a fixed size, 16 blocks make
 * a chunk, and blocks and chunks are joined pairwise: the rounding error of a sum of n grows with
 * log n, and a chunk is a task. */
#include "cpu/reduce.h"

#include <math.h>

#include "cpu/extents.h"
#include "cpu/level.h"
#include "cpu/parallel.h"

WGI_DECLARE_LEVELS(wgi_fold_kernels, wgi_fold_kernels);
const wgi_fold_kernels *wgi_fold_table(void)
{
    return WGI_PICK(wgi_fold_kernels);
}

enum {
    ROW_BLOCK = 4096,  /* elements of a block, rows */
    COLUMN_BLOCK = 64, /* reduced elements of a block, columns */
    STRIP = 128,       /* groups folded together, columns */
    CHUNK = 16,        /* blocks of a chunk */
    BUFFER = 4096,     /* elements that are packed and mapped at a time */
    TASK_WORK = 32768  /* elements that are worth a task */
};

wgi_acc wgi_acc_of(int dtype)
{
    return dtype == WG_F64 ? WGI_ACC_F64 : wgi_is_float(dtype) ? WGI_ACC_F32 : WGI_ACC_I64;
}

wg_dtype wgi_acc_dtype(wgi_acc a)
{
    return a == WGI_ACC_F32 ? WG_F32 : a == WGI_ACC_F64 ? WG_F64 : WG_I64;
}

/* ---- the plan: fixed by shape and strides ---- */
typedef struct {
    wgi_extents kept, outer; /* groups (without the lane), and reduced axes outside the run */
    wgi_extent lane,
        run; /* columns: the innermost kept axis (else size 1); the innermost reduced axis */
    bool columns;
    int64_t block;         /* reduced elements of a block */
    int64_t split, joined; /* blocks of a run, or runs of a block: one of the two is 1 */
    int64_t blocks, chunks, strips;
} plan;

typedef struct {
    plan p;
    const wgi_fold_kernels *k;
    const wgi_fold_spec *f;
    const char *x;
    char *acc, *partial; /* partial: (groups, strips, chunks, STRIP or 1) */
    int type;
    wgi_acc kind;
    size_t element, bytes; /* sizes of an input's and an accumulator's element */
    bool direct;           /* elements are folded where they lie */
} job;

static int64_t distance(int64_t stride) /* sorts repeated elements outermost */
{
    return stride == 0 ? INT64_MAX : stride < 0 ? -stride : stride;
}

/* Axes of more than one element by falling stride, each with its stride in acc. */
static int sorted_axes(const wg_tensor *x, unsigned mask, wgi_extent *e, bool *reduced)
{
    int n = 0;
    int64_t y = 1;
    for (int a = x->ndim - 1; a >= 0; a--) {
        const bool r = mask >> a & 1;
        if (x->shape[a] == 1) continue;
        const wgi_extent now = { x->shape[a], x->strides[a], r ? 0 : y };
        if (!r) y *= x->shape[a];
        int at = 0;
        while (at < n && distance(e[at].x) > distance(now.x)) at++;
        for (int i = n++; i > at; i--) {
            e[i] = e[i - 1];
            reduced[i] = reduced[i - 1];
        }
        e[at] = now;
        reduced[at] = r;
    }
    return n;
}

static void cut(plan *p) /* blocks and chunks */
{
    const int64_t n = p->run.size, outer = p->outer.count;
    p->block = p->columns ? COLUMN_BLOCK : ROW_BLOCK;
    p->split = (n + p->block - 1) / p->block;
    p->joined = n < p->block ? p->block / n : 1;
    p->blocks = p->split > 1 ? outer * p->split : (outer + p->joined - 1) / p->joined;
    p->chunks = (p->blocks + CHUNK - 1) / CHUNK;
    p->strips = p->columns ? (p->lane.size + STRIP - 1) / STRIP : 1;
}

static void make_plan(plan *p, const wg_tensor *x, unsigned mask)
{
    wgi_extent e[WG_MAX_DIMS];
    bool reduced[WG_MAX_DIMS];
    const int n = sorted_axes(x, mask, e, reduced);
    p->kept = p->outer = (wgi_extents) { .count = 1 };
    for (int i = 0; i < n; i++) wgi_push_extent(reduced[i] ? &p->outer : &p->kept, e[i]);
    const int64_t count = p->outer.count;
    const wgi_extent *inner = p->kept.n > 0 ? &p->kept.e[p->kept.n - 1] : NULL;
    /* Few elements a group and many groups: columns, too, since a group costs more than an element.
     */
    p->columns = inner && ((!reduced[n - 1] && inner->size >= 4) ||
                           (count <= 4 && inner->size >= 32) || count == 1);
    p->lane = (wgi_extent) { 1, 0, 0 };
    if (p->columns) p->lane = wgi_pop_extent(&p->kept);
    p->run = wgi_pop_extent(&p->outer);
    cut(p);
}

/* ---- one block ---- */
static void neutral(const job *j, void *acc, int64_t w)
{
    static const double real[WGI_FOLD_OPS] = { 0, 1, -INFINITY, INFINITY };
    static const int64_t whole[WGI_FOLD_OPS] = { 0, 1, INT64_MIN, INT64_MAX };
    for (int64_t i = 0; i < w; i++) {
        if (j->kind == WGI_ACC_F32)
            ((float *)acc)[i] = (float)real[j->f->op];
        else if (j->kind == WGI_ACC_F64)
            ((double *)acc)[i] = real[j->f->op];
        else
            ((int64_t *)acc)[i] = whole[j->f->op];
    }
}

static void join(const job *j, void *a, const void *b, int64_t w)
{
    j->k->columns[j->f->op][j->kind](a, b, 1, 0, w);
}

/* Folds n elements of one run; centre: the group's. */
static void fold_elements(const job *j, void *acc, const char *from, int64_t n, const void *centre)
{
    if (j->direct && (j->p.run.x == 1 || n == 1)) {
        j->k->run[j->f->op][j->kind](acc, from, n);
        return;
    }
    double buffer[BUFFER];
    j->k->pack[j->type](buffer, from, n, j->p.run.x);
    j->k->map[j->kind](j->f, buffer, n, 1, centre);
    j->k->run[j->f->op][j->kind](acc, buffer, n);
}

/* Folds several whole runs, gathered into one buffer. */
static void fold_runs(const job *j, void *acc, const char *group, int64_t first, int64_t runs,
                      const void *centre)
{
    const plan *p = &j->p;
    double buffer[BUFFER];
    wgi_cursor c;
    wgi_cursor_set(&c, &p->outer, first);
    for (int64_t i = 0; i < runs; i++, wgi_cursor_next(&c, &p->outer))
        j->k->pack[j->type]((char *)buffer + (size_t)(i * p->run.size) * j->bytes,
                            group + c.x * (int64_t)j->element, p->run.size, p->run.x);
    j->k->map[j->kind](j->f, buffer, runs * p->run.size, 1, centre);
    j->k->run[j->f->op][j->kind](acc, buffer, runs * p->run.size);
}

/* acc (w) = op(acc, rows of the strip at from). */
static void fold_strip(const job *j, void *acc, const char *from, int64_t rows, int64_t w,
                       const void *centre)
{
    const plan *p = &j->p;
    if (j->direct && (p->lane.x == 1 || w == 1)) {
        j->k->columns[j->f->op][j->kind](acc, from, rows, p->run.x, w);
        return;
    }
    double buffer[BUFFER];
    const int64_t most = BUFFER / w;
    for (int64_t i = 0; i < rows; i += most) {
        const int64_t now = rows - i < most ? rows - i : most;
        for (int64_t l = 0; l < now; l++)
            j->k->pack[j->type]((char *)buffer + (size_t)(l * w) * j->bytes,
                                from + (i + l) * p->run.x * (int64_t)j->element, w, p->lane.x);
        j->k->map[j->kind](j->f, buffer, now, w, centre);
        j->k->columns[j->f->op][j->kind](acc, buffer, now, w, w);
    }
}

/* acc (w) = the fold of block b of the group (rows) or strip of groups (columns) at `group`. */
static void fold_block(const job *j, int64_t b, void *acc, const char *group, int64_t w,
                       const void *centre)
{
    const plan *p = &j->p;
    const int64_t run = p->split > 1 ? b / p->split : b * p->joined;
    const int64_t start = p->split > 1 ? b % p->split * p->block : 0;
    const int64_t left = p->run.size - start, n = left < p->block ? left : p->block;
    int64_t runs = p->outer.count - run;
    if (runs > p->joined) runs = p->joined;
    if (p->columns) neutral(j, acc, w);
    if (!p->columns && runs > 1) {
        fold_runs(j, acc, group, run, runs, centre);
        return;
    }
    wgi_cursor c;
    wgi_cursor_set(&c, &p->outer, run);
    for (int64_t i = 0; i < runs; i++, wgi_cursor_next(&c, &p->outer)) {
        const char *from = group + (c.x + start * p->run.x) * (int64_t)j->element;
        if (p->columns)
            fold_strip(j, acc, from, n, w, centre);
        else
            fold_elements(j, acc, from, n, centre);
    }
}

/* acc (w) = the fold of one chunk: its blocks joined pairwise, as a binary counter carries. */
static void fold_chunk(const job *j, int64_t chunk, char *acc, const char *group, int64_t w,
                       const void *centre)
{
    const int64_t first = chunk * CHUNK,
                  end = first + CHUNK < j->p.blocks ? first + CHUNK : j->p.blocks;
    double stack[5][STRIP];
    int top = 0;
    if (end - first == 1) {
        fold_block(j, first, acc, group, w, centre);
        return;
    }
    for (int64_t b = first; b < end; b++) {
        fold_block(j, b, stack[top++], group, w, centre);
        for (int64_t carry = b - first; carry & 1; carry >>= 1, top--)
            join(j, stack[top - 2], stack[top - 1], w);
    }
    for (; top > 1; top--) join(j, stack[top - 2], stack[top - 1], w);
    memcpy(acc, stack[0], (size_t)w * j->bytes);
}

/* ---- tasks ---- */
static void spread(char *to, int64_t step, const char *from, int64_t w, size_t bytes)
{
    for (int64_t i = 0; i < w; i++)
        memcpy(to + i * step * (int64_t)bytes, from + i * (int64_t)bytes, bytes);
}

static int64_t strip_width(const plan *p, int64_t strip)
{
    const int64_t left = p->lane.size - strip * STRIP;
    return left < STRIP ? left : STRIP;
}

/* One chunk of one strip of one group: the result goes to `to` (w), adjacent. */
static void fold_task(const job *j, const wgi_cursor *c, int64_t strip, int64_t chunk, char *to)
{
    const plan *p = &j->p;
    const int64_t w = strip_width(p, strip), y = c->y + strip * STRIP * p->lane.y;
    const char *group = j->x + (c->x + strip * STRIP * p->lane.x) * (int64_t)j->element;
    double centre[STRIP];
    if (j->f->centre) {
        const char *from = (const char *)j->f->centre + y * (int64_t)j->bytes;
        for (int64_t i = 0; i < w; i++)
            memcpy((char *)centre + i * (int64_t)j->bytes, from + i * p->lane.y * (int64_t)j->bytes,
                   j->bytes);
    }
    fold_chunk(j, chunk, to, group, w, j->f->centre ? centre : NULL);
}

static void store_strip(const job *j, const wgi_cursor *c, int64_t strip, const char *from)
{
    const plan *p = &j->p;
    const int64_t y = c->y + strip * STRIP * p->lane.y;
    spread(j->acc + y * (int64_t)j->bytes, p->lane.y, from, strip_width(p, strip), j->bytes);
}

/* Groups of a single chunk, finished at once. i: group * strips + strip. */
static void whole_groups(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    const plan *p = &j->p;
    wgi_cursor c;
    wgi_cursor_set(&c, &p->kept, first / p->strips);
    int64_t strip = first % p->strips;
    for (int64_t i = first; i < last; i++) {
        if (!p->columns && j->direct && p->split == 1 && p->outer.count == 1 && p->run.x == 1) {
            j->k->run[j->f->op][j->kind](j->acc + c.y * (int64_t)j->bytes,
                                         j->x + c.x * (int64_t)j->element, p->run.size);
        } else {
            double result[STRIP];
            fold_task(j, &c, strip, 0, (char *)result);
            store_strip(j, &c, strip, (const char *)result);
        }
        if (++strip < p->strips) continue;
        strip = 0;
        wgi_cursor_next(&c, &p->kept);
    }
}

static int64_t partial_width(const plan *p)
{
    return p->columns ? STRIP : 1;
}

static void one_chunk(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    const plan *p = &j->p;
    for (int64_t i = first; i < last; i++) {
        const int64_t strips = i / p->chunks;
        wgi_cursor c;
        wgi_cursor_set(&c, &p->kept, strips / p->strips);
        fold_task(j, &c, strips % p->strips, i % p->chunks,
                  j->partial + (size_t)(i * partial_width(p)) * j->bytes);
    }
}

static void join_chunks(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    const plan *p = &j->p;
    const size_t width = (size_t)partial_width(p) * j->bytes;
    for (int64_t i = first; i < last; i++) {
        char *part = j->partial + (size_t)(i * p->chunks) * width;
        const int64_t strip = i % p->strips, w = strip_width(p, strip);
        for (int64_t step = 1; step < p->chunks; step *= 2)
            for (int64_t k = 0; k + step < p->chunks; k += 2 * step)
                join(j, part + (size_t)k * width, part + (size_t)(k + step) * width, w);
        wgi_cursor c;
        wgi_cursor_set(&c, &p->kept, i / p->strips);
        store_strip(j, &c, strip, part);
    }
}

wg_status wgi_fold_into(const wg_run *r, const wg_tensor *x, unsigned mask, const wgi_fold_spec *f,
                        void *acc)
{
    job j = { .k = wgi_fold_table(), .f = f, .x = wgi_data(x), .acc = acc, .type = x->dtype };
    j.kind = wgi_acc_of(x->dtype);
    j.element = wg_dtype_size((wg_dtype)x->dtype);
    j.bytes = wgi_acc_bytes(j.kind);
    j.direct = f->map == WGI_MAP_NONE && wgi_acc_dtype(j.kind) == x->dtype;
    if (x->numel == 0) {
        neutral(&j, acc, wgi_kept_count(x, mask));
        return WG_OK;
    }
    plan *p = &j.p;
    make_plan(p, x, mask);
    const int64_t parts = p->kept.count * p->strips;
    if (p->chunks == 1) {
        const int64_t work =
            p->outer.count * p->run.size * (p->lane.size < STRIP ? p->lane.size : STRIP);
        wgi_parallel_for(parts, work >= TASK_WORK ? 1 : TASK_WORK / work, whole_groups, &j);
        return WG_OK;
    }
    j.partial = wg_scratch(r, (size_t)(parts * p->chunks * partial_width(p)) * j.bytes);
    if (!j.partial) return WG_EMEM;
    wgi_parallel_for(parts * p->chunks, 1, one_chunk, &j);
    const int64_t work = p->chunks * partial_width(p);
    wgi_parallel_for(parts, work >= TASK_WORK ? 1 : TASK_WORK / work, join_chunks, &j);
    return WG_OK;
}

int64_t wgi_reduced_count(const wg_tensor *x, unsigned mask)
{
    int64_t n = 1;
    for (int a = 0; a < x->ndim; a++) n *= mask >> a & 1 ? x->shape[a] : 1;
    return n;
}

int64_t wgi_kept_count(const wg_tensor *x, unsigned mask)
{
    return wgi_reduced_count(x, ~mask);
}

unsigned wgi_sum_to_mask(const wg_tensor *x, const wg_dims *shape)
{
    unsigned mask = 0;
    const int lead = x->ndim - shape->n;
    for (int a = 0; a < x->ndim; a++)
        if (a < lead || (shape->d[a - lead] == 1 && x->shape[a] != 1)) mask |= 1u << a;
    return mask;
}
