/* What src/cuda/product_lt.c does, without cuBLASLt: column-major products, with its rules for leading dimensions and types. */
#include "cuda/product_lt.h"

struct wgi_cuda_product {
    int nothing;
};

wgi_cuda_product *wgi_product_open(wgi_cuda_device *d)
{
    static wgi_cuda_product one;
    (void)d;
    return &one;
}

int wgi_product_alignment(const void *a, const void *b, const void *c, const void *bias)
{
    (void)a, (void)b, (void)c, (void)bias;
    return 1;
}

static double element(const void *p, int type, int64_t i)
{
    return wgi_load((const char *)p + i * (int64_t)wgi_dtype_bytes[type], (wg_dtype)type);
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
    if (v->beta != 0) sum += v->beta * wgi_load(to, (wg_dtype)p->type_c);
    if (p->epilogue) sum += element(v->bias, p->type_c, i);
    wgi_store(to, (wg_dtype)p->type_c, sum);
}

typedef struct {
    wgi_product_problem p;
    wgi_product_values v;
} product;

static void multiply(const void *self)
{
    const product *m = self;
    for (int64_t e = 0; e < m->p.batch; e++)
        for (int64_t j = 0; j < m->p.n; j++)
            for (int64_t i = 0; i < m->p.m; i++) one(&m->p, &m->v, e, i, j);
}

cudaError_t emulation_enqueue(cudaStream_t s, void (*fn)(const void *), const void *self,
                              size_t bytes);

wg_status wgi_product_multiply(wgi_cuda_device *d, wgi_cuda_product *c,
                               const wgi_product_problem *p, const wgi_product_values *v,
                               bool *declined)
{
    const bool narrow = wgi_is_16bit(p->type) && p->type_c == WG_F32;
    (void)c;
    *declined = wgi_flag("WG_EMULATED_DECLINES");
    if (*declined) return WG_OK;
    if (p->lda < (p->trans_a ? p->k : p->m) || p->ldb < (p->trans_b ? p->n : p->k) || p->ldc < p->m)
        return wg_raise(WG_EDEVICE, "emulation: a leading dimension is too small");
    if (p->type_c != p->type && !narrow) return wg_raise(WG_EDEVICE, "emulation: types");
    if (p->epilogue && p->type == WG_F64) return wg_raise(WG_EDEVICE, "emulation: bias in f64");
    const product m = { *p, *v };
    return wgi_cuda_check(emulation_enqueue(wgi_cuda_stream(d), multiply, &m, sizeof m), "product");
}
