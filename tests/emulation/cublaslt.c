/* What src/cuda/product_lt.c does, without cuBLASLt: column-major products, with its rules for leading dimensions and types. */
#include "cuda/product_lt.h"

#include <stdlib.h>

#include "cuda/record.h"
#include "ops/activation.h"

struct wgi_cuda_product {
    int nothing;
};

wgi_cuda_product *wgi_product_open(wgi_cuda_device *d)
{
    static wgi_cuda_product one;
    (void)d;
    return &one;
}

void emulation_written(const void *p, size_t bytes);

static void put(void *p, int type, int64_t i, double x)
{
    char *to = (char *)p + i * (int64_t)wgi_dtype_bytes[type];
    wgi_store(to, (wg_dtype)type, x);
    emulation_written(to, wgi_dtype_bytes[type]);
}

static double element(const void *p, int type, int64_t i)
{
    return wgi_load((const char *)p + i * (int64_t)wgi_dtype_bytes[type], (wg_dtype)type);
}

/* What the epilogue makes of the sum at D[i, j]. */
static double after(const wgi_product_problem *p, const wgi_product_values *v, int64_t i, int64_t j,
                    double x)
{
    const int e = p->epilogue;
    const int64_t at = i + j * p->ld_aux;
    char *aux = v->aux ? (char *)v->aux + at * (int64_t)wgi_dtype_bytes[p->type_c] : NULL;
    if (e == WGI_EPILOGUE_DGELU)
        return x * wgi_activation_slope(WG_ACT_GELU_TANH, wgi_load(aux, (wg_dtype)p->type_c));
    if (e & WGI_EPILOGUE_BIAS) x += element(v->bias, p->type_c, i);
    if (aux) put(v->aux, p->type_c, at, x);
    if (e & WGI_EPILOGUE_GELU) return wgi_activation_f64(WG_ACT_GELU_TANH, x);
    return e & WGI_EPILOGUE_RELU && x < 0 ? 0 : x;
}

/* D[i, j] of entry e of the batch. */
static void one(const wgi_product_problem *p, const wgi_product_values *v, int64_t e, int64_t i,
                int64_t j)
{
    char *to =
        (char *)v->c + (e * p->stride_c + i + j * p->ldc) * (int64_t)wgi_dtype_bytes[p->type_c];
    double sum = 0;
    for (int64_t k = 0; k < p->k; k++)
        sum += element(v->a, p->type,
                       e * p->stride_a + (p->trans_a ? k + i * p->lda : i + k * p->lda)) *
               element(v->b, p->type,
                       e * p->stride_b + (p->trans_b ? j + k * p->ldb : k + j * p->ldb));
    sum *= v->alpha;
    if (v->beta != 0)
        sum += v->beta * (v->added ? element(v->added, p->type_c, e * p->stride_c + i + j * p->ldc)
                                   : wgi_load(to, (wg_dtype)p->type_c));
    put(v->c, p->type_c, e * p->stride_c + i + j * p->ldc, after(p, v, i, j, sum));
}

/* Column sums of op(b), which are those of the cotangent's rows. */
static void sum_b(const wgi_product_problem *p, const wgi_product_values *v)
{
    for (int64_t j = 0; j < p->n; j++) {
        double sum = 0;
        for (int64_t k = 0; k < p->k; k++)
            sum += element(v->b, p->type, p->trans_b ? j + k * p->ldb : k + j * p->ldb);
        put((void *)v->bias, p->type_c, j, sum);
    }
}

/* Only what the library asks for and cuBLASLt has. */
static const char *refusal(const wgi_product_problem *p, const wgi_product_values *v)
{
    const int e = p->epilogue;
    if (e == WGI_EPILOGUE_NONE) return v->aux ? "aux without an epilogue" : NULL;
    if (p->type == WG_F64) return "an epilogue in f64";
    if (wgi_epilogue_has_bias(e) != (v->bias != NULL)) return "bias";
    if (!wgi_product_takes_bias(v->bias)) return "a bias is not at a multiple of 16 bytes";
    if (wgi_epilogue_has_aux(e) != (v->aux != NULL)) return "aux";
    if (e != WGI_EPILOGUE_BIAS && p->batch > 1) return "an epilogue of a batch";
    if (v->aux && (p->ld_aux % 8 || p->ld_aux < p->m || (uintptr_t)v->aux % 16))
        return "aux's rows are not of 16 bytes";
    if ((e & WGI_EPILOGUE_GELU || e == WGI_EPILOGUE_DGELU) &&
        (p->type_c != p->type || !wgi_is_16bit(p->type)))
        return "GELU's types";
    if (e == WGI_EPILOGUE_BGRADB && p->type_c != WG_F32) return "BGRADB's types";
    return NULL;
}

typedef struct {
    wgi_product_problem p;
    wgi_product_values v;
} product;

static void multiply(const void *self)
{
    const product *m = self;
    if (m->p.epilogue == WGI_EPILOGUE_BGRADB) sum_b(&m->p, &m->v);
    for (int64_t e = 0; e < m->p.batch; e++)
        for (int64_t j = 0; j < m->p.n; j++)
            for (int64_t i = 0; i < m->p.m; i++) one(&m->p, &m->v, e, i, j);
}

/* WG_EMULATED_DECLINES=n: of the products since it was set so, all but the first n - 1 are declined. */
static bool declines(void)
{
    static _Thread_local long from, made;
    const char *value = getenv("WG_EMULATED_DECLINES");
    const long now = value ? strtol(value, NULL, 10) : 0;
    if (now != from) made = 0;
    from = now;
    return now > 0 && ++made >= now;
}

void emulation_count_launch(const char *name);
cudaError_t emulation_enqueue(cudaStream_t s, void (*fn)(const void *), const void *self,
                              size_t bytes);

wg_status wgi_product_multiply(wgi_cuda_device *d, wgi_cuda_product *c,
                               const wgi_product_problem *p, const wgi_product_values *v,
                               bool *declined)
{
    const bool narrow = wgi_is_16bit(p->type) && p->type_c == WG_F32;
    (void)c;
    *declined = declines();
    if (*declined) return WG_OK;
    if (p->lda < (p->trans_a ? p->k : p->m) || p->ldb < (p->trans_b ? p->n : p->k) || p->ldc < p->m)
        return wg_raise(WG_EDEVICE, "emulation: a leading dimension is too small");
    if (p->type_c != p->type && !narrow) return wg_raise(WG_EDEVICE, "emulation: types");
    const char *refused = refusal(p, v);
    if (refused) return wg_raise(WG_EDEVICE, "emulation: %s", refused);
    const product m = { *p, *v };
    emulation_count_launch("product");
    wgi_recorder_note(p, sizeof *p);
    return wgi_cuda_check(emulation_enqueue(wgi_cuda_stream(d), multiply, &m, sizeof m), "product");
}
