/* cuDNN's graph interface without cuDNN: keeps what descriptors are told, refuses what the documentation forbids, and computes
 * a graph's operations one after the other, by their definitions, on memory where it lies. */
#include "cuda/cudnn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "cuda/device.h"

enum { ATTRIBUTES = 16, TENSORS = 96 };

typedef struct {
    cudnnBackendAttributeName_t name;
    int64_t n;
    size_t bytes; /* of all n */
    void *values;
} attribute;

typedef struct {
    cudnnBackendDescriptorType_t type;
    bool finished;
    attribute all[ATTRIBUTES];
    int n;
} told;

struct cudnnContext {
    cudaStream_t stream;
};

/* WG_EMULATED_CUDNN: "missing", "none" (for a graph), "declines" (every plan), "fails" (every plan), "fails N" (N plans), "breaks" (every run). */
static bool plays(const char *what)
{
    const char *value = getenv("WG_EMULATED_CUDNN");
    return value && strcmp(value, what) == 0;
}

static bool plan_fails(void)
{
    static int made; /* since another value stood there */
    const char *value = getenv("WG_EMULATED_CUDNN");
    if (!value || strncmp(value, "fails", 5) != 0) return made = 0, false;
    return !value[5] || made++ < atoi(value + 5);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static size_t size_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_INT64: return sizeof(int64_t);
    case CUDNN_TYPE_BOOLEAN: return sizeof(bool);
    case CUDNN_TYPE_CHAR: return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return sizeof(void *);
    default: return sizeof(int); /* enumerations */
    }
}

static const attribute *find(const told *d, cudnnBackendAttributeName_t name)
{
    for (int i = 0; i < d->n; i++)
        if (d->all[i].name == name) return &d->all[i];
    return NULL;
}

static told *child(const told *d, cudnnBackendAttributeName_t name)
{
    const attribute *a = find(d, name);
    return a ? *(told **)a->values : NULL;
}

static int enumeration(const told *d, cudnnBackendAttributeName_t name)
{
    return *(const int *)find(d, name)->values;
}

static const int64_t *numbers(const told *d, cudnnBackendAttributeName_t name)
{
    return find(d, name)->values;
}

static cudnnStatus_t create(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
    told *t = calloc(1, sizeof *t);
    if (!t) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    t->type = type;
    *d = t;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t destroy(cudnnBackendDescriptor_t d)
{
    told *t = d;
    for (int i = 0; i < t->n; i++) free(t->all[i].values);
    free(t);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    told *t = d;
    if (!t || t->finished) return CUDNN_STATUS_BAD_PARAM;
    if (t->n == ATTRIBUTES || find(t, name) || n < 1) return CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND;
    attribute a = { .name = name, .n = n, .bytes = (size_t)n * size_of(type) };
    if (!(a.values = malloc(a.bytes))) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    memcpy(a.values, values, a.bytes);
    t->all[t->n++] = a;
    return CUDNN_STATUS_SUCCESS;
}

/* As cuDNN: not all the ways that the heuristic counts are there when they are asked for. */
enum { COUNTED = 10, WAYS = 8 };

static cudnnStatus_t give_ways(const told *heuristic, int64_t n, int64_t *found, told **configs)
{
    cudnnBackendDescriptor_t graph = child(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    *found = plays("none") ? 0 : n < WAYS ? n : WAYS;
    for (int64_t i = 0; i < *found; i++) {
        if (configs[i]->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR) return CUDNN_STATUS_BAD_PARAM;
        const cudnnStatus_t s = set(configs[i], CUDNN_ATTR_ENGINE_OPERATION_GRAPH,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
        if (s != CUDNN_STATUS_SUCCESS) return s;
        configs[i]->finished = true;
    }
    if (n == 0) *found = COUNTED;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t get(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t n, int64_t *found, void *values)
{
    const told *t = d;
    (void)type;
    if (!t->finished) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) return give_ways(t, n, found, values);
    if (name != CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE || n != 1) return CUDNN_STATUS_BAD_PARAM;
    *(int64_t *)values = 256;
    *found = 1;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- what may be finished ---------------------------------------------------------------------------------------- */

static bool tensor_is_whole(const told *t)
{
    const attribute *size = find(t, CUDNN_ATTR_TENSOR_DIMENSIONS),
                    *stride = find(t, CUDNN_ATTR_TENSOR_STRIDES);
    if (!find(t, CUDNN_ATTR_TENSOR_UNIQUE_ID) || !find(t, CUDNN_ATTR_TENSOR_DATA_TYPE) ||
        !find(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT) || !size || !stride || size->n != 4 ||
        stride->n != 4)
        return false;
    for (int i = 0; i < 4; i++)
        if (((int64_t *)size->values)[i] < 1 || ((int64_t *)stride->values)[i] < 1) return false;
    return true;
}

static bool children_are_finished(const told *t)
{
    static const cudnnBackendAttributeName_t names[] = {
        CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
        CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
        CUDNN_ATTR_OPERATION_POINTWISE_TDESC,
        CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
        CUDNN_ATTR_OPERATION_REDUCTION_DESC,
        CUDNN_ATTR_OPERATION_REDUCTION_XDESC,
        CUDNN_ATTR_OPERATION_REDUCTION_YDESC,
        CUDNN_ATTR_OPERATION_MATMUL_ADESC,
        CUDNN_ATTR_OPERATION_MATMUL_BDESC,
        CUDNN_ATTR_OPERATION_MATMUL_CDESC,
        CUDNN_ATTR_OPERATION_MATMUL_DESC,
        CUDNN_ATTR_OPERATION_RESHAPE_XDESC,
        CUDNN_ATTR_OPERATION_RESHAPE_YDESC,
        CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
        CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const told *c = child(t, names[i]);
        if (c && !c->finished) return false;
    }
    const attribute *operations = find(t, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    for (int64_t i = 0; operations && i < operations->n; i++)
        if (!((told **)operations->values)[i]->finished) return false;
    return true;
}

static cudnnStatus_t finish(cudnnBackendDescriptor_t d)
{
    told *t = d;
    if (!t || t->finished) return CUDNN_STATUS_BAD_PARAM;
    if (t->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR && !tensor_is_whole(t))
        return CUDNN_STATUS_BAD_PARAM;
    if (t->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && plays("declines"))
        return CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH;
    if (t->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && plan_fails())
        return CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
    if (!children_are_finished(t)) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    t->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

void emulation_written(const void *p, size_t bytes);

/* ---- a run ------------------------------------------------------------------------------------------------------- */

/* Where a tensor's elements are while the graph runs. Without memory: as numbers, at the places that its strides give. */
typedef struct {
    const told *of;
    char *data; /* of one that has memory */
    double *inner;
} place;

typedef struct {
    const told *graph;
    int64_t uid[TENSORS];
    void *data[TENSORS];
    float number[TENSORS]; /* of those given by value */
    int n;
} job;

typedef struct {
    const job *given;
    place places[TENSORS];
    int n;
} state;

static cudnnDataType_t type_of(const told *t)
{
    return (cudnnDataType_t)enumeration(t, CUDNN_ATTR_TENSOR_DATA_TYPE);
}

static wg_dtype dtype_of(const told *t)
{
    const cudnnDataType_t type = type_of(t);
    return type == CUDNN_DATA_BFLOAT16  ? WG_BF16
           : type == CUDNN_DATA_HALF    ? WG_F16
           : type == CUDNN_DATA_INT32   ? WG_I32
           : type == CUDNN_DATA_BOOLEAN ? WG_BOOL
                                        : WG_F32;
}

static int64_t uid_of(const told *t)
{
    return *numbers(t, CUDNN_ATTR_TENSOR_UNIQUE_ID);
}

static const int64_t *sizes(const told *t)
{
    return numbers(t, CUDNN_ATTR_TENSOR_DIMENSIONS);
}

static int64_t extent(const told *t)
{
    const int64_t *size = sizes(t), *stride = numbers(t, CUDNN_ATTR_TENSOR_STRIDES);
    int64_t n = 1;
    for (int i = 0; i < 4; i++) n += (size[i] - 1) * stride[i];
    return n;
}

static void refuse(const char *why)
{
    fprintf(stderr, "emulation of cuDNN: %s\n", why);
    abort();
}

static place *place_of(state *s, const told *t)
{
    for (int i = 0; i < s->n; i++) {
        if (s->places[i].of == t) return &s->places[i];
        if (uid_of(s->places[i].of) == uid_of(t)) refuse("two tensors have one uid");
    }
    if (s->n == TENSORS) refuse("too many tensors");
    place *p = &s->places[s->n++];
    *p = (place) { .of = t };
    if (find(t, CUDNN_ATTR_TENSOR_IS_VIRTUAL)) {
        p->inner = malloc((size_t)extent(t) * sizeof *p->inner);
        if (!p->inner) refuse("out of memory");
        for (int64_t i = 0; i < extent(t); i++) p->inner[i] = NAN;
        return p;
    }
    const job *g = s->given;
    for (int i = 0; i < g->n; i++)
        if (g->uid[i] == uid_of(t))
            p->data = find(t, CUDNN_ATTR_TENSOR_IS_BY_VALUE) ? (char *)&g->number[i] : g->data[i];
    if (!p->data) refuse("a tensor has no memory");
    if (!find(t, CUDNN_ATTR_TENSOR_IS_BY_VALUE) && (uintptr_t)p->data % 16)
        refuse("memory is not at a multiple of 16 bytes");
    return p;
}

/* The place of an index, where axes of one element are repeated, and several of another's heads share one. */
static int64_t at(const told *t, const int64_t *index, const int64_t *of)
{
    const int64_t *size = sizes(t), *stride = numbers(t, CUDNN_ATTR_TENSOR_STRIDES);
    int64_t n = 0;
    for (int i = 0; i < 4; i++) {
        if (size[i] != of[i] && of[i] % size[i]) refuse("shapes do not fit");
        n += (size[i] == of[i] ? index[i] : index[i] / (of[i] / size[i])) * stride[i];
    }
    return n;
}

static double load(const place *p, int64_t i)
{
    const wg_dtype type = dtype_of(p->of);
    return p->inner ? p->inner[i] : wgi_load(p->data + i * (int64_t)wgi_dtype_bytes[type], type);
}

static void store(place *p, int64_t i, double x)
{
    const wg_dtype type = dtype_of(p->of);
    char rounded[8], *to = p->inner ? rounded : p->data + i * (int64_t)wgi_dtype_bytes[type];
    wgi_store(to, type, x);
    if (p->inner)
        p->inner[i] = wgi_load(rounded, type);
    else
        emulation_written(to, wgi_dtype_bytes[type]);
}

static bool next(int64_t *index, const int64_t *size)
{
    for (int i = 3; i >= 0; i--) {
        if (++index[i] < size[i]) return true;
        index[i] = 0;
    }
    return false;
}

static double apply(cudnnPointwiseMode_t mode, double x, double b, double t)
{
    switch (mode) {
    case CUDNN_POINTWISE_MUL: return x * b;
    case CUDNN_POINTWISE_ADD: return x + b;
    case CUDNN_POINTWISE_SUB: return x - b;
    case CUDNN_POINTWISE_DIV: return x / b;
    case CUDNN_POINTWISE_EXP: return exp(x);
    case CUDNN_POINTWISE_LOG: return log(x);
    case CUDNN_POINTWISE_IDENTITY: return x;
    case CUDNN_POINTWISE_CMP_GE: return x >= b;
    case CUDNN_POINTWISE_BINARY_SELECT: return t != 0 ? x : b;
    default: refuse("a pointwise operation that it does not know"); return 0;
    }
}

static void point(state *s, const told *op)
{
    const told *what = child(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR),
               *x = child(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
               *b = child(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
               *t = child(op, CUDNN_ATTR_OPERATION_POINTWISE_TDESC),
               *y = child(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    const cudnnPointwiseMode_t mode =
        (cudnnPointwiseMode_t)enumeration(what, CUDNN_ATTR_POINTWISE_MODE);
    const place *px = place_of(s, x), *pb = b ? place_of(s, b) : NULL,
                *pt = t ? place_of(s, t) : NULL;
    place *py = place_of(s, y);
    int64_t i[4] = { 0 };
    do {
        const double value =
            mode == CUDNN_POINTWISE_GEN_INDEX
                ? (double)i[*numbers(what, CUDNN_ATTR_POINTWISE_AXIS)]
                : apply(mode, load(px, at(x, i, sizes(y))), b ? load(pb, at(b, i, sizes(y))) : 0,
                        t ? load(pt, at(t, i, sizes(y))) : 0);
        store(py, at(y, i, sizes(y)), value);
    } while (next(i, sizes(y)));
}

static void reduce(state *s, const told *op)
{
    const told *what = child(op, CUDNN_ATTR_OPERATION_REDUCTION_DESC),
               *x = child(op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC),
               *y = child(op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
    const bool max =
        enumeration(what, CUDNN_ATTR_REDUCTION_OPERATOR) == (int)CUDNN_REDUCE_TENSOR_MAX;
    const place *px = place_of(s, x);
    place *py = place_of(s, y);
    double *sums = malloc((size_t)extent(y) * sizeof *sums);
    if (!sums) refuse("out of memory");
    for (int64_t j = 0; j < extent(y); j++) sums[j] = max ? -INFINITY : 0;
    int64_t i[4] = { 0 };
    do {
        double *to = &sums[at(y, i, sizes(x))];
        const double value = load(px, at(x, i, sizes(x)));
        *to = max ? fmax(*to, value) : *to + value;
    } while (next(i, sizes(x)));
    do store(py, at(y, i, sizes(y)), sums[at(y, i, sizes(y))]);
    while (next(i, sizes(y)));
    free(sums);
}

static void multiply(state *s, const told *op)
{
    const told *a = child(op, CUDNN_ATTR_OPERATION_MATMUL_ADESC),
               *b = child(op, CUDNN_ATTR_OPERATION_MATMUL_BDESC),
               *c = child(op, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
    const place *pa = place_of(s, a), *pb = place_of(s, b);
    place *pc = place_of(s, c);
    const int64_t *n = sizes(c), depth = sizes(a)[3];
    if (sizes(b)[2] != depth || sizes(a)[2] != n[2] || sizes(b)[3] != n[3])
        refuse("a product's shapes do not fit");
    const int64_t of_a[] = { n[0], n[1], n[2], depth }, of_b[] = { n[0], n[1], depth, n[3] };
    int64_t i[4] = { 0 };
    do {
        double sum = 0;
        for (int64_t k = 0; k < depth; k++) {
            const int64_t ia[] = { i[0], i[1], i[2], k }, ib[] = { i[0], i[1], k, i[3] };
            sum += load(pa, at(a, ia, of_a)) * load(pb, at(b, ib, of_b));
        }
        store(pc, at(c, i, n), sum);
    } while (next(i, n));
}

/* The same memory by other strides. */
static void reshape(state *s, const told *op)
{
    const told *x = child(op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC),
               *y = child(op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    const place *px = place_of(s, x);
    place *py = place_of(s, y);
    if (extent(x) != extent(y) || !py->inner) refuse("a reshape's extents differ");
    int64_t i[4] = { 0 };
    do {
        const int64_t from = at(y, i, sizes(y));
        store(py, from, load(px, from));
    } while (next(i, sizes(y)));
}

static void compute(const void *self)
{
    const job *j = self;
    const attribute *operations = find(j->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    state *s = calloc(1, sizeof *s);
    if (!s) refuse("out of memory");
    s->given = j;
    for (int64_t i = 0; i < operations->n; i++) {
        const told *op = ((told **)operations->values)[i];
        switch (op->type) {
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: point(s, op); break;
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: reduce(s, op); break;
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: multiply(s, op); break;
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR: reshape(s, op); break;
        default: refuse("an operation that it does not know");
        }
    }
    for (int i = 0; i < s->n; i++) free(s->places[i].inner);
    free(s);
}

/* Numbers are read when it is called, memory when the stream comes to it. */
static void give(job *j, const told *pack)
{
    const attribute *uids = find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
                    *data = find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    const attribute *operations = find(j->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    for (j->n = 0; j->n < uids->n; j->n++) {
        j->uid[j->n] = ((int64_t *)uids->values)[j->n];
        j->data[j->n] = ((void **)data->values)[j->n];
    }
    for (int64_t i = 0; i < operations->n; i++) {
        const told *b =
            child(((told **)operations->values)[i], CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        for (int n = 0; b && find(b, CUDNN_ATTR_TENSOR_IS_BY_VALUE) && n < j->n; n++)
            if (j->uid[n] == uid_of(b)) j->number[n] = *(float *)j->data[n];
    }
}

void emulation_count_launch(const char *name);
cudaError_t emulation_enqueue(cudaStream_t s, void (*fn)(const void *), const void *self,
                              size_t bytes);

static cudnnStatus_t execute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                             cudnnBackendDescriptor_t pack)
{
    const told *p = plan, *v = pack;
    if (!p->finished || !v->finished) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    if (plays("breaks")) return CUDNN_STATUS_EXECUTION_FAILED;
    const attribute *workspace = find(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    if (!workspace || !*(void **)workspace->values) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    job j = { .graph = child(child(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG),
                             CUDNN_ATTR_ENGINE_OPERATION_GRAPH) };
    give(&j, v);
    emulation_count_launch("cudnn");
    return emulation_enqueue(handle->stream, compute, &j, sizeof j) == cudaSuccess
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_EXECUTION_FAILED;
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

static size_t version(void)
{
    return 91900;
}

static const char *text(cudnnStatus_t s)
{
    static _Thread_local char number[32];
    snprintf(number, sizeof number, "status %d", (int)s);
    return number;
}

static void last(char *message, size_t size)
{
    snprintf(message, size, "as told");
}

static cudnnStatus_t create_handle(cudnnHandle_t *h)
{
    *h = calloc(1, sizeof **h);
    return *h ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
}

static cudnnStatus_t destroy_handle(cudnnHandle_t h)
{
    free(h);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t set_stream(cudnnHandle_t h, cudaStream_t stream)
{
    h->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

const wgi_cudnn *wgi_cudnn_load(void)
{
    static const wgi_cudnn table = {
        .version = version,
        .text = text,
        .last = last,
        .create = create_handle,
        .destroy = destroy_handle,
        .set_stream = set_stream,
        .descriptor_create = create,
        .descriptor_destroy = destroy,
        .set = set,
        .get = get,
        .finalize = finish,
        .execute = execute,
    };
    if (!plays("missing")) return &table;
    wg_raise(WG_EDEVICE, "attention by cuDNN (WG_CUDA_CUDNN=1): libcudnn.so: not there");
    return NULL;
}
