/* The inside of tensors, storages, scopes and the thread's context. For src/ only; never installed. */
#ifndef WGI_TENSOR_INTERNAL_H
#define WGI_TENSOR_INTERNAL_H
#include <stdatomic.h>
#include <string.h>

#include "wengert/base.h"
#include "wengert/error.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"
#include "tensor/half.h"

typedef struct wgi_node wgi_node;       /* src/autograd */
typedef struct wgi_segment wgi_segment; /* src/autograd: a recomputed segment */

enum { WGI_STORAGE_READONLY = 1, WGI_STORAGE_BORROWED = 2 };

/* A run of a graph that is or was captured (src/tensor/graph.c), held by the storages that were made meanwhile: if the
 * graph was never launched, they have no values. */
typedef struct {
    atomic_int refs;
    atomic_bool lost;
} wgi_recording;

typedef struct wgi_storage {
    atomic_int refs;
    unsigned flags;
    wg_device device;
    size_t bytes;
    void *data;          /* NULL on meta and for zero bytes */
    atomic_uint version; /* bumped by every write in place */
    int writer_line;     /* who bumped it last, for messages */
    const char *writer_file;
    const char *writer; /* name of the function that wrote */
    void (*release)(void *owner);
    void *owner;
    wgi_recording *recording; /* CUDA: made while this run was captured; NULL otherwise */
} wgi_storage;

enum { WGI_ALIVE = 0x57454e47, WGI_DEAD = 0x44454144 };
enum {
    WGI_ERROR = 1,     /* the immortal error tensor */
    WGI_WEAK = 2,      /* wg_scalar: takes the other operand's dtype */
    WGI_PARAMETER = 4, /* a module's parameter: autocast casts it down and caches the copy */
    WGI_LISTED = 8,    /* in the list of live tensors */
    WGI_FUSED = 16     /* made of the inputs of a fused function while it runs: see wgi_fusion */
};

struct wg_tensor {
    uint32_t magic;       /* WGI_ALIVE, WGI_DEAD after the last reference went */
    atomic_int refs;      /* all references: scopes, users, nodes, modules */
    atomic_int user_refs; /* those from wg_ref */
    atomic_int saves;     /* nodes that hold it for backward */
    uint8_t flags, dtype, ndim;
    wg_device device;
    int64_t shape[WG_MAX_DIMS], strides[WG_MAX_DIMS]; /* in elements; only the first ndim are set */
    int64_t offset;                                   /* in elements */
    int64_t numel;
    wgi_storage *storage;
    wgi_node *node; /* the producer, or a leaf's accumulator; NULL: no gradient */
    int output;     /* which output of node */
    int line;       /* where it was made */
    const char *file;
    struct wg_tensor *cast_copy; /* a parameter's 16-bit copy for autocast, */
    unsigned cast_version;       /* valid at this version of the storage */
    int died_line;               /* debugging handles: where the last reference went */
    const char *died_file;
    struct wg_tensor *live_prev, *live_next; /* list of live tensors under WG_DEBUG_LEAKS */
};

/* ---- the thread's context: passed along, looked up once per public call ----------------------------------- */
typedef struct {
    bool grad;
    wg_dtype dtype, autocast;
    wg_device device;
} wgi_settings;

typedef struct wgi_frame { /* one open scope */
    uint64_t id;
    wgi_settings saved; /* to restore at the end */
    int64_t n, capacity;
    wg_tensor **owned;        /* (n) one reference each */
    struct wgi_block *blocks; /* memory from wg_list_new and wg_scope_alloc */
    void *module;             /* a module's frame: its path node, see wgi_path; NULL otherwise */
} wgi_frame;

/* A fused function that runs on meta: the door then admits elementwise ops only. */
typedef struct {
    wg_list in; /* the fused function's inputs, for messages */
} wgi_fusion;

typedef struct wgi_context {
    wgi_settings now;
    const char *file; /* the user's place */
    int line;
    bool ready;          /* opened; wg_at may write before that */
    uint64_t next_scope; /* the thread's number above, a count below: never given twice */
    int depth, frames_capacity;
    wgi_frame *frames; /* (depth) open scopes; [0] is the root, opened on first use */
    /* errors */
    wg_error error;               /* code WG_OK: none pending */
    char *message, *error_module; /* owned by error */
    const struct wg_op *op;       /* running op and its operands, for messages; NULL: none */
    wg_list operands;
    /* random numbers */
    wg_generator random;
    /* the tape */
    wgi_segment *segment;        /* the recomputed segment being recorded or refilled; NULL: none */
    const wgi_fusion *fusion;    /* the fused function that runs; NULL: none */
    struct wgi_program *program; /* notes what runs on meta; NULL: nobody does */
    struct wgi_profile *profile; /* src/autograd/profile.c; one block of malloc; NULL: none open */
    wgi_recording *recording;    /* the graph's run that is being captured; NULL: none */
    void *path; /* innermost module path (struct wgi_path *), see src/tensor/context.c */
} wgi_context;

/* Apart from a short path, so that this needs no stack frame and saves no registers. */
#define WGI_COLD __attribute__((noinline))
/* Static thread-local memory: one load, no call. Small, so that dlopen finds room for it too. */
#define WGI_TLS __attribute__((tls_model("initial-exec")))
extern _Thread_local wgi_context wgi_here WGI_TLS __attribute__((visibility("hidden")));
wgi_context *wgi_ctx_open(void);
/* Never NULL: the first call on a thread makes it. */
static inline wgi_context *wgi_ctx(void)
{
    return wgi_here.ready ? &wgi_here : wgi_ctx_open();
}

/* A module on the stack of running forwards; lives in the caller's frame until wgi_path_pop or the scope's end. */
typedef struct wgi_path {
    const char *name; /* this module's own segment of the path, "" is transparent */
    struct wgi_path *parent;
} wgi_path;
/* Pushes a path segment bound to the innermost scope: it is popped when that scope ends. name must outlive it. */
void wgi_path_push(const char *name);
/* "h.3.attn.c_attn" into out (always terminated); returns length. */
int wgi_path_text(char *out, size_t size);

/* wg_scope_push and a pop for the engine's own scopes, with the context at hand. The id is 0 on failure (raised). */
wg_scope wgi_scope_open(wgi_context *c);
void wgi_scope_close(wgi_context *c, wg_scope s);

/* ---- storages: src/tensor/memory.c -------------------------------------------------------------------------- */
/* bytes of uninitialised memory, 64-byte aligned, counted; NULL and WG_EMEM on failure. One reference. */
wgi_storage *wgi_storage_new(wg_device d, size_t bytes);
wgi_storage *wgi_storage_wrap(void *data, size_t bytes, bool readonly, void (*release)(void *),
                              void *owner);
static inline void wgi_storage_ref(wgi_storage *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}
void wgi_storage_unref(wgi_storage *s);
/* Notes a write in place. */
void wgi_storage_touch(wgi_storage *s, const char *writer);
wgi_recording *wgi_recording_ref(wgi_recording *r); /* NULL is fine; returns r */
void wgi_recording_unref(wgi_recording *r);         /* NULL is fine */
/* The caching CPU allocator underneath, also for scratch: 64-byte aligned; NULL on failure (not raised). */
void *wgi_cpu_alloc(size_t bytes);
void wgi_cpu_free(void *p, size_t bytes);
/* malloc and realloc for bookkeeping (vectors, tables, strings): they know wgi_fail_alloc_after; free them with free(). */
void *wgi_malloc(size_t bytes);
void *wgi_realloc(void *p, size_t bytes);
/* Tests: the n-th allocation from now on fails (any thread), once; 0: none. */
void wgi_fail_alloc_after(int64_t n);
/* How many allocations were asked for while a failure is set and has not struck: n minus what is left. */
int64_t wgi_fail_alloc_left(void);

/* What a device backend gives to this floor; NULL where there is none. Set by src/cuda at start-up, whether there is a
 * device or not: `ready` says so. Everything that can fail raises. */
typedef struct {
    int (*count)(void);            /* devices; 0 where there is no driver. Raises nothing */
    wg_status (*ready)(int index); /* WG_EDEVICE: "cuda:0: no CUDA device: <cause>" */
    void *(*alloc)(int index, size_t bytes);
    void (*free)(int index, void *p, size_t bytes);
    void (*trim)(void);
    int64_t (*cached)(int index); /* bytes kept for reuse. Raises nothing */
    /* Contiguous bytes between devices, one of which may be the CPU; the caller's memory is read or written when it
     * returns. */
    wg_status (*copy)(void *to, wg_device to_device, const void *from, wg_device from_device,
                      size_t bytes);
    /* wgi_copy_elements where both tensors lie on this device. */
    wg_status (*copy_elements)(wg_tensor *dst, const wg_tensor *src);
    wg_status (*zero)(int index, void *p, size_t bytes);
    /* Around every kernel of an op: the stream that it runs in, made current for the thread; what earlier kernels have
     * reported; afterwards what its launches gave. */
    wg_status (*begin)(int index, void **stream);
    wg_status (*end)(int index);
    wg_status (*synchronize)(int index); /* waits for all work, and raises what it reported */
    /* Graphs. A recorder captures what this thread asks of the device between record and launch, and launches that; both
     * end the capture if they fail (raised). nodes, anew: of what was launched, and whether it needed a new graph. */
    bool (*records)(void); /* false: a switch of the environment is against it */
    void *(*recorder_new)(int index);
    wg_status (*record)(void *recorder);
    wg_status (*launch)(void *recorder, int64_t *nodes, bool *anew);
    void (*recorder_free)(void *recorder);
} wgi_backend;
extern const wgi_backend *wgi_cuda;

/* ---- tensors: src/tensor/tensor.c ------------------------------------------------------------------------------ */
extern wg_tensor wgi_error_tensor;
/* New contiguous tensor on new storage, owned by the innermost scope; the error tensor on failure. The forms that take
 * pointers are for paths where copies of wg_dims (72 bytes) count. */
wg_tensor *wgi_tensor_new_at(wgi_context *c, wg_dtype t, wg_device d, const wg_dims *shape);
static inline wg_tensor *wgi_tensor_new(wgi_context *c, wg_dtype t, wg_device d, wg_dims shape)
{
    return wgi_tensor_new_at(c, t, d, &shape);
}
/* New view on x's storage with its own shape, strides and offset (absolute, in elements); no history; in the scope. */
wg_tensor *wgi_tensor_view_at(wgi_context *c, wg_tensor *x, const wg_dims *shape,
                              const wg_dims *strides, int64_t offset);
static inline wg_tensor *wgi_tensor_view(wgi_context *c, wg_tensor *x, wg_dims shape,
                                         wg_dims strides, int64_t offset)
{
    return wgi_tensor_view_at(c, x, &shape, &strides, offset);
}
/* The same two without a scope: the caller owns the one reference. NULL on failure (raised). */
wg_tensor *wgi_tensor_make_at(wgi_context *c, wg_dtype t, wg_device d, const wg_dims *shape);
static inline wg_tensor *wgi_tensor_make(wgi_context *c, wg_dtype t, wg_device d, wg_dims shape)
{
    return wgi_tensor_make_at(c, t, d, &shape);
}
wg_tensor *wgi_tensor_make_view(wgi_context *c, wg_tensor *x, wg_dims shape, wg_dims strides,
                                int64_t offset);
/* New tensor on storage s (takes one new reference to s); not in a scope. */
wg_tensor *wgi_tensor_on(wgi_context *c, wgi_storage *s, wg_dtype t, wg_dims shape, wg_dims strides,
                         int64_t offset);
static inline wg_tensor *wgi_ref(
    wg_tensor *t) /* one more reference; the error tensor is not counted */
{
    if (t && !(t->flags & WGI_ERROR)) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}
/* Drops one; NULL is fine. At the last one: frees handle, storage reference, node reference. */
void wgi_unref(wg_tensor *t);
/* Gives the innermost scope a reference that the caller owned; returns t (error tensor if the scope could not grow). */
wg_tensor *wgi_own(wgi_context *c, wg_tensor *t);
/* Set by src/autograd at start-up: releases a node reference. */
extern void (*wgi_node_release)(wgi_node *n);
static inline bool wgi_bad(const wg_tensor *t)
{
    return !t || (t->flags & WGI_ERROR) || t->magic != WGI_ALIVE;
}
/* t was to be computed in a run of a graph that was never launched. */
static inline bool wgi_lost(const wg_tensor *t)
{
    const wgi_recording *r = t->storage ? t->storage->recording : NULL;
    return r && atomic_load_explicit(&r->lost, memory_order_relaxed);
}
/* Raises if one of them is; NULL entries are fine. function: "" within an op, which is named anyway. */
wg_status wgi_refuse_lost(const char *function, wg_list l);
/* NULL, error or dead argument of a public function: raises if nothing is pending and returns true. */
bool wgi_refuse(const wg_tensor *t, const char *function);
/* Takes the pending error off the thread, or puts one there: errors of other threads reach their caller so. */
typedef struct {
    wg_error error; /* code WG_OK: none */
    char *message, *module;
} wgi_held_error;
wgi_held_error wgi_error_take(wgi_context *c);
void wgi_error_put(wgi_context *c, wgi_held_error e);
/* May t be written in place: not read-only, not self-overlapping. Raises WG_EARG. */
wg_status wgi_writable(const wg_tensor *t, const char *function);

extern size_t wgi_dtype_bytes[WG_BLOCK_DTYPE_END]; /* of an element; 0 for those in blocks */
static inline bool wgi_in_blocks(int t)
{
    return t >= WG_Q4_0;
}
/* Where a tensor in blocks begins: src/tensor/blocks.c */
void *wgi_block_data(const wg_tensor *t);
/* The first element; NULL on meta and for zero bytes. */
static inline void *wgi_data(const wg_tensor *t)
{
    if (!t->storage || !t->storage->data) return NULL;
    if (__builtin_expect(wgi_in_blocks(t->dtype), 0)) return wgi_block_data(t);
    return (char *)t->storage->data + (size_t)t->offset * wgi_dtype_bytes[t->dtype];
}
/* Entries past n are 1, so that the error tensor's sizes are 1 wherever one looks. These two are written so that no
 * compiler makes a call, a `rep movs` or a loop of vectors of them: that costs more than the rest of a small op. */
static inline wg_dims wgi_dims(int n, const int64_t *d)
{
    wg_dims r;
    r.n = n;
    for (int i = 0; i < WG_MAX_DIMS; i++) r.d[i] = i < n ? d[i] : 1;
    return r;
}
static inline void wgi_copy_dims(int64_t *to, const int64_t *from, int n)
{
    for (int i = 0; i < WG_MAX_DIMS; i++) {
        if (i >= n) break;
        to[i] = from[i];
    }
}
static inline wg_dims wgi_shape(const wg_tensor *t)
{
    return wgi_dims(t->ndim, t->shape);
}
static inline wg_dims wgi_strides(const wg_tensor *t)
{
    return wgi_dims(t->ndim, t->strides);
}

/* ---- shapes: src/tensor/shape.c --------------------------------------------------------------------------------- */
enum { WGI_ALL_AXES = -2, WGI_INVALID_DIMS = -1 }; /* wg_dims.n of WG_ALL and of an invalid value */
static inline bool wgi_is_all(const wg_dims *d)
{
    return d->n == WGI_ALL_AXES;
}
/* Product of the sizes; -1 if a size is negative, the dims invalid, or the product times 8 overflows. */
int64_t wgi_numel(const wg_dims *s);
wg_dims wgi_row_major(const wg_dims *shape);
static inline void wgi_row_major_into(const wg_dims *shape, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = shape->n - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->d[i] > 1 ? shape->d[i] : 1;
    }
}
bool wgi_same_shape(const wg_tensor *a, const wg_tensor *b);
bool wgi_dims_equal(const wg_dims *a, const wg_dims *b);
bool wgi_is_contiguous(const wg_tensor *t); /* sizes of 1 and empty tensors as NumPy has it */
/* Two elements may share memory (a stride of 0 over a size above 1, or overlapping windows). */
bool wgi_overlaps_itself(const wg_tensor *t);
/* NumPy's rule; raises WG_ESHAPE ("shapes do not broadcast"). */
wg_status wgi_broadcast(const wg_dims *a, const wg_dims *b, wg_dims *out);
/* axis in [-n, n) -> [0, n); raises WG_EINDEX otherwise. n = 0 counts as 1. */
wg_status wgi_axis(int axis, int n, int *out);
/* axes (WG_ALL: all) -> bit mask of non-negative axes; raises WG_EINDEX, and WG_EARG for a repeated one. */
wg_status wgi_axes(const wg_dims *axes, int n, unsigned *mask);
/* Strides of shape `to` on a tensor of shape and strides `from` without copying; false if that is impossible. */
bool wgi_view_strides(const wg_dims *shape, const wg_dims *strides, const wg_dims *to,
                      wg_dims *out);
/* "(4, 64, 768)" into out. */
int wgi_shape_text(char *out, size_t size, const wg_dims *shape);
/* "(4, 64, 768) f32 cpu" */
int wgi_tensor_text(char *out, size_t size, const wg_tensor *t);

/* ---- dtypes: src/tensor/dtype.c ------------------------------------------------------------------------------------ */
static inline bool wgi_is_float(int t)
{
    return t >= WG_F64 && t <= WG_F16;
}
static inline bool wgi_is_16bit(int t)
{
    return t == WG_BF16 || t == WG_F16;
}
/* The wider float; bf16 with f16 is f32; integer with float is the float; the wider integer (u8 with i32: i32). */
wg_dtype wgi_promote_dtypes(wg_dtype a, wg_dtype b);
/* The dtype of an op of x and y: weak scalars take the other's, 0-d tensors do not widen within a category. Raises
 * WG_EDTYPE for a weak scalar that is not integral with an integer tensor. */
wg_status wgi_promote(const wg_tensor *x, const wg_tensor *y, wg_dtype *out);
/* wgi_bf16_to_f32 and its like: src/tensor/half.h */
/* n elements, contiguous, converted (float to integer truncates and saturates, to bool: != 0). */
void wgi_convert(void *to, wg_dtype to_type, const void *from, wg_dtype from_type, int64_t n);
/* One element at p as double / int64. */
double wgi_load(const void *p, wg_dtype t);
int64_t wgi_load_int(const void *p, wg_dtype t);
void wgi_store(void *p, wg_dtype t, double v);
void wgi_store_int(void *p, wg_dtype t, int64_t v);
/* Copies src's elements into dst (same shape, same device), converting; any strides; parallel. Raises only on CUDA. */
wg_status wgi_copy_elements(wg_tensor *dst, const wg_tensor *src);
/* Bytes of p on device d become 0. */
wg_status wgi_zero_bytes(wg_device d, void *p, size_t bytes);
/* The same on bare memory of the CPU: ndim sizes, strides in elements. */
void wgi_copy_strided(void *dst, wg_dtype dst_type, const int64_t *dst_strides, const void *src,
                      wg_dtype src_type, const int64_t *src_strides, int ndim,
                      const int64_t *shape);
/* ---- blocks: src/tensor/blocks.c -----------------------------------------------------------------------------------
 * A tensor in blocks (q4_0, ...) holds whole blocks along its last axis, side by side; its other strides and its offset
 * are in elements as always, and multiples of the block. Nobody writes into it. */
/* Bytes of n elements; of whole blocks. */
size_t wgi_bytes_of(wg_dtype t, int64_t n);
/* May a tensor of this shape, a view of these strides, be in blocks of t? Raises WG_ESHAPE, in the name of `function`
 * ("": the running op). */
wg_status wgi_fits_blocks(wg_dtype t, const wg_dims *shape, const char *function);
wg_status wgi_keeps_blocks(wg_dtype t, const wg_dims *shape, const wg_dims *strides, int64_t offset,
                           const char *function);
/* Is there a way from dtype to dtype? Raises WG_EDTYPE for blocks that are only read. */
wg_status wgi_fits_quantiser(wg_dtype from, wg_dtype to, const char *function);
/* wgi_copy_strided where one type or both are in blocks and no axis is empty. */
void wgi_copy_blocks(void *dst, wg_dtype dst_type, const int64_t *dst_strides, const void *src,
                     wg_dtype src_type, const int64_t *src_strides, int ndim, const int64_t *shape);
/* to (n, C) = rows i[0 .. n) of w (V, C) in blocks. */
void wgi_take_block_rows(float *to, const wg_tensor *w, const int64_t *i, int64_t n);
/* "cpu", "cuda:0", "meta" into out. */
int wgi_device_text(char *out, size_t size, wg_device d);

/* ---- Philox 4x32-10: src/tensor/philox.h holds the inline functions --------------------------------------------------- */

/* ---- logging ---------------------------------------------------------------------------------------------------------- */
void wgi_log(int level, const char *fmt, ...) WG_PRINTF(2, 3);
int wgi_verbose(void); /* WG_VERBOSE; at least 1 under WG_ABORT and WG_DEBUG_LEAKS */
/* True if the environment variable is set and not "0". */
bool wgi_flag(const char *name);
/* The same, asked for once: *known begins as -1; every thread finds the same. */
static inline bool wgi_flag_once(atomic_int *known, const char *name)
{
    int on = atomic_load_explicit(known, memory_order_relaxed);
    if (on < 0) {
        on = wgi_flag(name);
        atomic_store_explicit(known, on, memory_order_relaxed);
    }
    return on;
}

/* ---- start and end, called by src/tensor/context.c ----------------------------------------------------------------- */
void wgi_tensor_start(void); /* once a process */
/* Lists the tensors that are made from here on, as WG_DEBUG_LEAKS does from the start. visit must not
 * make or release any. */
void wgi_live_list(bool on);
void wgi_live_each(void (*visit)(void *self, const wg_tensor *t), void *self);
void wgi_scope_thread_end(wgi_context *c);
void wgi_error_thread_end(wgi_context *c);
void wgi_memory_thread_end(void); /* counts; then the allocator: */
void wgi_alloc_thread_end(void);
void wgi_alloc_trim(void);
int64_t wgi_alloc_cached(void);

#endif
