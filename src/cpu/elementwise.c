#include "cpu/elementwise.h"

#include "cpu/convert.h"
#include "cpu/parallel.h"

enum {
    BLOCK = 1024,  /* elements of a buffer: a few of them stay in L1 */
    SHORT_ROW = 64 /* rows shorter than this are gathered many to a block */
};

typedef struct {
    char *data;
    wg_dtype dtype;
    int64_t stride[WG_MAX_DIMS]; /* in elements, of the coalesced dimensions */
    bool linear;                 /* element i lies at data + i */
    bool constant;               /* all strides 0 */
} operand;

typedef struct {
    const wgi_loop *loop;
    const wgi_numbers *numbers;
    int n, ndim;
    int64_t size[WG_MAX_DIMS], numel;
    operand in[WGI_OPERANDS], out;
    bool accumulate, short_rows;
    bool direct; /* no operand ever needs a buffer */
} pass;

/* One block of an operand in the loop's dtype, and one as it lies in memory. */
typedef union {
    double f64[BLOCK];
    float f32[BLOCK];
    int64_t i64[BLOCK];
    char bytes[BLOCK * 8];
} buffer;

typedef struct {
    buffer in[WGI_OPERANDS], out, sum, raw;
    bool ready[WGI_OPERANDS]; /* a constant's buffer is filled */
} buffers;

wgi_loop wgi_formula_loop(wgi_formula f, wg_dtype compute)
{
    const wgi_elementwise_kernels *k = WGI_PICK(wgi_elementwise_kernels);
    wgi_loop_fn fn = compute == WG_F32 ? k->f32[f] : compute == WG_F64 ? k->f64[f] : k->i64[f];
    wgi_loop l = { fn, { compute, compute, compute, compute }, compute, 0 };
    return l;
}

/* ---- setting up ---- */

static void set_operand(operand *o, const wg_tensor *t, const wg_tensor *out)
{
    int missing = out->ndim - t->ndim;
    o->data = wgi_data(t);
    o->dtype = (wg_dtype)t->dtype;
    for (int i = 0; i < out->ndim; i++)
        o->stride[i] = i < missing || t->shape[i - missing] == 1 ? 0 : t->strides[i - missing];
}

static bool mergeable(const operand *o, int64_t size, int i) /* i with i + 1, of that size */
{
    return o->stride[i] == o->stride[i + 1] * size;
}

/* Drops dimensions of 1 and merges neighbours that every operand steps through evenly. */
static void coalesce(pass *p)
{
    operand *all[WGI_OPERANDS + 1] = { &p->out };
    for (int k = 0; k < p->n; k++) all[k + 1] = &p->in[k];
    int n = 0;
    for (int i = 0; i < p->ndim; i++) {
        if (p->size[i] == 1) continue;
        bool merge = n > 0;
        for (int k = 0; k <= p->n; k++) {
            all[k]->stride[n] = all[k]->stride[i];
            if (merge && !mergeable(all[k], p->size[i], n - 1)) merge = false;
        }
        p->size[n] = p->size[i];
        if (!merge) {
            n++;
            continue;
        }
        p->size[n - 1] *= p->size[n];
        for (int k = 0; k <= p->n; k++) all[k]->stride[n - 1] = all[k]->stride[n];
    }
    if (n == 0) { /* one element */
        p->size[0] = 1;
        for (int k = 0; k <= p->n; k++) all[k]->stride[0] = 1;
        n = 1;
    }
    p->ndim = n;
}

static void classify(const pass *p, operand *o)
{
    int64_t step = 1;
    o->linear = o->constant = true;
    for (int i = p->ndim - 1; i >= 0; i--) {
        if (o->stride[i] != step) o->linear = false;
        if (o->stride[i] != 0) o->constant = false;
        step *= p->size[i];
    }
    if (p->numel == 1) o->linear = true;
}

static bool needs_no_buffer(const pass *p, const operand *o, wg_dtype wanted)
{
    return o->dtype == wanted && (o->linear || (!p->short_rows && o->stride[p->ndim - 1] == 1));
}

static void set_up(pass *p, const wgi_loop *loop, wg_tensor *out, int n, wg_tensor *const *in)
{
    p->loop = loop;
    p->n = n;
    p->ndim = out->ndim;
    p->numel = out->numel;
    wgi_copy_dims(p->size, out->shape, out->ndim);
    set_operand(&p->out, out, out);
    for (int k = 0; k < n; k++) set_operand(&p->in[k], in[k], out);
    coalesce(p);
    p->short_rows = p->ndim > 1 && p->size[p->ndim - 1] < SHORT_ROW;
    classify(p, &p->out);
    p->direct = !p->accumulate && needs_no_buffer(p, &p->out, loop->out);
    for (int k = 0; k < n; k++) {
        classify(p, &p->in[k]);
        if (!needs_no_buffer(p, &p->in[k], loop->in[k])) p->direct = false;
    }
}

/* ---- elements between memory and blocks ---- */

static char *address(const operand *o, int64_t offset)
{
    extern size_t wgi_dtype_bytes[];
    return o->data + offset * (int64_t)wgi_dtype_bytes[o->dtype];
}

/* Offset of element i, and where it stands in each dimension. */
static int64_t locate(const pass *p, const operand *o, int64_t i, int64_t *index)
{
    int64_t offset = 0;
    for (int d = p->ndim - 1; d >= 0; d--) {
        int64_t outer = d > 0 ? i / p->size[d] : 0;
        index[d] = i - outer * p->size[d];
        offset += index[d] * o->stride[d];
        i = outer;
    }
    return offset;
}

/* n elements with a stride to or from contiguous memory. */
static void copy_strided(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                         size_t size, int64_t n)
{
    if (size == 4) {
        uint32_t *y = (uint32_t *)(void *)to;
        const uint32_t *x = (const uint32_t *)(const void *)from;
        for (int64_t i = 0; i < n; i++) y[i * to_stride] = x[i * from_stride];
    } else if (size == 8) {
        uint64_t *y = (uint64_t *)(void *)to;
        const uint64_t *x = (const uint64_t *)(const void *)from;
        for (int64_t i = 0; i < n; i++) y[i * to_stride] = x[i * from_stride];
    } else if (size == 2) {
        uint16_t *y = (uint16_t *)(void *)to;
        const uint16_t *x = (const uint16_t *)(const void *)from;
        for (int64_t i = 0; i < n; i++) y[i * to_stride] = x[i * from_stride];
    } else {
        for (int64_t i = 0; i < n; i++) to[i * to_stride] = from[i * from_stride];
    }
}

/* Elements i .. i + n of o to (gather) or from contiguous memory, row by row. */
static void transfer(const pass *p, const operand *o, int64_t i, int64_t n, char *block,
                     bool gather)
{
    extern size_t wgi_dtype_bytes[];
    size_t size = wgi_dtype_bytes[o->dtype];
    int last = p->ndim - 1;
    int64_t index[WG_MAX_DIMS], offset = locate(p, o, i, index), stride = o->stride[last];
    while (n > 0) {
        int64_t run = p->size[last] - index[last] < n ? p->size[last] - index[last] : n;
        if (gather)
            copy_strided(block, 1, address(o, offset), stride, size, run);
        else
            copy_strided(address(o, offset), stride, block, 1, size, run);
        block += run * (int64_t)size;
        n -= run;
        offset -= index[last] * stride;
        index[last] = 0;
        for (int d = last - 1; d >= 0 && n > 0; d--) {
            offset += o->stride[d];
            if (++index[d] < p->size[d]) break;
            offset -= p->size[d] * o->stride[d];
            index[d] = 0;
        }
    }
}

/* Elements i .. i + n of o where they lie, or NULL if they are not contiguous there. */
static char *in_place(const pass *p, const operand *o, int64_t i)
{
    if (o->linear) return address(o, i);
    if (p->short_rows || o->stride[p->ndim - 1] != 1) return NULL;
    int64_t index[WG_MAX_DIMS];
    return address(o, locate(p, o, i, index));
}

/* The same as contiguous memory of dtype `wanted`. */
static const void *load(const pass *p, const operand *o, wg_dtype wanted, int64_t i, int64_t n,
                        buffer *to, buffer *raw)
{
    const void *found = in_place(p, o, i);
    if (found && o->dtype == wanted) return found;
    if (!found) {
        buffer *gathered = o->dtype == wanted ? to : raw;
        transfer(p, o, i, n, gathered->bytes, true);
        if (o->dtype == wanted) return to;
        found = gathered;
    }
    wgi_converter(wanted, o->dtype)(to, found, n);
    return to;
}

static void store(const pass *p, const operand *o, wg_dtype dtype, int64_t i, int64_t n,
                  buffer *from, buffer *raw)
{
    void *place = in_place(p, o, i);
    if (place) {
        wgi_converter(o->dtype, dtype)(place, from, n);
        return;
    }
    if (o->dtype != dtype) {
        wgi_converter(o->dtype, dtype)(raw, from, n);
        from = raw;
    }
    transfer(p, o, i, n, from->bytes, false);
}

static void add_into(const pass *p, int64_t i, int64_t n, buffers *b)
{
    const wgi_elementwise_kernels *k = WGI_PICK(wgi_elementwise_kernels);
    wg_dtype t = p->loop->out;
    void (*accumulate)(void *, const void *, int64_t) = t == WG_F32   ? k->accumulate_f32
                                                        : t == WG_F64 ? k->accumulate_f64
                                                                      : k->accumulate_i64;
    void *place = p->out.dtype == t ? in_place(p, &p->out, i) : NULL;
    if (place) {
        accumulate(place, &b->out, n);
        return;
    }
    const void *old = load(p, &p->out, t, i, n, &b->sum, &b->raw);
    if (old != &b->sum) memcpy(&b->sum, old, (size_t)n * wg_dtype_size(t));
    accumulate(&b->sum, &b->out, n);
    store(p, &p->out, t, i, n, &b->sum, &b->raw);
}

/* ---- running ---- */

static void run_block(const pass *p, int64_t i, int64_t n, int64_t constants, buffers *b)
{
    const void *in[WGI_OPERANDS];
    for (int k = 0; k < p->n; k++) {
        const operand *o = &p->in[k];
        if (!o->constant) {
            in[k] = load(p, o, p->loop->in[k], i, n, &b->in[k], &b->raw);
            continue;
        }
        if (!b->ready[k]) load(p, o, p->loop->in[k], 0, constants, &b->in[k], &b->raw);
        b->ready[k] = true;
        in[k] = &b->in[k];
    }
    void *place = p->accumulate || p->out.dtype != p->loop->out ? NULL : in_place(p, &p->out, i);
    p->loop->fn(place ? place : &b->out, in, n, p->numbers);
    if (place) return;
    if (p->accumulate)
        add_into(p, i, n, b);
    else
        store(p, &p->out, p->loop->out, i, n, &b->out, &b->raw);
}

/* No buffers: whole rows at once. */
static void run_direct(void *self, int64_t first, int64_t last)
{
    const pass *p = self;
    int64_t row = p->size[p->ndim - 1];
    bool all_linear = p->out.linear;
    for (int k = 0; k < p->n; k++) all_linear = all_linear && p->in[k].linear;
    for (int64_t i = first, n; i < last; i += n) {
        n = all_linear ? last - i : row - i % row < last - i ? row - i % row : last - i;
        const void *in[WGI_OPERANDS];
        for (int k = 0; k < p->n; k++) in[k] = in_place(p, &p->in[k], i);
        p->loop->fn(in_place(p, &p->out, i), in, n, p->numbers);
    }
}

static void run_buffered(void *self, int64_t first, int64_t last)
{
    const pass *p = self;
    int64_t row = p->size[p->ndim - 1], constants = last - first < BLOCK ? last - first : BLOCK;
    buffers b;
    memset(b.ready, 0, sizeof b.ready);
    for (int64_t i = first, n; i < last; i += n) {
        n = last - i < BLOCK ? last - i : BLOCK;
        if (!p->short_rows && row - i % row < n) n = row - i % row;
        run_block(p, i, n, constants, &b);
    }
}

/* t is of this dtype and lies in memory exactly as out does. */
static inline bool lies_like(const wg_tensor *t, wg_dtype dtype, const wg_tensor *out)
{
    if (t->dtype != dtype || t->ndim != out->ndim) return false;
    for (int i = 0; i < out->ndim; i++)
        if (t->shape[i] != out->shape[i] || t->strides[i] != out->strides[i]) return false;
    return true;
}

bool wgi_elementwise_is_plain(const wgi_loop *loop, const wg_tensor *out, int n,
                              wg_tensor *const *in)
{
    if (out->dtype != loop->out || !wgi_is_contiguous(out)) return false;
    for (int k = 0; k < n; k++)
        if (!lies_like(in[k], loop->in[k], out)) return false;
    return true;
}

/* Small, contiguous and in the loop's own dtypes: runs it without setting anything up. */
static inline bool run_plain(const wgi_loop *loop, wg_tensor *out, int n, wg_tensor *const *in,
                             const wgi_numbers *p)
{
    const void *data[WGI_OPERANDS];
    if (!wgi_elementwise_is_plain(loop, out, n, in)) return false;
    for (int k = 0; k < n; k++) data[k] = wgi_data(in[k]);
    loop->fn(wgi_data(out), data, out->numel, p);
    return true;
}

/* Of any strides, dtypes and size. */
static WGI_COLD void run_any(const wgi_loop *loop, wg_tensor *out, int n, wg_tensor *const *in,
                             const wgi_numbers *p, bool accumulate, int64_t grain)
{
    pass s;
    s.numbers = p;
    s.accumulate = accumulate;
    set_up(&s, loop, out, n, in);
    void (*body)(void *, int64_t, int64_t) = s.direct ? run_direct : run_buffered;
    if (out->numel < 2 * grain)
        body(&s, 0, out->numel);
    else
        wgi_parallel_for(out->numel, grain, body, &s);
}

void wgi_elementwise(const wgi_loop *loop, wg_tensor *out, int n, wg_tensor *const *in,
                     const wgi_numbers *p, bool accumulate)
{
    if (out->numel == 0) return;
    const int64_t grain = loop->grain ? loop->grain : WGI_GRAIN;
    if (!accumulate && out->numel < 2 * grain && run_plain(loop, out, n, in, p)) return;
    run_any(loop, out, n, in, p, accumulate, grain);
}

/* ---- conversion as a pass ---- */

static void copy_f64(void *out, const void *const *in, int64_t n, const wgi_numbers *p)
{
    (void)p;
    memcpy(out, in[0], (size_t)n * sizeof(double));
}

static void copy_f32(void *out, const void *const *in, int64_t n, const wgi_numbers *p)
{
    (void)p;
    memcpy(out, in[0], (size_t)n * sizeof(float));
}

typedef struct {
    wgi_convert_fn fn;
    char *to;
    const char *from;
    size_t to_size, from_size;
} conversion;

static void convert_range(void *self, int64_t first, int64_t last)
{
    const conversion *c = self;
    c->fn(c->to + (size_t)first * c->to_size, c->from + (size_t)first * c->from_size, last - first);
}

void wgi_convert_tensor(wg_tensor *out, wg_tensor *x, bool accumulate)
{
    if (out->numel == 0) return;
    if (wgi_in_blocks(out->dtype) || wgi_in_blocks(x->dtype)) { /* never a gradient: not added */
        wgi_copy_elements(out, x);
        return;
    }
    if (!accumulate && wgi_same_shape(out, x) && wgi_is_contiguous(out) && wgi_is_contiguous(x)) {
        conversion c = { wgi_converter((wg_dtype)out->dtype, (wg_dtype)x->dtype), wgi_data(out),
                         wgi_data(x), wg_dtype_size((wg_dtype)out->dtype),
                         wg_dtype_size((wg_dtype)x->dtype) };
        if (out->numel < 2 * WGI_GRAIN)
            convert_range(&c, 0, out->numel);
        else
            wgi_parallel_for(out->numel, WGI_GRAIN, convert_range, &c);
        return;
    }
    /* the block is loaded in x's own compute type, so that nothing is lost on the way */
    wg_dtype middle = wgi_compute_dtype((wg_dtype)x->dtype);
    if (accumulate && middle == WG_F32) middle = wgi_compute_dtype((wg_dtype)out->dtype);
    wgi_loop l = { middle == WG_F32 ? copy_f32 : copy_f64, { middle }, middle, 0 };
    wgi_elementwise(&l, out, 1, &x, NULL, accumulate);
}
