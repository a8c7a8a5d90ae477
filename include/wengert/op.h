/* The door: one op is one static const value, applied by wg_apply. A user's op is given to the same door. */
#ifndef WENGERT_OP_H
#define WENGERT_OP_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** What the shape rule says of one output. A view op (WG_OP_VIEW) also gives strides and offset, in elements,
 * relative to input 0's first element. */
typedef struct {
    wg_dtype dtype;
    wg_device device;
    wg_dims shape;
    wg_dims strides; /* view ops, and WG_OP_LAYOUT (n = 0: contiguous) */
    int64_t offset;  /* view ops only */
} wg_spec;

/** The shape rule's argument. */
typedef struct {
    const void *attr;
    wg_list in;   /**< NULL = absent optional input */
    int n_out;    /**< number of outputs, from the row's names; wg_infer_outputs changes it */
    wg_spec *out; /**< to be filled */
    int64_t
        random; /**< WG_OP_RANDOM: how many random values the kernel takes; -1 (default): numel of output 0 */
} wg_infer;

/** A kernel's argument. Kernels never allocate; see wg_scratch. */
typedef struct wg_run {
    const void *attr;
    wg_list in, out; /**< out: hidden outputs are NULL when nothing is recorded */
    void *stream;    /**< CUDA: the cudaStream_t; CPU: NULL */
    uint64_t random
        [2]; /**< WG_OP_RANDOM: Philox key, and counter of value 0: value i is word i % 4 of counter + i / 4 */
    bool
        accumulate; /**< only if the row has WG_OP_ACCUMULATE: add to the outputs instead of writing them */
    void *door; /**< the door's own */
} wg_run;
typedef wg_status (*wg_kernel)(const wg_run *r);

/** A gradient rule's argument. */
typedef struct wg_vjp {
    const void *attr;
    wg_list x, y; /**< what the row saved; else NULL */
    wg_list dy;   /**< cotangents of the outputs; NULL means zero */
    wg_list dx;   /**< to be filled where wants[i]; NULL means zero */
    const bool *wants;
    uint64_t random[2]; /**< what the forward kernel got */
    void *engine;       /**< the engine's own */
} wg_vjp;
/** Input i's and output i's shape and dtype, whether saved or not. */
WG_API wg_dims wg_vjp_in_shape(const wg_vjp *g, int i);
WG_API wg_dtype wg_vjp_in_dtype(const wg_vjp *g, int i);
WG_API wg_dims wg_vjp_out_shape(const wg_vjp *g, int i);
WG_API wg_dtype wg_vjp_out_dtype(const wg_vjp *g, int i);

/** The one closure type: in -> out. It fills out.t. */
typedef void (*wg_fn)(void *self, wg_list in, wg_list out);
typedef struct wg_samples wg_samples;

#define WG_IN(i) (1u << (i))
#define WG_OUT(i) (1u << (16 + (i)))
enum {
    WG_OP_CONTIGUOUS = 1, /**< the door makes every input contiguous before the kernel */
    WG_OP_RANDOM = 2,     /**< takes random values */
    WG_OP_GRAD_NONE = 4,  /**< backward through it raises */
    WG_OP_GRAD_ZERO = 8,  /**< its gradient is zero everywhere */
    WG_OP_VIEW = 16,      /**< outputs are views of input 0; no kernel */
    WG_OP_PARTIAL =
        32, /**< with VIEW: non-overlapping outputs that need not cover the input; the engine writes
                                 cotangents through the same view, so `grad` is needed only for higher derivatives */
    WG_OP_ACCUMULATE = 64, /**< the kernel honours wg_run.accumulate, and strided outputs */
    WG_OP_LOW = 128,       /**< under autocast its floating inputs are cast to the autocast dtype */
    WG_OP_LOW_PARAMETERS =
        16384,        /**< under autocast its f32 parameters are; others of its inputs are not */
    WG_OP_FULL = 256, /**< under autocast its 16-bit inputs are cast to f32 */
    WG_OP_DATA_SHAPE = 512, /**< the output shape depends on data: raises on `meta` */
    WG_OP_KEEP_STREAM =
        1024, /**< under autocast f32 *parameters* are cast to the 16-bit dtype of the other inputs (add, mul, ...) */
    WG_OP_LAYOUT =
        8192, /**< the shape rule also says in which order its outputs' axes lie in memory, by
                                        wg_infer_layout; others are contiguous */
    WG_OP_BLOCKS =
        2048, /**< takes inputs in blocks (q4_0, ...); from others the door keeps them away, but for views */
    WG_OP_ELEMENTWISE =
        4096 /**< the outputs have the inputs' common shape, and an element of them is made of the inputs' elements at
                  the same place alone, whatever the shape: wg_fuse may run it on tiles */
};

/** One op. Zero-initialised fields mean "no". */
typedef struct wg_op {
    const char *name;
    const char *in[WG_MAX_INPUTS]; /**< "x", "bias?" (optional), "more*" (any number, last) */
    const char *out[WG_MAX_OUTPUTS];
    size_t attr_size;   /**< copied by value into the node */
    unsigned flags;     /**< WG_OP_... */
    unsigned saves;     /**< WG_IN(i) | WG_OUT(i); the bit of a variadic input means all of it */
    unsigned hidden;    /**< WG_OUT(i): outputs only for the gradient */
    unsigned no_grad;   /**< WG_IN(i): backward into input i raises */
    unsigned zero_grad; /**< WG_IN(i): input i's gradient is zero */
    unsigned
        updates; /**< WG_IN(i): the kernel changes input i in place (an optimizer's step): never
                                          recorded; raises when gradients are on and it requires one; bumps its version.
                                          Such an op may have no outputs: wg_apply then returns the first one updated */
    unsigned needed_by
        [WG_MAX_INPUTS]; /**< saved input i is kept only if one of these inputs (WG_IN mask) wants a
                                            gradient; 0: always */
    wg_status (*infer)(wg_infer *c);
    wg_kernel cpu, cuda;
    wg_kernel reference; /**< CPU, f64, contiguous inputs and outputs; straight from the formula */
    wg_fn
        composite; /**< a fused op's definition by other ops (self = attr); NULL for a primitive */
    void (*grad)(wg_vjp *g);       /**< made of differentiable ops: serves every order */
    void (*grad_fused)(wg_vjp *g); /**< by own kernels; used when no higher derivative is wanted */
    double (*flops)(const wg_infer *c); /**< floating-point operations; NULL: numel of output 0 */
    void (*samples)(wg_samples *s);
    int repeat; /**< the last `repeat` names come together, any number of times: a group of operands for each of any number
                     of parameters, say. Names and `updates` of a group hold for all of them; 0: no groups */
} wg_op;

/** Applies op to in. Returns output 0 and puts the other visible outputs into more[0], more[1], ... (NULL: dropped).
 * In order: error pass-through, autocast, shape rule, allocation, kernel, counting, recording. Never NULL. */
WG_API wg_tensor *wg_apply(const wg_op *op, wg_list in, const void *attr, wg_tensor **more);
/** The same with out.n visible outputs, for ops whose number of outputs varies. */
WG_API void wg_apply_list(const wg_op *op, wg_list in, const void *attr, wg_list out);
/** In a gradient rule: applies op and puts its output j into dx[to[j]] (to[j] < 0: dropped). When no higher derivative
 * is wanted and the kernel can (WG_OP_ACCUMULATE), it writes or adds right where the gradient belongs. */
WG_API void wg_vjp_apply(wg_vjp *g, const int *to, const wg_op *op, wg_list in, const void *attr);

/** Floating-point operations counted on this thread so far, by the ops' own rules; also on `meta`. */
WG_API double wg_flops(void);

/* ---- for shape rules ------------------------------------------------------------------------------------- */
/** Raises unless input i has this shape: "scan: A should be (4, 16), is (4, 8)". An absent input passes. */
WG_API wg_status wg_expect(const wg_infer *c, int input, wg_dims shape);
/** Output i is like t. */
WG_API void wg_infer_like(wg_infer *c, int i, const wg_tensor *t);
/** Output i's axes will lie in memory in the order of t's, which has as many; contiguous where t repeats elements. After
 * wg_infer_like. Only for rows with WG_OP_LAYOUT: what is transposed before and behind the
 * op then needs no copy. */
WG_API void wg_infer_layout(wg_infer *c, int i, const wg_tensor *t);
/** Gives the op n outputs. */
WG_API wg_status wg_infer_outputs(wg_infer *c, int n);

/* ---- for kernels -------------------------------------------------------------------------------------------- */
/** First element, on the kernel's own device; NULL for an absent input or output. */
WG_API const void *wg_run_in(const wg_run *r, int i);
WG_API void *wg_run_out(const wg_run *r, int i);
/** bytes of memory on the kernel's device, 64-byte aligned, until the kernel returns; NULL: out of memory (raised).
 * From the kernel's own thread, not from inside a parallel region. */
WG_API void *wg_scratch(const wg_run *r, size_t bytes);
/** Runs body(self, 0 .. tasks - 1) on the threads of the CPU. */
WG_API void wg_parallel(int64_t tasks, void (*body)(void *self, int64_t task), void *self);

/* ---- tests of an op: the registry's, also for a user's op ---------------------------------------------------- */
WG_API void wg_sample(wg_samples *s, const char *label, wg_list in, const void *attr);
/** These inputs must raise `code` with a message that begins with `message`. */
WG_API void wg_sample_error(wg_samples *s, const char *label, wg_list in, const void *attr,
                            wg_status code, const char *message);
typedef struct {
    int64_t cases, failures, skipped;
} wg_op_report;
/** Runs every test that the registry's ops get: shapes, f64 reference, dtypes, layouts, gradients, second derivatives,
 * composite, errors, leaks. One line per failure to report (may be NULL). */
WG_API wg_status wg_op_test(const wg_op *op, wg_device d, FILE *report);
WG_API wg_status wg_op_test_counted(const wg_op *op, wg_device d, FILE *report,
                                    wg_op_report *counts);
/** The built-in ops: 0 .. wg_op_count() - 1. */
WG_API int wg_op_count(void);
WG_API const wg_op *wg_op_at(int i);
WG_API const wg_op *wg_op_named(const char *name);

#ifdef __cplusplus
}
#endif
#define wg_apply(...) WG_HERE(wg_apply(__VA_ARGS__))
#define wg_apply_list(...) WG_HERE(wg_apply_list(__VA_ARGS__))
#endif
