/* argmax and argmin: the first place of the extremum among a group's elements, counted in row-major
 * order. A NaN is taken for the extremum, as in max and min. */
#include "cpu/extents.h"
#include "cpu/level.h"
#include "cpu/parallel.h"
#include "cpu/reduce.h"

enum { STRIP = 256, BUFFER = 2048, TASK_WORK = 32768 };

#define GREATER(a, b) ((a) > (b))
#define SMALLER(a, b) ((a) < (b))
#define IS_NAN(v) ((v) != (v))
#define T float
#define NAME max_f32
#define BETTER GREATER
#include "cpu/argext.inc.h"
#define T float
#define NAME min_f32
#define BETTER SMALLER
#include "cpu/argext.inc.h"
#define T double
#define NAME max_f64
#define BETTER GREATER
#include "cpu/argext.inc.h"
#define T double
#define NAME min_f64
#define BETTER SMALLER
#include "cpu/argext.inc.h"
#undef IS_NAN
#define IS_NAN(v) false
#define T int64_t
#define NAME max_i64
#define BETTER GREATER
#include "cpu/argext.inc.h"
#define T int64_t
#define NAME min_i64
#define BETTER SMALLER
#include "cpu/argext.inc.h"

typedef void (*lanes_fn)(void *best, int64_t *position, const void *row, int64_t e, int64_t w);
typedef void (*search_fn)(void *best, int64_t *position, const void *extremum, const void *from,
                          int64_t e, int64_t n);
static const lanes_fn lanes[2][WGI_ACC_KINDS] = { { lanes_max_f32, lanes_max_f64, lanes_max_i64 },
                                                  { lanes_min_f32, lanes_min_f64, lanes_min_i64 } };
static const search_fn searches[2][WGI_ACC_KINDS] = {
    { search_max_f32, search_max_f64, search_max_i64 },
    { search_min_f32, search_min_f64, search_min_i64 }
};

typedef struct {
    const char *x;
    int64_t *y;
    int type;
    wgi_acc kind;
    int64_t element;
    bool smallest;
    wgi_extents kept, outer;
    wgi_extent lane, run; /* lane: the innermost kept axis where strips of groups go together */
    int64_t strips;
} job;

/* The elements as the accumulator's type: where they lie, or packed. */
static const void *packed(const job *j, const char *from, int64_t n, int64_t step, void *buffer)
{
    if (step == 1 && (int)wgi_acc_dtype(j->kind) == j->type) return from;
    wgi_fold_table()->pack[j->type](buffer, from, n, step);
    return buffer;
}

static void one_group(const job *j, const char *group, int64_t *position)
{
    double buffer[BUFFER], best = 0, extremum;
    const wgi_fold_op op = j->smallest ? WGI_FOLD_MIN : WGI_FOLD_MAX;
    wgi_cursor c;
    wgi_cursor_set(&c, &j->outer, 0);
    int64_t e = 0;
    for (int64_t i = 0; i < j->outer.count; i++, wgi_cursor_next(&c, &j->outer))
        for (int64_t k = 0; k < j->run.size; k += BUFFER) {
            const int64_t n = j->run.size - k < BUFFER ? j->run.size - k : BUFFER;
            const void *x =
                packed(j, group + (c.x + k * j->run.x) * j->element, n, j->run.x, buffer);
            wgi_fold_table()->run[op][j->kind](&extremum, x, n);
            searches[j->smallest][j->kind](&best, position, &extremum, x, e, n);
            e += n;
        }
}

static void strip_of_groups(const job *j, const char *group, int64_t w, int64_t *position)
{
    double buffer[STRIP], best[STRIP];
    wgi_cursor c;
    wgi_cursor_set(&c, &j->outer, 0);
    memset(position, 0, (size_t)w * sizeof *position);
    wgi_fold_table()->pack[j->type](best, group, w, j->lane.x);
    int64_t e = 0;
    for (int64_t i = 0; i < j->outer.count; i++, wgi_cursor_next(&c, &j->outer))
        for (int64_t k = 0; k < j->run.size; k++, e++) {
            const char *from = group + (c.x + k * j->run.x) * j->element;
            lanes[j->smallest][j->kind](best, position, packed(j, from, w, j->lane.x, buffer), e,
                                        w);
        }
}

static void groups(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    wgi_cursor c;
    for (int64_t i = first; i < last; i++) {
        const int64_t start = i % j->strips * STRIP, left = j->lane.size - start;
        const int64_t w = left < STRIP ? left : STRIP;
        int64_t position[STRIP];
        wgi_cursor_set(&c, &j->kept, i / j->strips);
        const char *group = j->x + (c.x + start * j->lane.x) * j->element;
        if (j->lane.size == 1)
            one_group(j, group, position);
        else
            strip_of_groups(j, group, w, position);
        for (int64_t k = 0; k < w; k++) j->y[c.y + (start + k) * j->lane.y] = position[k];
    }
}

static wg_status extremum_place(const wg_run *r, bool smallest)
{
    const wgi_reduce_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0];
    unsigned mask = 0;
    wgi_axes(&a->axes, x->ndim, &mask);
    if (r->out.t[0]->numel == 0) return WG_OK;
    job j = { .x = wgi_data(x),
              .y = wgi_data(r->out.t[0]),
              .type = x->dtype,
              .kind = wgi_acc_of(x->dtype),
              .element = (int64_t)wg_dtype_size((wg_dtype)x->dtype),
              .smallest = smallest,
              .kept = { .count = 1 },
              .outer = { .count = 1 },
              .lane = { 1, 0, 0 } };
    int64_t y = r->out.t[0]->numel;
    for (int d = 0; d < x->ndim; d++) {
        const bool reduced = mask >> d & 1;
        if (x->shape[d] == 1) continue;
        if (!reduced) y /= x->shape[d];
        wgi_push_extent(reduced ? &j.outer : &j.kept,
                        (wgi_extent) { x->shape[d], x->strides[d], reduced ? 0 : y });
    }
    j.run = wgi_pop_extent(&j.outer);
    if (j.kept.n > 0 && j.kept.e[j.kept.n - 1].x == 1 && j.kept.e[j.kept.n - 1].size >= 8)
        j.lane = wgi_pop_extent(&j.kept);
    j.strips = (j.lane.size + STRIP - 1) / STRIP;
    const int64_t work = j.outer.count * j.run.size * (j.lane.size < STRIP ? j.lane.size : STRIP);
    wgi_parallel_for(j.kept.count * j.strips, work < TASK_WORK ? TASK_WORK / work : 1, groups, &j);
    return WG_OK;
}

wg_status wgi_cpu_argmax(const wg_run *r)
{
    return extremum_place(r, false);
}

wg_status wgi_cpu_argmin(const wg_run *r)
{
    return extremum_place(r, true);
}
