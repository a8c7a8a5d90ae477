#include "cpu/rows.h"

#include "cpu/parallel.h"

wgi_rows wgi_rows_along(const wg_tensor *t, int axis)
{
    wgi_rows r = { .rows = 1, .n = 1, .step = 1, .bytes = 1, .ndim = 1, .shape = { 1 } };
    if (!t) return r;
    r.data = wgi_data(t);
    r.type = t->dtype;
    r.bytes = (int64_t)wg_dtype_size((wg_dtype)t->dtype);
    if (t->ndim > 0) {
        r.n = t->shape[axis];
        r.step = t->strides[axis];
    }
    int n = 0;
    for (int d = 0; d < t->ndim; d++) {
        if (d == axis || t->shape[d] == 1) continue;
        r.rows *= t->shape[d];
        if (n > 0 && r.strides[n - 1] == t->strides[d] * t->shape[d]) {
            r.shape[n - 1] *= t->shape[d]; /* the axis before steps over exactly this one */
            r.strides[n - 1] = t->strides[d];
        } else {
            r.shape[n] = t->shape[d];
            r.strides[n++] = t->strides[d];
        }
    }
    if (n > 0) r.ndim = n;
    return r;
}

wgi_rows wgi_rows_plain(void *data, wg_dtype type, int64_t rows, int64_t n)
{
    wgi_rows r = { .data = data, .type = type, .rows = rows, .n = n, .step = 1, .ndim = 1 };
    r.bytes = (int64_t)wg_dtype_size(type);
    r.shape[0] = rows;
    r.strides[0] = n;
    return r;
}

enum { STRIP = 16384, STRIPS_PER_THREAD = 4 };

int64_t wgi_row_strips(int64_t rows, int64_t work)
{
    if (rows <= 1) return 1;
    const double pieces = (double)rows * (double)(work > 0 ? work : 1) / STRIP;
    if (pieces < 2) return 1;
    const int64_t threads = wg_threads(), most = threads * STRIPS_PER_THREAD;
    int64_t strips = pieces < (double)most ? (int64_t)pieces : most;
    if (strips > threads)
        strips = (strips + threads - 1) / threads * threads; /* as many for each */
    return strips < rows ? strips : rows;
}

typedef struct {
    wgi_row_fn body;
    void *self;
    int64_t rows, strips;
} strip_run;

static void run_strip(void *self, int64_t strip, int64_t end)
{
    (void)end;
    const strip_run *s = self;
    const int64_t each = s->rows / s->strips, more = s->rows % s->strips;
    const int64_t first = strip * each + (strip < more ? strip : more);
    s->body(s->self, first, first + each + (strip < more), strip);
}

void wgi_row_parallel(int64_t rows, int64_t strips, wgi_row_fn body, void *self)
{
    if (rows <= 0) return;
    strip_run s = { body, self, rows, strips };
    wgi_parallel_for(strips, 1, run_strip, &s);
}

wg_status wgi_row_scratch(const wg_run *r, int64_t n, wg_dtype t, void **out)
{
    const int64_t bytes = (int64_t)wg_dtype_size(t);
    if (n < 0 || n > INT64_MAX / bytes) return wg_raise(WG_EMEM, "scratch memory is too large");
    *out = wg_scratch(r, (size_t)(n > 0 ? n * bytes : bytes));
    return *out ? WG_OK : WG_EMEM;
}

wg_status wgi_flat(const wg_run *r, const wg_tensor *t, wg_dtype as, const void **out)
{
    *out = NULL;
    if (!t) return WG_OK;
    if (t->dtype == as && wgi_is_contiguous(t)) {
        *out = wgi_data(t);
        if (*out) return WG_OK;
    }
    void *copy = NULL;
    wg_status s = wgi_row_scratch(r, t->numel, as, &copy);
    if (s != WG_OK) return s;
    *out = copy;
    if (t->numel == 0) return WG_OK;
    wgi_storage place = { .device = t->device,
                          .bytes = (size_t)t->numel * wg_dtype_size(as),
                          .data = copy };
    wg_tensor flat = { .magic = WGI_ALIVE,
                       .dtype = (uint8_t)as,
                       .ndim = t->ndim,
                       .device = t->device,
                       .numel = t->numel,
                       .storage = &place };
    const wg_dims shape = wgi_shape(t), strides = wgi_row_major(&shape);
    for (int d = 0; d < t->ndim; d++) {
        flat.shape[d] = shape.d[d];
        flat.strides[d] = strides.d[d];
    }
    return wgi_copy_elements(&flat, t);
}
