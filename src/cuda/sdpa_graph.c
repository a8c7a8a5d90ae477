#include "cuda/sdpa_graph.h"

#include <string.h>

typedef cudnnBackendDescriptor_t descriptor;

/* ---- which calls ----------------------------------------------------------------------------------------------- */

/* Rows of whole chunks of 16 bytes, one a line of memory. An axis of one element has no stride to look at. */
static bool takes(const wgi_attention_operand *o, int64_t *stride, int type, int b, int h, int t)
{
    enum { CHUNK = 8 };
    const int sizes[] = { b, h, t };
    if (o->type != type || o->stride[3] != 1 || (uintptr_t)o->data % 16) return false;
    for (int i = 0; i < 3; i++) {
        if (sizes[i] > 1 && (o->stride[i] <= 0 || o->stride[i] % CHUNK)) return false;
        stride[i] = sizes[i] > 1 ? o->stride[i] : CHUNK;
    }
    return true;
}

/* (B, H, Tq) f32, one behind the other: kernels for 8.x read it so whatever the strides say (NVIDIA/cudnn-frontend issue
 * 304). */
static bool takes_lse(const wgi_attention_operand *o, const wgi_attention_pass *p)
{
    return o->type == WG_F32 && (uintptr_t)o->data % 16 == 0 &&
           (p->batch == 1 || o->stride[0] == (int64_t)p->heads * p->tq) &&
           (p->heads == 1 || o->stride[1] == p->tq) && (p->tq == 1 || o->stride[2] == 1);
}

static bool takes_forward(wgi_sdpa_key *k, const wgi_attention_pass *p)
{
    const int type = p->q.type, b = p->batch, h = p->heads, kv = p->kv_heads;
    k->keeps_lse = p->lse.data != NULL;
    return takes(&p->q, k->q, type, b, h, p->tq) && takes(&p->k, k->k, type, b, kv, p->tk) &&
           takes(&p->v, k->v, type, b, kv, p->tk) && takes(&p->y, k->y, type, b, h, p->tq) &&
           (!k->keeps_lse || takes_lse(&p->lse, p));
}

/* Of one query or key, and where half of the last 128 keys is there, cuDNN's gradients can be NaN (cudnn-frontend issues 628,
 * 1072; seen with scores far below 0). */
static bool takes_backward(wgi_sdpa_key *k, const wgi_attention_pass *p)
{
    const int type = p->q.type, b = p->batch, h = p->heads, kv = p->kv_heads;
    return k->keeps_lse && !p->accumulate && p->tq > WGI_DECODE_QUERIES &&
           p->tk > WGI_DECODE_QUERIES && p->tk % 128 != 64 &&
           takes(&p->dy, k->dy, type, b, h, p->tq) && takes(&p->dq, k->dq, type, b, h, p->tq) &&
           takes(&p->dk, k->dk, type, b, kv, p->tk) &&
           takes(&p->dv_out, k->dv_out, type, b, kv, p->tk);
}

bool wgi_sdpa_key_of(wgi_sdpa_key *k, const wgi_attention_pass *p)
{
    enum { MOST = 65535 }; /* blocks along an axis of a grid */
    const int type = p->q.type;
    *k = (wgi_sdpa_key) { .batch = p->batch,
                          .heads = p->heads,
                          .kv_heads = p->kv_heads,
                          .tq = p->tq,
                          .tk = p->tk,
                          .d = p->d,
                          .dv = p->dv,
                          .type = type,
                          .causal = p->causal,
                          .backward = p->dy.data != NULL };
    if ((type != WG_BF16 && type != WG_F16) || wgi_attention_has_extra(p) || p->window > 0 ||
        (p->causal && p->tq != p->tk))
        return false;
    if (p->batch < 1 || p->batch > MOST || p->heads < 1 || p->heads > MOST || p->tq < 1 ||
        p->tk < 1 || p->d < 8 || p->d % 8 || p->dv < 8 || p->dv % 8)
        return false;
    return takes_forward(k, p) && (!k->backward || takes_backward(k, p));
}

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

static bool right(wgi_sdpa_graph *g, cudnnStatus_t s, const char *step)
{
    if (g->status == CUDNN_STATUS_SUCCESS && s != CUDNN_STATUS_SUCCESS) {
        g->status = s;
        g->step = step;
    }
    return g->status == CUDNN_STATUS_SUCCESS;
}

descriptor wgi_sdpa_descriptor(wgi_sdpa_graph *g, cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    if (g->status != CUDNN_STATUS_SUCCESS) return NULL;
    if (!right(g,
               g->n < WGI_SDPA_DESCRIPTORS ? g->lib->descriptor_create(type, &d)
                                           : CUDNN_STATUS_INTERNAL_ERROR,
               "cudnnBackendCreateDescriptor"))
        return NULL;
    g->all[g->n++] = d;
    return d;
}

void wgi_sdpa_set(wgi_sdpa_graph *g, descriptor d, cudnnBackendAttributeName_t name,
                  cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        right(g, g->lib->set(d, name, type, n, values), "cudnnBackendSetAttribute");
}

void wgi_sdpa_finish(wgi_sdpa_graph *g, descriptor d, const char *step)
{
    if (g->status == CUDNN_STATUS_SUCCESS) right(g, g->lib->finalize(d), step);
}

void wgi_sdpa_forget(wgi_sdpa_graph *g)
{
    while (g->n > 0) g->lib->descriptor_destroy(g->all[--g->n]);
}

void wgi_sdpa_set_descriptor(wgi_sdpa_graph *g, descriptor d, cudnnBackendAttributeName_t name,
                             descriptor value)
{
    wgi_sdpa_set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

/* ---- tensors --------------------------------------------------------------------------------------------------- */

/* (batch, head, row, column) */
typedef struct {
    int64_t size[4], stride[4];
} form;

static form packed(int64_t b, int64_t h, int64_t rows, int64_t columns)
{
    return (form) { { b, h, rows, columns }, { h * rows * columns, rows * columns, columns, 1 } };
}

static form strided(int64_t b, int64_t h, int64_t rows, int64_t columns, const int64_t *stride)
{
    return (form) { { b, h, rows, columns }, { stride[0], stride[1], stride[2], 1 } };
}

static form turned(form f)
{
    return (form) { { f.size[0], f.size[1], f.size[3], f.size[2] },
                    { f.stride[0], f.stride[1], f.stride[3], f.stride[2] } };
}

static descriptor tensor(wgi_sdpa_graph *g, int64_t uid, cudnnDataType_t type, form f,
                         cudnnBackendAttributeName_t kind)
{
    static const bool yes = true;
    static const int64_t alignment = 16;
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    wgi_sdpa_set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    wgi_sdpa_set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    wgi_sdpa_set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, f.size);
    wgi_sdpa_set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, f.stride);
    wgi_sdpa_set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (kind != CUDNN_ATTR_TENSOR_UNIQUE_ID) wgi_sdpa_set(g, d, kind, CUDNN_TYPE_BOOLEAN, 1, &yes);
    wgi_sdpa_finish(g, d, "a tensor");
    return d;
}

static descriptor real(wgi_sdpa_graph *g, wgi_sdpa_uid uid, cudnnDataType_t type, form f)
{
    return tensor(g, uid, type, f, CUDNN_ATTR_TENSOR_UNIQUE_ID);
}

static descriptor number(wgi_sdpa_graph *g, wgi_sdpa_uid uid)
{
    return tensor(g, uid, CUDNN_DATA_FLOAT, packed(1, 1, 1, 1), CUDNN_ATTR_TENSOR_IS_BY_VALUE);
}

/* Without memory. */
static descriptor inner(wgi_sdpa_graph *g, cudnnDataType_t type, form f)
{
    return tensor(g, WGI_SDPA_UIDS + g->inner++, type, f, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

static void finish_operation(wgi_sdpa_graph *g, descriptor d, const char *step)
{
    wgi_sdpa_finish(g, d, step);
    if (g->n_operations < WGI_SDPA_OPERATIONS)
        g->operations[g->n_operations++] = d;
    else
        right(g, CUDNN_STATUS_INTERNAL_ERROR, step);
}

typedef struct {
    descriptor x, b, t, y; /* b, t: NULL where the operation has none */
    int64_t axis;          /* of an index */
    bool logical;          /* y is */
} arguments;

static void point(wgi_sdpa_graph *g, cudnnPointwiseMode_t mode, arguments a)
{
    const cudnnDataType_t type = a.logical ? CUDNN_DATA_BOOLEAN : CUDNN_DATA_FLOAT;
    descriptor what = wgi_sdpa_descriptor(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    wgi_sdpa_set(g, what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    wgi_sdpa_set(g, what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (mode == CUDNN_POINTWISE_GEN_INDEX)
        wgi_sdpa_set(g, what, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &a.axis);
    wgi_sdpa_finish(g, what, "a pointwise operation");
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a.x);
    if (a.b) wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, a.b);
    if (a.t) wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, a.t);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, a.y);
    finish_operation(g, d, "a pointwise operation");
}

/* y = x op b, in f32 and y of x's form. */
static descriptor binary(wgi_sdpa_graph *g, cudnnPointwiseMode_t mode, descriptor x, descriptor b,
                         form f)
{
    descriptor y = inner(g, CUDNN_DATA_FLOAT, f);
    point(g, mode, (arguments) { .x = x, .b = b, .y = y });
    return y;
}

static descriptor unary(wgi_sdpa_graph *g, cudnnPointwiseMode_t mode, descriptor x, form f)
{
    return binary(g, mode, x, NULL, f);
}

/* What an operation is, sums in f32; to be finished. */
static descriptor summing(wgi_sdpa_graph *g, cudnnBackendDescriptorType_t type,
                          cudnnBackendAttributeName_t precision)
{
    static const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    descriptor d = wgi_sdpa_descriptor(g, type);
    wgi_sdpa_set(g, d, precision, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    return d;
}

/* Along the axes where y has one element, or a divisor of x's. */
static void reduce(wgi_sdpa_graph *g, cudnnReduceTensorOp_t how, descriptor x, descriptor y)
{
    descriptor what =
        summing(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_COMP_TYPE);
    wgi_sdpa_set(g, what, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1,
                 &how);
    wgi_sdpa_finish(g, what, "a reduction");
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_REDUCTION_DESC, what);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    finish_operation(g, d, "a reduction");
}

/* c = a b, of each head; several heads of a meet one of b. */
static void multiply(wgi_sdpa_graph *g, descriptor a, descriptor b, descriptor c)
{
    descriptor what = summing(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_COMP_TYPE);
    wgi_sdpa_finish(g, what, "a product");
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_MATMUL_DESC, what);
    finish_operation(g, d, "a product");
}

/* The same elements, rows for columns. */
static descriptor turn(wgi_sdpa_graph *g, descriptor x, cudnnDataType_t type, form f)
{
    descriptor y = inner(g, type, turned(f));
    descriptor d = wgi_sdpa_descriptor(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    wgi_sdpa_set_descriptor(g, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    finish_operation(g, d, "a reshape");
    return y;
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

typedef struct {
    const wgi_sdpa_key *key;
    cudnnDataType_t type;
    form scores, rows; /* (B, H, Tq, Tk), (B, H, Tq, 1) */
    descriptor q, k, scale;
} attention;

static attention begin(wgi_sdpa_graph *g, const wgi_sdpa_key *k)
{
    attention a = { .key = k, .type = k->type == WG_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF };
    a.scores = packed(k->batch, k->heads, k->tq, k->tk);
    a.rows = packed(k->batch, k->heads, k->tq, 1);
    a.q = real(g, WGI_SDPA_Q, a.type, strided(k->batch, k->heads, k->tq, k->d, k->q));
    a.k = real(g, WGI_SDPA_K, a.type, turned(strided(k->batch, k->kv_heads, k->tk, k->d, k->k)));
    a.scale = number(g, WGI_SDPA_SCALE);
    return a;
}

/* Scores behind the diagonal are replaced. */
static descriptor hide(wgi_sdpa_graph *g, const attention *a, descriptor s)
{
    descriptor row = inner(g, CUDNN_DATA_INT32, a->scores),
               column = inner(g, CUDNN_DATA_INT32, a->scores),
               seen = inner(g, CUDNN_DATA_BOOLEAN, a->scores),
               y = inner(g, CUDNN_DATA_FLOAT, a->scores);
    point(g, CUDNN_POINTWISE_GEN_INDEX, (arguments) { .x = s, .y = row, .axis = 2 });
    point(g, CUDNN_POINTWISE_GEN_INDEX, (arguments) { .x = s, .y = column, .axis = 3 });
    point(g, CUDNN_POINTWISE_CMP_GE,
          (arguments) { .x = row, .b = column, .y = seen, .logical = true });
    point(g, CUDNN_POINTWISE_BINARY_SELECT,
          (arguments) { .x = s, .b = number(g, WGI_SDPA_HIDDEN), .t = seen, .y = y });
    return y;
}

static descriptor lse_of(wgi_sdpa_graph *g, const attention *a)
{
    return real(g, WGI_SDPA_LSE, CUDNN_DATA_FLOAT, a->rows);
}

/* y = softmax(scale q k^T) v, lse = max + log(sum of exp(s - max)) */
static void forward(wgi_sdpa_graph *g, const wgi_sdpa_key *k)
{
    const attention a = begin(g, k);
    descriptor s = inner(g, CUDNN_DATA_FLOAT, a.scores);
    multiply(g, a.q, a.k, s);
    s = binary(g, CUDNN_POINTWISE_MUL, s, a.scale, a.scores);
    if (k->causal) s = hide(g, &a, s);
    descriptor top = inner(g, CUDNN_DATA_FLOAT, a.rows), sum = inner(g, CUDNN_DATA_FLOAT, a.rows);
    reduce(g, CUDNN_REDUCE_TENSOR_MAX, s, top);
    s = binary(g, CUDNN_POINTWISE_SUB, s, top, a.scores);
    s = unary(g, CUDNN_POINTWISE_EXP, s, a.scores);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, s, sum);
    /* without memory where nobody asks for it: no kernel is found without these operations */
    descriptor log = unary(g, CUDNN_POINTWISE_LOG, sum, a.rows),
               lse = k->keeps_lse ? lse_of(g, &a) : inner(g, CUDNN_DATA_FLOAT, a.rows);
    point(g, CUDNN_POINTWISE_ADD, (arguments) { .x = top, .b = log, .y = lse });
    descriptor p = inner(g, a.type, a.scores);
    point(g, CUDNN_POINTWISE_DIV, (arguments) { .x = s, .b = sum, .y = p });
    multiply(g, p, real(g, WGI_SDPA_V, a.type, strided(k->batch, k->kv_heads, k->tk, k->dv, k->v)),
             real(g, WGI_SDPA_Y, a.type, strided(k->batch, k->heads, k->tq, k->dv, k->y)));
}

/* a^T b, with (B, HKV, Tk, columns) of `uid`: where heads share keys, theirs are summed. */
static void gradient_of_keys(wgi_sdpa_graph *g, const attention *a, descriptor x, descriptor b,
                             wgi_sdpa_uid uid, int64_t columns, const int64_t *stride)
{
    const wgi_sdpa_key *k = a->key;
    descriptor t = turn(g, x, a->type, a->scores);
    descriptor to = real(g, uid, a->type, strided(k->batch, k->kv_heads, k->tk, columns, stride));
    if (k->heads == k->kv_heads) {
        multiply(g, t, b, to);
        return;
    }
    descriptor each = inner(g, a->type, packed(k->batch, k->heads, k->tk, columns));
    multiply(g, t, b, each);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, each, to);
}

/* delta = rowsum(dy y); p = exp(scale q k^T - lse); dv = p^T dy; ds = p (dy v^T - delta) scale; dk = ds^T q; dq = ds k, summed
 * in f32 by blocks as they come: not in the same order twice. */
static void backward(wgi_sdpa_graph *g, const wgi_sdpa_key *k)
{
    const attention a = begin(g, k);
    const form y = strided(k->batch, k->heads, k->tq, k->dv, k->y),
               q = packed(k->batch, k->heads, k->tq, k->d),
               keys = strided(k->batch, k->kv_heads, k->tk, k->d, k->k),
               values = strided(k->batch, k->kv_heads, k->tk, k->dv, k->v);
    descriptor dy = real(g, WGI_SDPA_DY, a.type, strided(k->batch, k->heads, k->tq, k->dv, k->dy));
    descriptor delta = real(g, WGI_SDPA_DELTA, CUDNN_DATA_FLOAT, a.rows);
    descriptor product = inner(g, CUDNN_DATA_FLOAT, packed(k->batch, k->heads, k->tq, k->dv)),
               sum = inner(g, CUDNN_DATA_FLOAT, a.rows);
    point(g, CUDNN_POINTWISE_MUL,
          (arguments) { .x = dy, .b = real(g, WGI_SDPA_Y, a.type, y), .y = product });
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, product, sum);
    point(g, CUDNN_POINTWISE_MUL,
          (arguments) { .x = sum, .b = number(g, WGI_SDPA_ONE), .y = delta });

    descriptor p = inner(g, CUDNN_DATA_FLOAT, a.scores);
    multiply(g, a.q, a.k, p);
    p = binary(g, CUDNN_POINTWISE_MUL, p, a.scale, a.scores);
    p = binary(g, CUDNN_POINTWISE_SUB, p, lse_of(g, &a), a.scores);
    if (k->causal) p = hide(g, &a, p);
    p = unary(g, CUDNN_POINTWISE_EXP, p, a.scores);
    gradient_of_keys(g, &a, p, dy, WGI_SDPA_DV, k->dv, k->dv_out);

    descriptor ds = inner(g, CUDNN_DATA_FLOAT, a.scores);
    multiply(g, dy, real(g, WGI_SDPA_V, a.type, turned(values)), ds);
    ds = binary(g, CUDNN_POINTWISE_SUB, ds, delta, a.scores);
    ds = binary(g, CUDNN_POINTWISE_MUL, ds, p, a.scores);
    descriptor scaled = inner(g, a.type, a.scores);
    point(g, CUDNN_POINTWISE_MUL, (arguments) { .x = ds, .b = a.scale, .y = scaled });
    gradient_of_keys(g, &a, scaled, a.q, WGI_SDPA_DK, k->d, k->dk);

    descriptor dq = real(g, WGI_SDPA_DQ_SUM, CUDNN_DATA_FLOAT, q);
    multiply(g, scaled, turn(g, a.k, a.type, turned(keys)), dq);
    point(g, CUDNN_POINTWISE_IDENTITY,
          (arguments) {
              .x = dq,
              .y = real(g, WGI_SDPA_DQ, a.type, strided(k->batch, k->heads, k->tq, k->d, k->dq)) });
}

void wgi_sdpa_describe(wgi_sdpa_graph *g, const wgi_cudnn *lib, const wgi_sdpa_key *k,
                       cudnnHandle_t handle)
{
    *g = (wgi_sdpa_graph) { .lib = lib };
    (k->backward ? backward : forward)(g, k);
    g->graph = wgi_sdpa_descriptor(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (handle)
        wgi_sdpa_set(g, g->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    wgi_sdpa_set(g, g->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                 g->n_operations, g->operations);
    wgi_sdpa_finish(g, g->graph, "the operation graph");
}
