#include "cpu/tiles.h"

#include "cpu/parallel.h"

/* Axis d of `shape` can be merged into the axis before it (at n - 1) for every operand. */
static bool merges(const wgi_tiles *t, int n, int64_t size, const int64_t *stride)
{
    for (int k = 0; k < t->operands; k++)
        if (t->data[k] && t->strides[k][n - 1] != stride[k] * size) return false;
    return true;
}

void wgi_tiles_make(wgi_tiles *t, wg_dims shape, int operands, wg_tensor *const *operand)
{
    t->operands = operands;
    t->numel = 1;
    for (int k = 0; k < operands; k++) {
        const wg_tensor *x = operand[k];
        t->data[k] = x ? wgi_data(x) : NULL;
        t->type[k] = x ? x->dtype : WG_F32;
        t->bytes[k] = (int64_t)wg_dtype_size((wg_dtype)t->type[k]);
    }
    int n = 0;
    for (int d = 0; d < shape.n; d++) {
        int64_t stride[WGI_TILE_OPERANDS] = { 0 };
        t->numel *= shape.d[d];
        if (shape.d[d] == 1) continue;
        for (int k = 0; k < operands; k++) {
            const wg_tensor *x = operand[k];
            const int at = x ? d - (shape.n - x->ndim) : -1;
            stride[k] = at >= 0 && x->shape[at] != 1 ? x->strides[at] : 0;
        }
        const bool merge = n > 0 && merges(t, n, shape.d[d], stride);
        if (!merge) t->shape[n++] = 1;
        t->shape[n - 1] *= shape.d[d];
        for (int k = 0; k < operands; k++) t->strides[k][n - 1] = stride[k];
    }
    if (n == 0) {
        t->shape[n++] = 1;
        for (int k = 0; k < operands; k++) t->strides[k][0] = 1;
    }
    t->ndim = n;
    t->tiles = (t->numel + WGI_TILE - 1) / WGI_TILE;
}

typedef struct {
    const wgi_tiles *t;
    wgi_tile_fn body;
    void *self;
} tile_run;

/* The run that begins at logical index `first` and ends with its tile or its innermost axis. */
static void run_at(const wgi_tiles *t, int64_t first, wgi_tile *run)
{
    const int inner = t->ndim - 1;
    int64_t at = first, offset[WGI_TILE_OPERANDS] = { 0 };
    for (int d = inner; d >= 0; d--) {
        const int64_t i = d > 0 ? at % t->shape[d] : at;
        for (int k = 0; k < t->operands; k++) offset[k] += i * t->strides[k][d];
        if (d == inner) run->n = t->shape[d] - i;
        at /= t->shape[d];
    }
    const int64_t left = (run->tile + 1) * WGI_TILE - first;
    if (run->n > left) run->n = left;
    run->first = first;
    for (int k = 0; k < t->operands; k++)
        run->p[k] = t->data[k] ? t->data[k] + offset[k] * t->bytes[k] : NULL;
}

static void run_tiles(void *self, int64_t first, int64_t last)
{
    const tile_run *s = self;
    const wgi_tiles *t = s->t;
    wgi_tile run;
    for (int k = 0; k < t->operands; k++) {
        run.type[k] = t->type[k];
        run.step[k] = t->strides[k][t->ndim - 1];
    }
    for (run.tile = first; run.tile < last; run.tile++) {
        const int64_t end =
            (run.tile + 1) * WGI_TILE < t->numel ? (run.tile + 1) * WGI_TILE : t->numel;
        for (int64_t i = run.tile * WGI_TILE; i < end; i += run.n) {
            run_at(t, i, &run);
            s->body(s->self, &run);
        }
    }
}

void wgi_tiles_run(const wgi_tiles *t, int64_t grain, wgi_tile_fn body, void *self)
{
    tile_run s = { t, body, self };
    wgi_parallel_for(t->tiles, grain, run_tiles, &s);
}

/* ---- several passes as one ------------------------------------------------------------------- */
typedef struct {
    const wgi_tile_job *jobs;
    int64_t n, parts;
} job_row;

/* Part `p` of every job. Jobs of fewer tiles than there are parts take turns with them. */
static void run_part(void *self, int64_t p)
{
    const job_row *row = self;
    for (int64_t j = 0; j < row->n; j++) {
        const wgi_tile_job *job = &row->jobs[j];
        const int64_t tiles = job->tiles.tiles, turn = j % row->parts;
        tile_run s = { &job->tiles, job->body, job->self };
        run_tiles(&s, (p * tiles + turn) / row->parts, ((p + 1) * tiles + turn) / row->parts);
    }
}

void wgi_tiles_run_jobs(const wgi_tile_job *jobs, int64_t n, int64_t grain)
{
    int64_t tiles = 0;
    for (int64_t j = 0; j < n; j++) tiles += jobs[j].tiles.tiles;
    const int64_t most = (tiles + grain - 1) / grain, threads = wgi_threads_here();
    job_row row = { jobs, n, threads < most ? threads : most };
    wgi_parallel_tasks(row.parts, run_part, &row);
}
