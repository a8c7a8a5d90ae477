/* Collects an op's samples and runs the groups of tests on each. */
#include "autograd/optest.h"

#include <math.h>
#include <stdarg.h>

#include "wengert/ops.h"

/* ---- samples --------------------------------------------------------------------------------------------------- */
static void add_sample(wg_samples *s, wgi_sample sample)
{
    if (s->n == s->capacity) {
        int64_t capacity = s->capacity ? 2 * s->capacity : 16;
        wgi_sample *p = wg_scope_alloc((size_t)capacity * sizeof *p);
        if (!p) return;
        if (s->n) memcpy(p, s->s, (size_t)s->n * sizeof *p);
        s->s = p;
        s->capacity = capacity;
    }
    wg_list in = wg_list_new(sample.in.n);
    for (int64_t i = 0; i < in.n; i++) in.t[i] = sample.in.t[i];
    sample.in = in;
    if (s->attr_size && sample.attr) {
        void *copy = wg_scope_alloc(s->attr_size);
        if (!copy) return;
        memcpy(copy, sample.attr, s->attr_size);
        sample.attr = copy;
    }
    s->s[s->n++] = sample;
}

void wg_sample(wg_samples *s, const char *label, wg_list in, const void *attr)
{
    add_sample(s, (wgi_sample) { .label = label, .in = in, .attr = attr });
}

void wg_sample_error(wg_samples *s, const char *label, wg_list in, const void *attr, wg_status code,
                     const char *message)
{
    add_sample(s, (wgi_sample) {
                      .label = label, .in = in, .attr = attr, .code = code, .message = message });
}

/* ---- reporting -------------------------------------------------------------------------------------------------- */
void wgi_case(wgi_optest *t, bool ok, const char *fmt, ...)
{
    t->counts->cases++;
    if (ok) return;
    t->counts->failures++;
    if (!t->report) return;
    va_list a;
    va_start(a, fmt);
    fprintf(t->report, "%s/%s %s: ", t->op->name, t->sample->label, t->variant);
    vfprintf(t->report, fmt, a);
    fputc('\n', t->report);
    va_end(a);
}

static double epsilon(wg_dtype t)
{
    return t == WG_F64 ? 0x1p-52 : t == WG_F16 ? 0x1p-10 : t == WG_BF16 ? 0x1p-7 : 0x1p-23;
}

double wgi_length(wg_list in)
{
    double n = 1;
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i]) n = fmax(n, (double)in.t[i]->numel);
    return n;
}

static bool same_value(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b)) return a == b;
    return fabs(a - b) <= tolerance;
}

bool wgi_compare(wgi_optest *t, const char *what, wg_tensor *got, wg_tensor *want, wg_dtype as,
                 double length, double scale)
{
    if (wg_error_code() || wgi_bad(got) || wgi_bad(want)) {
        wgi_case(t, false, "%s: %s", what, wg_error_code() ? wg_error_get()->message : "no result");
        wg_error_clear();
        return false;
    }
    if (!wgi_same_shape(got, want)) {
        wgi_case(t, false, "%s: another shape", what);
        return false;
    }
    size_t bytes = (size_t)got->numel * sizeof(double);
    double *g = wg_scope_alloc(bytes + 8), *w = wg_scope_alloc(bytes + 8), largest = 0;
    if (!g || !w || (wg_read)(got, g, bytes, WG_F64) || (wg_read)(want, w, bytes, WG_F64))
        return false;
    for (int64_t e = 0; e < got->numel; e++)
        if (isfinite(w[e])) largest = fmax(largest, fabs(w[e]));
    bool exact = !wgi_is_float(got->dtype);
    for (int64_t e = 0; e < got->numel; e++) {
        double tolerance = exact ? 0
                                 : epsilon(as) * (8 + 2 * sqrt(length)) *
                                       fmax(fabs(w[e]), fmax(0.25 * largest, scale));
        if (same_value(g[e], w[e], tolerance)) continue;
        wgi_case(t, false, "%s[%lld] got %.9g want %.9g", what, (long long)e, g[e], w[e]);
        return false;
    }
    wgi_case(t, true, "%s", what);
    return true;
}

bool wgi_refused(wgi_optest *t, wg_dtype as, int layout)
{
    wg_status code = wg_error_code();
    bool dtype = code == WG_EDTYPE && wgi_is_16bit(as);
    bool view = code == WG_ESHAPE && layout != WGI_LAYOUT_PLAIN && (t->op->flags & WG_OP_VIEW);
    if (!dtype && !view) return false;
    t->counts->skipped++;
    wg_error_clear();
    return true;
}

/* ---- variants of the inputs ---------------------------------------------------------------------------------------- */
const char *wgi_layout_name(int layout)
{
    static const char *const names[] = { "", " transposed", " narrowed", " expanded" };
    return names[layout];
}

static wg_tensor *fresh(const wg_tensor *like, wg_dims shape)
{
    return wgi_tensor_new(wgi_ctx(), (wg_dtype)like->dtype, like->device, shape);
}

/* The same values with the axes in the opposite order in memory. */
static wg_tensor *transposed(wg_tensor *t)
{
    wg_dims reversed = wgi_shape(t), axes = reversed;
    for (int i = 0; i < t->ndim; i++) {
        reversed.d[i] = t->shape[t->ndim - 1 - i];
        axes.d[i] = t->ndim - 1 - i;
    }
    wg_tensor *v = wg_permute(fresh(t, reversed), axes);
    if (!wgi_bad(v)) wgi_copy_elements(v, t);
    return v;
}

/* The middle of a larger tensor whose rim holds values that would show. */
static wg_tensor *narrowed(wg_tensor *t)
{
    wg_dims larger = wgi_shape(t);
    for (int i = 0; i < t->ndim; i++) larger.d[i] += 2;
    wg_tensor *v = wgi_tensor_new(wgi_ctx(), (wg_dtype)t->dtype, wg_cpu(), larger);
    for (int64_t e = 0; !wgi_bad(v) && e < v->numel; e++)
        wgi_store((char *)wgi_data(v) + (size_t)e * wg_dtype_size((wg_dtype)t->dtype),
                  (wg_dtype)t->dtype, wgi_is_float(t->dtype) ? NAN : 1);
    v = wg_to(v, t->device);
    for (int i = 0; i < t->ndim; i++) v = wg_narrow(v, i, 1, t->shape[i]);
    if (!wgi_bad(v)) wgi_copy_elements(v, t);
    return v;
}

/* The first slice along the first longer axis, repeated by a stride of 0. */
static wg_tensor *expanded(wg_tensor *t)
{
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] > 1) return wg_expand(wg_contiguous(wg_narrow(t, i, 0, 1)), wgi_shape(t));
    return t;
}

static wg_tensor *laid_out(wg_tensor *t, int layout)
{
    if (wgi_bad(t) || !t->ndim || !t->numel || wgi_in_blocks(t->dtype)) return t;
    switch (layout) {
    case WGI_LAYOUT_TRANSPOSED: return transposed(t);
    case WGI_LAYOUT_NARROWED: return narrowed(t);
    case WGI_LAYOUT_EXPANDED: return expanded(t);
    default: return t;
    }
}

wg_list wgi_variant(wg_list in, wg_dtype as, wg_device d, int layout)
{
    wg_list out = wg_list_new(in.n);
    wg_scope s = (wg_scope_push)();
    wg_use_grad(false);
    for (int64_t i = 0; i < out.n; i++) {
        wg_tensor *t = in.t[i];
        const bool weak = t && t->flags & WGI_WEAK;
        if (t && !weak && t->device.kind == WG_CUDA) t = wg_to(t, wg_cpu());
        if (t && as && wgi_is_float(t->dtype) && !weak) t = wg_cast(t, as);
        if (t && !weak && d.kind != WG_CPU) t = wg_to(t, d);
        if (t) t = laid_out(t, layout);
        out.t[i] = t ? wg_scope_keep(s, t) : NULL;
    }
    (wg_scope_return)(s, NULL);
    return out;
}

wg_list wgi_dequantised(wg_list in)
{
    wg_list out = wg_list_new(in.n);
    for (int64_t i = 0; i < out.n; i++)
        out.t[i] = in.t[i] && wgi_in_blocks(in.t[i]->dtype) ? wg_cast(in.t[i], WG_F64) : in.t[i];
    return out;
}

wg_list wgi_outputs(wgi_optest *t, const wg_op *op, wg_list in)
{
    wgi_context *c = wgi_ctx();
    wg_spec specs[WG_MAX_OUTPUTS];
    const void *attr =
        op == t->op ? t->attr_there : t->sample->attr; /* references are on the CPU */
    int n = 0;
    while (n < WG_MAX_OUTPUTS && op->out[n]) n++;
    wg_infer rule = { .attr = attr, .in = in, .n_out = n, .out = specs, .random = -1 };
    bool ok = op->infer && op->infer(&rule) == WG_OK; /* how many there will be */
    int visible = 0;
    for (int j = 0; ok && j < rule.n_out; j++) visible += j >= 16 || !(op->hidden & WG_OUT(j));
    if (wg_error_code() == WG_OK && !ok) wg_raise(WG_EARG, "%s: no shape rule", op->name);
    if (wg_error_code()) return (wg_list) { 0, NULL };
    wg_list y = wg_list_new(visible);
    c->random = t->random;
    if (visible)
        (wg_apply_list)(op, in, attr, y);
    else
        (wg_apply)(op, in, attr, NULL);
    return wg_error_code() ? (wg_list) { 0, NULL } : y;
}

/* ---- one sample, one op ---------------------------------------------------------------------------------------------- */
static void test_error(wgi_optest *t)
{
    const wgi_sample *s = t->sample;
    t->variant = "error";
    wg_list in = wgi_variant(s->in, 0, t->device, WGI_LAYOUT_PLAIN);
    wg_error_clear();
    (wg_apply_list)(t->op, in, t->attr_there, (wg_list) { 0, NULL });
    (void)!wg_synchronize(t->device); /* what a kernel finds is told late */
    const wg_error *e = wg_error_get();
    wgi_case(t, e != NULL, "raised nothing");
    if (!e) return;
    wgi_case(t, e->code == s->code, "raised %s, not %s: %s", wg_status_name(e->code),
             wg_status_name(s->code), e->message);
    size_t n = s->message ? strlen(s->message) : 0;
    wgi_case(t, strncmp(e->message, s->message ? s->message : "", n) == 0, "says: %s", e->message);
    wg_error_clear();
}

static void test_sample(wgi_optest *t)
{
    int64_t before = wg_memory_stats(t->device).tensors;
    wg_scope s = (wg_scope_push)();
    if (t->sample->code != WG_OK) {
        test_error(t);
    } else if (t->op->updates) {
        wgi_test_updates(t);
    } else {
        wgi_test_values(t);
        wgi_test_gradients(t);
    }
    (void)!wg_synchronize(t->device);
    if (wg_error_code()) {
        wgi_case(t, false, "left an error: %s", wg_error_get()->message);
        wg_error_clear();
    }
    (wg_scope_return)(s, NULL);
    int64_t after = wg_memory_stats(t->device).tensors;
    t->variant = "leaks";
    wgi_case(t, after == before, "%lld tensors stay alive", (long long)(after - before));
}

wg_status wg_op_test_counted(const wg_op *op, wg_device d, FILE *report, wg_op_report *counts)
{
    *counts = (wg_op_report) { 0 };
    if (wg_error_code()) return wg_error_code();
    if (!op->samples) return wg_raise(WG_EARG, "%s: has no samples", op->name);
    wg_scope s = (wg_scope_push)();
    wg_use_dtype(WG_F64);
    wg_use_device(wg_cpu());
    wg_use_autocast(0);
    wg_use_grad(true);
    wg_generator outside = wg_generator_get();
    wg_seed(20240607);
    wg_samples samples = { .attr_size = op->attr_size }, there = samples;
    op->samples(&samples);
    if (d.kind == WG_CUDA && !op->in[0] && !wg_error_code()) { /* the same, made for the device */
        wg_seed(20240607);
        wg_use_device(d);
        op->samples(&there);
        wg_use_device(wg_cpu());
    }
    wgi_optest t = {
        .op = op, .device = d, .report = report, .counts = counts, .random = { 7, 1000 }
    };
    for (int64_t i = 0; i < samples.n && !wg_error_code(); i++) {
        t.sample = &samples.s[i];
        t.attr_there = i < there.n ? there.s[i].attr : t.sample->attr;
        test_sample(&t);
    }
    if (wg_error_code()) {
        counts->failures++;
        if (report)
            fprintf(report, "%s: making its samples: %s\n", op->name, wg_error_get()->message);
        wg_error_clear();
    }
    wg_generator_set(outside);
    (wg_scope_return)(s, NULL);
    return counts->failures ? wg_raise(WG_EGRAD, "%s: %lld of %lld tests failed", op->name,
                                       (long long)counts->failures, (long long)counts->cases)
                            : WG_OK;
}

wg_status wg_op_test(const wg_op *op, wg_device d, FILE *report)
{
    wg_op_report counts;
    return wg_op_test_counted(op, d, report, &counts);
}
