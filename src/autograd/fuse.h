/* Fused functions: what fuse.c (the call), fuse_tiles.c (threads, forward) and fuse_backward.c share. */
#ifndef WGI_AUTOGRAD_FUSE_H
#define WGI_AUTOGRAD_FUSE_H
#include "autograd/node.h"
#include "autograd/tiling.h"

/* All that a later run of the function needs. It lies in a u8 tensor, input 0 of the node, so that the tape keeps and
 * releases it with the inputs. Behind the struct: the outputs' dtypes (a byte each), the module path, *self. */
typedef struct {
    wg_fn fn;
    wgi_settings settings; /* of the first run */
    wg_dims shape;         /* the inputs' common one, which is each output's */
    int64_t n_out;
    size_t path, self; /* bytes from the start */
} wgi_closure;
static inline const wgi_closure *wgi_closure_of(const wg_tensor *t)
{
    return wgi_data(t);
}
static inline wg_dtype wgi_closure_dtype(const wgi_closure *k, int64_t output)
{
    return (wg_dtype)((const uint8_t *)(k + 1))[output];
}
/* The function's inputs among the op's: without the closure, which stands in for absent ones. */
wg_list wgi_fuse_inputs(wg_list in);
/* Calls the function; c->fusion is f meanwhile. */
void wgi_fuse_call(wgi_context *c, const wgi_closure *k, const wgi_fusion *f, wg_list x, wg_list y);

/* ---- a run over all tiles: fuse_tiles.c ------------------------------------------------------------------------- */
typedef struct wgi_fuse_job wgi_fuse_job;
struct wgi_fuse_job {
    const wgi_closure *closure;
    wg_list in; /* (n) the function's inputs, NULL where absent: the tiling's first operands */
    wgi_fusion fusion; /* for messages */
    bool grad;         /* the tape is on while the function runs */
    wgi_tiling tiling;
    /* On one of the CPU's threads, in the settings of the closure and a scope of its own; errors are looked at when it
     * returns. begin (may be NULL): before a range's first tile. */
    void (*begin)(wgi_fuse_job *j, wgi_context *c, int64_t range);
    void (*tile)(wgi_fuse_job *j, wgi_context *c, int64_t range, const wgi_tile *at);
    const wgi_context *caller;
    const char *file; /* the caller's place */
    int line;
    atomic_bool failed;
    wgi_held_error error; /* of the thread that set failed */
    double *flops;        /* (ranges) */
};
/* An empty job for the op's inputs, and an array for its tiling's operands, of which the inputs fill the first. NULL:
 * raised. */
wgi_tiled *wgi_fuse_job_make(wgi_fuse_job *j, wgi_context *c, wg_list in, int64_t more);
/* Runs every tile of a job; what one raised is raised on this thread. */
wg_status wgi_fuse_job_run(wgi_fuse_job *j, wgi_context *c);
/* The inputs' parts of a tile into x, marked. */
void wgi_fuse_views(const wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list x);
/* Calls the function on a tile and looks at what it gives. */
wg_status wgi_fuse_tile_call(const wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list x,
                             wg_list y);

/* The row's kernel and gradient. */
wg_status wgi_fuse_forward(const wg_run *r);
void wgi_fuse_backward(wg_vjp *g);
#endif
