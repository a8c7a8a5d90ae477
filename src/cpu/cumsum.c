/* Running sums along one axis: f32 and 16-bit floats add in f64, so that the error does not grow
 * along the axis. Strips of the last axis run together where it is not the summed one. */
#include "cpu/extents.h"
#include "cpu/index.h"
#include "cpu/parallel.h"
#include "cpu/reduce.h"
#include "cpu/scan.h"

enum { STRIP = 256, TASK_WORK = 32768 };

typedef struct {
    const char *x;
    char *y;
    int from, to;
    int64_t from_bytes, to_bytes;
    wgi_extents lines; /* all axes but the summed one and the lane */
    wgi_extent lane, axis;
    int64_t strips;
} job;

/* sum (w) += x (w), stored as y. */
static void step(const job *j, void *sum, const char *x, char *y, int64_t w)
{
    double wide[STRIP], stored[STRIP];
    const wgi_acc kind = wgi_acc_of(j->from);
    wgi_fold_table()->pack[j->from](wide, x, w, j->lane.x);
    if (kind == WGI_ACC_I64) {
        uint64_t *s = sum;
        for (int64_t k = 0; k < w; k++) s[k] += ((const uint64_t *)wide)[k];
        wgi_convert(stored, (wg_dtype)j->to, s, WG_I64, w);
    } else {
        double *s = sum;
        for (int64_t k = 0; k < w; k++)
            s[k] += kind == WGI_ACC_F64 ? wide[k] : (double)((const float *)wide)[k];
        wgi_convert(stored, (wg_dtype)j->to, s, WG_F64, w);
    }
    if (j->lane.y == 1)
        memcpy(y, stored, (size_t)(w * j->to_bytes));
    else
        for (int64_t k = 0; k < w; k++)
            memcpy(y + k * j->lane.y * j->to_bytes, (const char *)stored + k * j->to_bytes,
                   (size_t)j->to_bytes);
}

/* A single line, a piece at a time. */
static void one_line(const job *j, const char *x, char *y)
{
    double wide[STRIP], stored[STRIP], sum = 0;
    uint64_t whole = 0;
    const wgi_acc kind = wgi_acc_of(j->from);
    for (int64_t first = 0; first < j->axis.size; first += STRIP) {
        const int64_t left = j->axis.size - first, n = left < STRIP ? left : STRIP;
        wgi_fold_table()->pack[j->from](wide, x + first * j->axis.x * j->from_bytes, n, j->axis.x);
        if (kind == WGI_ACC_I64)
            for (int64_t k = 0; k < n; k++) ((uint64_t *)wide)[k] = whole += ((uint64_t *)wide)[k];
        else if (kind == WGI_ACC_F64)
            for (int64_t k = 0; k < n; k++) wide[k] = sum += wide[k];
        else
            for (int64_t k = 0; k < n; k++) stored[k] = sum += (double)((const float *)wide)[k];
        if (kind == WGI_ACC_F32) memcpy(wide, stored, (size_t)n * sizeof *wide);
        wgi_convert(stored, (wg_dtype)j->to, wide, kind == WGI_ACC_I64 ? WG_I64 : WG_F64, n);
        for (int64_t k = 0; k < n; k++)
            memcpy(y + (first + k) * j->axis.y * j->to_bytes,
                   (const char *)stored + k * j->to_bytes, (size_t)j->to_bytes);
    }
}

static void lines(void *self, int64_t first, int64_t last)
{
    const job *j = self;
    wgi_cursor c;
    for (int64_t i = first; i < last; i++) {
        const int64_t start = i % j->strips * STRIP, left = j->lane.size - start;
        wgi_cursor_set(&c, &j->lines, i / j->strips);
        const char *x = j->x + (c.x + start * j->lane.x) * j->from_bytes;
        char *y = j->y + (c.y + start * j->lane.y) * j->to_bytes;
        if (j->lane.size == 1) {
            one_line(j, x, y);
            continue;
        }
        double sum[STRIP];
        memset(sum, 0, sizeof sum);
        for (int64_t e = 0; e < j->axis.size; e++)
            step(j, sum, x + e * j->axis.x * j->from_bytes, y + e * j->axis.y * j->to_bytes,
                 left < STRIP ? left : STRIP);
    }
}

wg_status wgi_cpu_cumsum(const wg_run *r)
{
    const wgi_axis_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0], *y = r->out.t[0];
    const int axis = a->axis < 0 ? a->axis + (x->ndim ? x->ndim : 1) : a->axis;
    if (x->numel == 0) return WG_OK;
    job j = { .x = wgi_data(x),
              .y = wgi_data(y),
              .from = x->dtype,
              .to = y->dtype,
              .from_bytes = (int64_t)wg_dtype_size((wg_dtype)x->dtype),
              .to_bytes = (int64_t)wg_dtype_size((wg_dtype)y->dtype),
              .lines = { .count = 1 },
              .lane = { 1, 0, 0 },
              .axis = { 1, 0, 0 } };
    for (int d = 0; d < x->ndim; d++) {
        const wgi_extent e = { x->shape[d], x->strides[d], y->strides[d] };
        if (d == axis)
            j.axis = e;
        else if (e.size > 1)
            wgi_push_extent(&j.lines, e);
    }
    if (axis < x->ndim - 1) j.lane = wgi_pop_extent(&j.lines);
    j.strips = (j.lane.size + STRIP - 1) / STRIP;
    const int64_t work = j.axis.size * (j.lane.size < STRIP ? j.lane.size : STRIP);
    wgi_parallel_for(j.lines.count * j.strips, work < TASK_WORK ? TASK_WORK / work : 1, lines, &j);
    return WG_OK;
}
