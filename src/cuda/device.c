/* Devices: opened on first use, one stream each, errors, and what kernels report. */
#include "cuda/device.h"

#include <stdlib.h>

#include "autograd/node.h"
#include "cuda/record.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static wgi_cuda_device *_Atomic opened[WGI_CUDA_DEVICES];

/* ---- errors ---------------------------------------------------------------------------------- */

wg_status wgi_cuda_check(cudaError_t e, const char *what)
{
    if (e == cudaSuccess) return WG_OK;
    (void)cudaGetLastError(); /* one that does not stick is told once */
    return wg_raise(e == cudaErrorMemoryAllocation ? WG_EMEM : WG_EDEVICE, "%s: %s: %s", what,
                    cudaGetErrorName(e), cudaGetErrorString(e));
}

/* "(2, 3)" or, with brackets, "[2, 3]": element number `place` of the reported tensor. */
static void place_text(const wgi_fault_record *f, char *out, size_t size, bool brackets)
{
    int64_t at[WG_MAX_DIMS], rest = f->place;
    int n = f->source.ndim;
    for (int d = n - 1; d >= 0; d--) {
        const int64_t s = f->source.shape[d] > 0 ? f->source.shape[d] : 1;
        at[d] = rest % s;
        rest /= s;
    }
    const wg_dims dims = wgi_dims(n, at);
    wgi_shape_text(out, size, &dims);
    if (!brackets) return;
    const size_t length = strlen(out);
    if (n == 0) out[0] = 0; /* 0-d: no place */
    if (n == 0 || length < 2) return;
    out[0] = '[';
    out[length - 1] = ']';
}

static wg_status raise_fault(const wgi_fault_record *f)
{
    char at[256];
    const long long value = (long long)f->value, limit = (long long)f->source.limit;
    place_text(f, at, sizeof at, f->source.kind == WGI_FAULT_TARGET);
    switch ((wgi_fault_kind)f->source.kind) {
    case WGI_FAULT_INDEX:
        return wg_raise(WG_EINDEX, "%.8s at %s is %lld, out of range for size %lld", f->source.name,
                        at, value, limit);
    case WGI_FAULT_TARGET:
        return wg_raise(WG_EINDEX, "target%s is %lld, not in [0, %lld)", at, value, limit);
    case WGI_FAULT_CLASS:
        return wg_raise(WG_EINDEX, "i[%lld] = %lld is not in [0, %lld)", (long long)f->place, value,
                        limit);
    case WGI_FAULT_DIVISION: return wg_raise(WG_EARG, "integer division by zero");
    case WGI_FAULT_PROBABILITY:
        return wg_raise(WG_EARG, "p[%lld] = %g is not in [0, 1]", (long long)f->place, f->real);
    case WGI_FAULT_WEIGHT:
        return wg_raise(WG_EARG, "a weight is %g: it should be finite and not negative", f->real);
    case WGI_FAULT_NO_WEIGHT: return wg_raise(WG_EARG, "a row of weights has no positive one");
    case WGI_FAULT_HEAVY: return wg_raise(WG_EARG, "a row of weights sums to infinity");
    }
    return wg_raise(WG_EDEVICE, "a kernel reported %d", f->source.kind);
}

wg_status wgi_cuda_poll(wgi_cuda_device *d)
{
    volatile uint32_t *ready = &d->fault->ready;
    if (__builtin_expect(!*ready, 1)) return WG_OK;
    atomic_thread_fence(memory_order_acquire);
    wgi_context *c = wgi_ctx();
    const wg_op *op = c->op;
    const wg_list operands = c->operands;
    const wgi_fault_record f = *d->fault;
    c->op = f.source.op; /* the one that was running, not the one that finds out */
    c->operands = (wg_list) { 0, NULL };
    const wg_status s = raise_fault(&f);
    c->op = op;
    c->operands = operands;
    d->fault->ready = 0;
    atomic_thread_fence(memory_order_release);
    *(volatile uint32_t *)&d->fault->taken = 0;
    return s;
}

wg_status wgi_cuda_wait(wgi_cuda_device *d, const char *what)
{
    wg_status s = wgi_cuda_may_wait(what);
    if (s == WG_OK) s = wgi_cuda_check(cudaStreamSynchronize(d->stream), what);
    return s == WG_OK ? wgi_cuda_poll(d) : s;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* How many there are, asked once; *cause: why there are none. */
static int devices(const char **cause)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static int known = -1;
    static cudaError_t said;
    pthread_mutex_lock(&once);
    if (known < 0) {
        int n = 0;
        said = cudaGetDeviceCount(&n);
        (void)cudaGetLastError();
        known = said == cudaSuccess ? n : 0;
    }
    const int n = known;
    pthread_mutex_unlock(&once);
    if (cause)
        *cause =
            said == cudaSuccess ? cudaGetErrorString(cudaErrorNoDevice) : cudaGetErrorString(said);
    return n;
}

static int count(void)
{
    const int n = devices(NULL);
    return n < WGI_CUDA_DEVICES ? n : WGI_CUDA_DEVICES;
}

static wg_status describe(wgi_cuda_device *d)
{
    struct cudaDeviceProp p;
    wg_status s = wgi_cuda_check(cudaGetDeviceProperties(&p, d->index), "cudaGetDeviceProperties");
    if (s != WG_OK) return s;
    d->major = p.major;
    d->minor = p.minor;
    d->multiprocessors = p.multiProcessorCount;
    snprintf(d->name, sizeof d->name, "%.63s", p.name);
    const cudaError_t e = wgi_cuda_probe();
    if (e == cudaSuccess) return WG_OK;
    (void)cudaGetLastError();
    return wg_raise(
        WG_EDEVICE,
        "cuda:%d: %s has compute capability %d.%d; this build has code for " WGI_CUDA_ARCHS ": %s",
        d->index, d->name, d->major, d->minor, cudaGetErrorString(e));
}

/* The optimizers' tables are arguments of kernels: more than the 4 KB that older drivers take. */
static wg_status check_driver(int index)
{
    enum { NEEDED = 12010 }; /* 12.1 */
    int version = 0;
    const wg_status s = wgi_cuda_check(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
    if (s != WG_OK || version >= NEEDED) return s;
    return wg_raise(WG_EDEVICE,
                    "cuda:%d: the driver is one for CUDA %d.%d, 12.1 or newer is needed", index,
                    version / 1000, version % 1000 / 10);
}

static void close_device(wgi_cuda_device *d)
{
    pthread_mutex_destroy(&d->capturing);
    if (d->fault) (void)cudaFreeHost(d->fault);
    if (d->stream) (void)cudaStreamDestroy(d->stream);
    wgi_pool_destroy(d->pool);
    free(d);
}

static wgi_cuda_device *open_device(int index)
{
    wgi_cuda_device *d = calloc(1, sizeof *d);
    if (!d) {
        wg_raise(WG_EMEM, "out of memory for cuda:%d", index);
        return NULL;
    }
    d->index = index;
    pthread_mutex_init(&d->capturing, NULL);
    wg_status s = check_driver(index);
    if (s == WG_OK) s = wgi_cuda_check(cudaSetDevice(index), "cudaSetDevice");
    if (s == WG_OK) s = describe(d);
    if (s == WG_OK)
        s = wgi_cuda_check(cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking),
                           "cudaStreamCreate");
    void *fault = NULL;
    if (s == WG_OK)
        s = wgi_cuda_check(
            cudaHostAlloc(&fault, sizeof *d->fault, cudaHostAllocPortable | cudaHostAllocMapped),
            "cudaHostAlloc");
    d->fault = fault;
    if (s == WG_OK) {
        memset(fault, 0, sizeof *d->fault);
        d->pool = wgi_cuda_pool_new(index);
        if (!d->pool) s = wg_raise(WG_EMEM, "out of memory for cuda:%d", index);
    }
    if (s == WG_OK) return d;
    close_device(d);
    return NULL;
}

static wgi_cuda_device *open_first(int index)
{
    const char *cause;
    const int n = devices(&cause);
    if (n == 0) {
        wg_raise(WG_EDEVICE, "cuda:%d: no CUDA device: %s", index, cause);
        return NULL;
    }
    if (index < 0 || index >= n || index >= WGI_CUDA_DEVICES) {
        wg_raise(WG_EDEVICE, "cuda:%d: there are %d CUDA devices", index, count());
        return NULL;
    }
    if (wgi_cuda_may_wait("opening a device") != WG_OK) return NULL;
    pthread_mutex_lock(&lock);
    wgi_cuda_device *d = atomic_load(&opened[index]);
    if (!d && (d = open_device(index))) atomic_store(&opened[index], d);
    pthread_mutex_unlock(&lock);
    return d;
}

wgi_cuda_device *wgi_cuda_opened(int index)
{
    return (unsigned)index < WGI_CUDA_DEVICES
               ? atomic_load_explicit(&opened[index], memory_order_acquire)
               : NULL;
}

wgi_cuda_device *wgi_cuda_open(int index)
{
    wgi_cuda_device *d = wgi_cuda_opened(index);
    if (!d && !(d = open_first(index))) return NULL;
    return wgi_cuda_check(cudaSetDevice(index), "cudaSetDevice") == WG_OK ? d : NULL;
}

wgi_cuda_device *wgi_cuda_of(const wg_tensor *t)
{
    return wgi_cuda_open(t->device.index);
}

/* ---- the backend ----------------------------------------------------------------------------- */

static wg_status ready(int index)
{
    return wgi_cuda_open(index) ? WG_OK : wg_error_code();
}

static wg_status begin(int index, void **stream)
{
    wgi_cuda_device *d = wgi_cuda_open(index);
    if (!d) return wg_error_code();
    const wg_op *op = wgi_ctx()->op;
    if (op) wgi_recorder_note(op->name, strlen(op->name));
    *stream = wgi_cuda_stream(d);
    return wgi_cuda_poll(d);
}

bool wgi_cuda_waits(void)
{
    static atomic_int known = -1;
    return wgi_flag_once(&known, "WG_CUDA_SYNC");
}

static wg_status end(int index)
{
    wgi_cuda_device *d = wgi_cuda_opened(index);
    const wg_status s = wgi_cuda_check(cudaGetLastError(), "launch");
    return s == WG_OK && wgi_cuda_waits() ? wgi_cuda_wait(d, "kernel") : s;
}

static wg_status synchronize(int index)
{
    wgi_cuda_device *d = wgi_cuda_open(index);
    return d ? wgi_cuda_wait(d, "synchronize") : wg_error_code();
}

static const wgi_backend backend = {
    .count = count,
    .ready = ready,
    .alloc = wgi_cuda_alloc,
    .free = wgi_cuda_free,
    .trim = wgi_cuda_trim,
    .cached = wgi_cuda_cached,
    .copy = wgi_cuda_copy,
    .copy_elements = wgi_cuda_copy_elements,
    .zero = wgi_cuda_zero,
    .begin = begin,
    .end = end,
    .synchronize = synchronize,
    .records = wgi_cuda_records,
    .recorder_new = wgi_recorder_new,
    .record = wgi_recorder_begin,
    .launch = wgi_recorder_launch,
    .recorder_free = wgi_recorder_free,
};

__attribute__((constructor)) static void install(void)
{
    wgi_cuda = &backend;
}
