/* cuBLASLt: handles, descriptors, and the algorithms that it chose: the heuristic's first, kept by
 * everything that it looked at; never chosen by timing, so that the same seed gives the same bits. */
#include "cuda/product_lt.h"

#include <pthread.h>
#include <stdlib.h>

#include "cuda/blaslt.h"
#include "cuda/record.h"

enum { WORKSPACE = 32 << 20 };

typedef struct {
    cublasLtMatmulAlgo_t algorithm;
    cublasStatus_t answer; /* CUBLAS_STATUS_NOT_SUPPORTED, ...: there is none */
} choice;

struct wgi_cuda_product {
    pthread_mutex_t lock;
    const wgi_blaslt *lt;
    int device;
    cublasLtHandle_t handle;
    void *workspace;
    wgi_product_keys keys;
    choice choices[WGI_PRODUCT_SLOTS]; /* of the keys */
};

static wg_status check(cublasStatus_t s, const char *what)
{
    return s == CUBLAS_STATUS_SUCCESS ? WG_OK
                                      : wg_raise(WG_EDEVICE, "%s: %s", what, wgi_blaslt_text(s));
}

/* Also inside a capture: never a block parked for it, as other threads' products, which come before it, write here, too. */
static void *take_workspace(wgi_cuda_device *d)
{
    if (!wgi_cuda_recording(d)) return wgi_cuda_alloc(d->index, WORKSPACE);
    void *p = wgi_pool_alloc(d->pool, WORKSPACE);
    if (!p)
        wg_raise(WG_EMEM, "out of memory on cuda:%d for products while a graph is captured",
                 d->index);
    return p;
}

/* What the handle takes of the device is the driver's: where the pool holds all there is, some goes back. */
static wg_status create_handle(wgi_cuda_device *d, wgi_cuda_product *p)
{
    const enum cudaStreamCaptureMode before = wgi_cuda_relax(cudaStreamCaptureModeRelaxed);
    cublasStatus_t s = p->lt->create(&p->handle);
    if (s == CUBLAS_STATUS_ALLOC_FAILED && wgi_pool_trim(d->pool) > 0)
        s = p->lt->create(&p->handle);
    wgi_cuda_relax(before);
    return check(s, "cublasLtCreate");
}

static wgi_cuda_product *product_new(wgi_cuda_device *d, const wgi_blaslt *lt)
{
    wgi_cuda_product *p = calloc(1, sizeof *p);
    if (!p) {
        wg_raise(WG_EMEM, "out of memory for products on cuda:%d", d->index);
        return NULL;
    }
    p->lt = lt;
    p->device = d->index;
    pthread_mutex_init(&p->lock, NULL);
    p->workspace = take_workspace(d);
    if (p->workspace && create_handle(d, p) == WG_OK) return p;
    if (p->workspace) wgi_cuda_free(d->index, p->workspace, WORKSPACE);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

wgi_cuda_product *wgi_product_open(wgi_cuda_device *d)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    const wgi_blaslt *lt = d->product ? d->product->lt : wgi_blaslt_load();
    if (!d->product && lt) d->product = product_new(d, lt);
    wgi_cuda_product *p = d->product;
    pthread_mutex_unlock(&making);
    return p;
}

/* ---- descriptors ---- */

typedef struct {
    const wgi_blaslt *lt;
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t preference;
} descriptors;

static cudaDataType_t data_type(int t)
{
    return t == WG_F64    ? CUDA_R_64F
           : t == WG_F32  ? CUDA_R_32F
           : t == WG_BF16 ? CUDA_R_16BF
                          : CUDA_R_16F;
}

static cublasComputeType_t compute_type(const wgi_product_problem *p)
{
    return p->type == WG_F64                 ? CUBLAS_COMPUTE_64F
           : p->compute && p->type == WG_F32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                             : CUBLAS_COMPUTE_32F;
}

static cublasStatus_t layout(const wgi_blaslt *lt, cublasLtMatrixLayout_t *l, int type,
                             int64_t rows, int64_t columns, int64_t ld,
                             const wgi_product_problem *p, int64_t stride)
{
    if (p->batch > INT32_MAX) return CUBLAS_STATUS_NOT_SUPPORTED;
    const int32_t batch = (int32_t)p->batch;
    cublasStatus_t s = lt->layout_create(l, data_type(type), (uint64_t)rows, (uint64_t)columns, ld);
    if (s == CUBLAS_STATUS_SUCCESS && batch > 1)
        s = lt->layout_set(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
    if (s == CUBLAS_STATUS_SUCCESS && batch > 1)
        s = lt->layout_set(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride);
    return s;
}

_Static_assert((int)WGI_EPILOGUE_BIAS == (int)CUBLASLT_EPILOGUE_BIAS, "cuBLASLt's number");
_Static_assert((WGI_EPILOGUE_RELU | WGI_EPILOGUE_BIAS) == CUBLASLT_EPILOGUE_RELU_BIAS,
               "cuBLASLt's number");
_Static_assert((WGI_EPILOGUE_GELU | WGI_EPILOGUE_AUX | WGI_EPILOGUE_BIAS) ==
                   CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
               "cuBLASLt's number");
_Static_assert((WGI_EPILOGUE_DGELU | WGI_EPILOGUE_BGRAD) == CUBLASLT_EPILOGUE_DGELU_BGRAD,
               "cuBLASLt's number");
_Static_assert((int)WGI_EPILOGUE_BGRADB == (int)CUBLASLT_EPILOGUE_BGRADB, "cuBLASLt's number");

/* bias and aux have D's type. The heuristic reads their addresses. */
static cublasStatus_t describe_epilogue(descriptors *d, const wgi_product_problem *p,
                                        const wgi_product_values *v)
{
    const wgi_blaslt *lt = d->lt;
    const cublasLtEpilogue_t e = (cublasLtEpilogue_t)p->epilogue;
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    if (p->epilogue == WGI_EPILOGUE_NONE) return s;
    s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e);
    if (s == CUBLAS_STATUS_SUCCESS && wgi_epilogue_has_bias(p->epilogue))
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &v->bias, sizeof v->bias);
    if (s == CUBLAS_STATUS_SUCCESS && wgi_epilogue_has_aux(p->epilogue))
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &v->aux,
                         sizeof v->aux);
    if (s == CUBLAS_STATUS_SUCCESS && wgi_epilogue_has_aux(p->epilogue))
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &p->ld_aux,
                         sizeof p->ld_aux);
    return s;
}

/* a, b in cuBLAS's sense: D (m, n) column-major = op(a) op(b). */
static cublasStatus_t describe(descriptors *d, const wgi_product_problem *p,
                               const wgi_product_values *v)
{
    const wgi_blaslt *lt = d->lt;
    const cublasOperation_t ta = p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                            tb = p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasStatus_t s =
        lt->desc_create(&d->what, compute_type(p), p->type == WG_F64 ? CUDA_R_64F : CUDA_R_32F);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    if (s == CUBLAS_STATUS_SUCCESS) s = describe_epilogue(d, p, v);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = layout(lt, &d->a, p->type, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k, p->lda,
                   p, p->stride_a);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = layout(lt, &d->b, p->type, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n, p->ldb,
                   p, p->stride_b);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = layout(lt, &d->c, p->type_c, p->m, p->n, p->ldc, p, p->stride_c);
    return s;
}

static void forget(descriptors *d)
{
    if (d->preference) d->lt->preference_destroy(d->preference);
    if (d->a) d->lt->layout_destroy(d->a);
    if (d->b) d->lt->layout_destroy(d->b);
    if (d->c) d->lt->layout_destroy(d->c);
    if (d->what) d->lt->desc_destroy(d->what);
}

/* What the heuristic may count on: it would assume 256 bytes. Sums of pieces of k are added in f32,
 * not in a 16-bit output. */
static cublasStatus_t prefer(descriptors *d, const wgi_product_problem *p)
{
    static const cublasLtMatmulPreferenceAttributes_t places[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
    };
    const uint64_t space = WORKSPACE;
    const uint32_t alignment = (uint32_t)p->alignment,
                   schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasStatus_t s = d->lt->preference_create(&d->preference);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = d->lt->preference_set(d->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space,
                                  sizeof space);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = d->lt->preference_set(d->preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                  &schemes, sizeof schemes);
    for (int i = 0; i < 4 && s == CUBLAS_STATUS_SUCCESS; i++)
        s = d->lt->preference_set(d->preference, places[i], &alignment, sizeof alignment);
    return s;
}

/* ---- the algorithm, kept by the problem ---- */

/* cuBLASLt does not do it, which need not be asked again. */
static bool refused(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_NOT_SUPPORTED || s == CUBLAS_STATUS_INVALID_VALUE ||
           s == CUBLAS_STATUS_ARCH_MISMATCH;
}

typedef struct {
    const wgi_cuda_product *c;
    const descriptors *d;
    cublasLtMatmulHeuristicResult_t found;
    int n;
    cublasStatus_t answer;
} question;

static void pose(void *self)
{
    question *q = self;
    const descriptors *d = q->d;
    q->answer = q->c->lt->heuristic(q->c->handle, d->what, d->a, d->b, d->c, d->c, d->preference, 1,
                                    &q->found, &q->n);
}

/* The heuristic's first. In CUDA 13.3 it asks the calling thread's context what a capture forbids, and fails: "Could not obtain
 * green context information" (vllm.cpp issue 1732, pull request 1741): so it is asked apart. */
static choice ask(const wgi_cuda_product *c, descriptors *d, const wgi_product_problem *p)
{
    question q = { .c = c, .d = d, .answer = CUBLAS_STATUS_NOT_INITIALIZED };
    choice new = { .answer = prefer(d, p) };
    if (new.answer != CUBLAS_STATUS_SUCCESS) return new;
    wgi_cuda_apart(c->device, pose, &q);
    new.answer = q.answer;
    if (new.answer != CUBLAS_STATUS_SUCCESS) return new;
    new.answer = q.n > 0 ? q.found.state : CUBLAS_STATUS_NOT_SUPPORTED;
    if (new.answer == CUBLAS_STATUS_SUCCESS) new.algorithm = q.found.algo;
    return new;
}

static choice choose(wgi_cuda_product *c, descriptors *d, const wgi_product_problem *p)
{
    bool known;
    pthread_mutex_lock(&c->lock);
    const int slot = wgi_product_slot(&c->keys, p, &known);
    const choice now = known ? c->choices[slot] : ask(c, d, p);
    if (!known && (now.answer == CUBLAS_STATUS_SUCCESS || refused(now.answer))) {
        wgi_product_keep(&c->keys, slot, p);
        c->choices[slot] = now;
    }
    pthread_mutex_unlock(&c->lock);
    return now;
}

/* The heuristic's algorithm was refused where it was to run. */
static void choose_none(wgi_cuda_product *c, const wgi_product_problem *p)
{
    bool known;
    pthread_mutex_lock(&c->lock);
    const int slot = wgi_product_slot(&c->keys, p, &known);
    wgi_product_keep(&c->keys, slot, p);
    c->choices[slot] = (choice) { .answer = CUBLAS_STATUS_NOT_SUPPORTED };
    pthread_mutex_unlock(&c->lock);
}

/* ---- one product, or a batch of them with one stride ---- */

wg_status wgi_product_multiply(wgi_cuda_device *d, wgi_cuda_product *c,
                               const wgi_product_problem *p, const wgi_product_values *v,
                               bool *declined)
{
    descriptors e = { .lt = c->lt };
    choice chosen;
    const float alpha32 = (float)v->alpha, beta32 = (float)v->beta;
    const void *alpha = p->type == WG_F64 ? (const void *)&v->alpha : &alpha32;
    const void *beta = p->type == WG_F64 ? (const void *)&v->beta : &beta32;
    cublasStatus_t s = describe(&e, p, v);
    if (s == CUBLAS_STATUS_SUCCESS) {
        chosen = choose(c, &e, p);
        s = chosen.answer;
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = c->lt->matmul(c->handle, e.what, alpha, v->a, e.a, v->b, e.b, beta,
                          v->added ? v->added : v->c, e.c, v->c, e.c, &chosen.algorithm,
                          c->workspace, WORKSPACE, wgi_cuda_stream(d));
        if (refused(s)) choose_none(c, p);
        if (s == CUBLAS_STATUS_SUCCESS) {
            wgi_recorder_note(p, sizeof *p);
            wgi_recorder_note(&chosen.algorithm, sizeof chosen.algorithm);
        }
    }
    forget(&e);
    *declined = refused(s);
    return *declined ? WG_OK : check(s, "cublasLtMatmul");
}
