#include "cpu/index.h"

#include <stdatomic.h>

#include "cpu/parallel.h"
#include "cpu/reduce.h"
#include "cpu/rows.h"

enum { STRIP = 128, BUFFER = 1024 };

/* ---- reading and checking indices ---- */
typedef struct {
    const int64_t *i;
    int64_t low, size;
    _Atomic int64_t first_bad, negative;
} range_check;

static void check_range(void *self, int64_t first, int64_t last)
{
    range_check *c = self;
    int64_t negative = 0;
    for (int64_t k = first; k < last; k++) {
        negative |= c->i[k];
        if (c->i[k] >= c->low && c->i[k] < c->size) continue;
        int64_t known = atomic_load(&c->first_bad);
        while (k < known && !atomic_compare_exchange_weak(&c->first_bad, &known, k)) {}
        break;
    }
    if (negative < 0) atomic_store(&c->negative, 1);
}

static wg_status raise_index(const wg_tensor *t, const char *name, int64_t at, int64_t value,
                             int64_t size)
{
    wg_dims place = { .n = t->ndim };
    for (int d = t->ndim - 1; d >= 0; d--) {
        place.d[d] = at % t->shape[d];
        at /= t->shape[d];
    }
    char text[256];
    wgi_shape_text(text, sizeof text, &place);
    return wg_raise(WG_EINDEX, "%s at %s is %lld, out of range for size %lld", name, text,
                    (long long)value, (long long)size);
}

wg_status wgi_index_read(const wg_run *r, const wg_tensor *t, const char *name, int64_t size,
                         bool wrap, const int64_t **out)
{
    const void *flat;
    wg_status s = wgi_flat(r, t, WG_I64, &flat);
    if (s != WG_OK) return s;
    *out = flat;
    if (t->numel == 0) return WG_OK;
    range_check c = { .i = flat, .low = wrap ? -size : 0, .size = size, .first_bad = INT64_MAX };
    wgi_parallel_for(t->numel, WGI_GRAIN, check_range, &c);
    const int64_t bad = atomic_load(&c.first_bad);
    if (bad != INT64_MAX) return raise_index(t, name, bad, c.i[bad], size);
    if (!atomic_load(&c.negative)) return WG_OK;
    int64_t *wrapped = wg_scratch(r, (size_t)t->numel * sizeof *wrapped);
    if (!wrapped) return WG_EMEM;
    for (int64_t k = 0; k < t->numel; k++) wrapped[k] = c.i[k] < 0 ? c.i[k] + size : c.i[k];
    *out = wrapped;
    return WG_OK;
}

/* ---- walking lines: all axes but the skipped ones ---- */
typedef struct {
    int n, axis[WG_MAX_DIMS]; /* the axes that are walked */
    int64_t at[WG_MAX_DIMS];
    int64_t large, small, index; /* where the line begins */
} walk;

static int64_t large_step(const wgi_index_map *m, int d)
{
    return d == m->axis ? 0 : m->large[d];
}

static void walk_start(walk *w, const wgi_index_map *m, unsigned skip, int64_t line)
{
    w->n = 0;
    w->large = w->small = w->index = 0;
    for (int d = 0; d < m->n; d++)
        if (!(skip >> d & 1)) w->axis[w->n++] = d;
    for (int k = w->n - 1; k >= 0; k--) {
        const int d = w->axis[k];
        w->at[k] = line % m->shape[d];
        line /= m->shape[d];
        w->large += w->at[k] * large_step(m, d);
        w->small += w->at[k] * m->small[d];
        w->index += w->at[k] * m->index[d];
    }
}

static void walk_next(walk *w, const wgi_index_map *m)
{
    for (int k = w->n - 1; k >= 0; k--) {
        const int d = w->axis[k];
        const bool more = ++w->at[k] < m->shape[d];
        const int64_t by = more ? 1 : 1 - m->shape[d];
        w->large += by * large_step(m, d);
        w->small += by * m->small[d];
        w->index += by * m->index[d];
        if (more) return;
        w->at[k] = 0;
    }
}

static int64_t count_lines(const wgi_index_map *m, unsigned skip)
{
    int64_t n = 1;
    for (int d = 0; d < m->n; d++) n *= skip >> d & 1 ? 1 : m->shape[d];
    return n;
}

/* ---- lines of elements of 1, 2, 4, 8 bytes ---- */
#define T uint8_t
#define NAME lines_1
#include "cpu/index_lines.inc.h"
#define T uint16_t
#define NAME lines_2
#include "cpu/index_lines.inc.h"
#define T uint32_t
#define NAME lines_4
#include "cpu/index_lines.inc.h"
#define T uint64_t
#define NAME lines_8
#include "cpu/index_lines.inc.h"

/* to[k * to_step + (to_i ? to_i[k * i_step] * to_by : 0)] = from[k * from_step + (from_i ? ...)] */
typedef struct {
    char *to;
    const char *from;
    int64_t n, to_step, from_step, i_step, by;
    const int64_t *to_i, *from_i;
} line;

static void move_line(const line *l, size_t bytes)
{
    if (!l->to_i && !l->from_i && l->to_step == 1 && l->from_step == 1) {
        memcpy(l->to, l->from, (size_t)l->n * bytes);
        return;
    }
    switch (bytes) {
    case 1:
        lines_1(l->to, l->to_step, l->to_i, l->from, l->from_step, l->from_i, l->i_step, l->by,
                l->n);
        break;
    case 2:
        lines_2(l->to, l->to_step, l->to_i, l->from, l->from_step, l->from_i, l->i_step, l->by,
                l->n);
        break;
    case 4:
        lines_4(l->to, l->to_step, l->to_i, l->from, l->from_step, l->from_i, l->i_step, l->by,
                l->n);
        break;
    default:
        lines_8(l->to, l->to_step, l->to_i, l->from, l->from_step, l->from_i, l->i_step, l->by,
                l->n);
        break;
    }
}

/* ---- take ---- */
typedef struct {
    const wgi_index_map *m;
    char *large, *small;
    const char *from;
    size_t bytes;
    int type; /* of small, when adding; 0: write */
    int64_t strips, strip;
} job;

static void take_lines(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    const wgi_index_map *m = j->m;
    const int d = m->n - 1;
    const int64_t bytes = (int64_t)j->bytes;
    const bool constant = m->index[d] == 0 && d != m->axis;
    walk w;
    walk_start(&w, m, 1u << d, first);
    for (int64_t k = first; k < last; k++, walk_next(&w, m)) {
        line l = { .n = m->shape[d],
                   .to_step = m->small[d],
                   .from_step = large_step(m, d),
                   .i_step = m->index[d],
                   .by = m->large[m->axis] };
        l.to = j->small + w.small * bytes;
        l.from = j->from + w.large * bytes;
        if (constant)
            l.from += m->i[w.index] * l.by * bytes;
        else
            l.from_i = m->i + w.index;
        move_line(&l, j->bytes);
    }
}

void wgi_index_take(const wgi_index_map *m, const void *large, void *small, size_t bytes)
{
    if (count_lines(m, 0) == 0) return;
    job j = { .m = m, .from = large, .small = small, .bytes = bytes };
    const int64_t n = m->shape[m->n - 1];
    wgi_parallel_for(count_lines(m, 1u << (m->n - 1)), n < WGI_GRAIN ? WGI_GRAIN / n : 1,
                     take_lines, &j);
}

/* ---- put: write or add ---- */
static void add_at(const job *j, char *large, int64_t step, const int64_t *i, int64_t i_step,
                   int64_t by, const void *packed, int64_t n)
{
    const wgi_acc kind = wgi_acc_of(j->type);
    if (!i && step == 1) {
        wgi_fold_table()->columns[WGI_FOLD_SUM][kind](large, packed, 1, 0, n);
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        const int64_t at = k * step + (i ? i[k * i_step] * by : 0);
        if (kind == WGI_ACC_F32)
            ((float *)large)[at] += ((const float *)packed)[k];
        else if (kind == WGI_ACC_F64)
            ((double *)large)[at] += ((const double *)packed)[k];
        else
            ((uint64_t *)large)[at] += ((const uint64_t *)packed)[k];
    }
}

/* n elements along axis d of the small side, from element `start` of the line that begins at large,
 * small, index. */
static void put_line(const job *j, int d, int64_t start, int64_t n, int64_t large, int64_t small,
                     int64_t index)
{
    const wgi_index_map *m = j->m;
    const int64_t bytes = (int64_t)j->bytes, step = large_step(m, d), by = m->large[m->axis];
    const bool constant = m->index[d] == 0 && d != m->axis;
    if (constant) large += m->i[index] * by;
    large += start * step;
    small += start * m->small[d];
    index += start * m->index[d];
    const int64_t *i = constant ? NULL : m->i + index;
    if (j->type == 0) {
        move_line(&(line) { .to = j->large + large * bytes,
                            .from = j->from + small * bytes,
                            .n = n,
                            .to_step = step,
                            .from_step = m->small[d],
                            .i_step = m->index[d],
                            .by = by,
                            .to_i = i },
                  j->bytes);
        return;
    }
    const wgi_acc kind = wgi_acc_of(j->type);
    const int64_t wide = (int64_t)wgi_acc_bytes(kind);
    double buffer[BUFFER];
    for (int64_t k = 0; k < n; k += BUFFER) {
        const int64_t now = n - k < BUFFER ? n - k : BUFFER;
        const char *from = j->from + (small + k * m->small[d]) * bytes;
        const void *packed = from;
        if (m->small[d] != 1 || (int)wgi_acc_dtype(kind) != j->type) {
            wgi_fold_table()->pack[j->type](buffer, from, now, m->small[d]);
            packed = buffer;
        }
        add_at(j, j->large + (large + k * step) * wide, step, i ? i + k * m->index[d] : NULL,
               m->index[d], by, packed, now);
    }
}

/* The axis is the last: a line holds all elements that can meet. */
static void put_lines(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    walk w;
    walk_start(&w, j->m, 1u << j->m->axis, first);
    for (int64_t k = first; k < last; k++, walk_next(&w, j->m))
        put_line(j, j->m->axis, 0, j->m->shape[j->m->axis], w.large, w.small, w.index);
}

/* A strip of the last axis, for all of the axis: nobody else touches it. */
static void put_strips(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    const wgi_index_map *m = j->m;
    const int d = m->n - 1, a = m->axis;
    for (int64_t k = first; k < last; k++) {
        walk w;
        walk_start(&w, m, 1u << d | 1u << a, k / j->strips);
        const int64_t start = k % j->strips * j->strip, left = m->shape[d] - start;
        for (int64_t e = 0; e < m->shape[a]; e++)
            put_line(j, d, start, left < j->strip ? left : j->strip, w.large,
                     w.small + e * m->small[a], w.index + e * m->index[a]);
    }
}

static void put(job *j)
{
    const wgi_index_map *m = j->m;
    const int d = m->n - 1;
    if (count_lines(m, 0) == 0) return;
    if (d == m->axis) {
        const int64_t n = m->shape[d];
        wgi_parallel_for(count_lines(m, 1u << d), n < WGI_GRAIN ? WGI_GRAIN / n : 1, put_lines, j);
        return;
    }
    j->strip = STRIP;
    j->strips = (m->shape[d] + STRIP - 1) / STRIP;
    const int64_t work = m->shape[m->axis] * (m->shape[d] < STRIP ? m->shape[d] : STRIP);
    wgi_parallel_for(count_lines(m, 1u << d | 1u << m->axis) * j->strips,
                     work < WGI_GRAIN ? WGI_GRAIN / work : 1, put_strips, j);
}

void wgi_index_write(const wgi_index_map *m, void *large, const void *small, size_t bytes)
{
    put(&(job) { .m = m, .large = large, .from = small, .bytes = bytes });
}

void wgi_index_add_into(const wgi_index_map *m, void *large, const void *small, wg_dtype from)
{
    put(&(job) {
        .m = m, .large = large, .from = small, .bytes = wg_dtype_size(from), .type = from });
}
