/* Fused functions: what fuse.c (the call), fuse_tiles.c (threads, forward) and fuse_backward.c share. */
#ifndef WGI_AUTOGRAD_FUSE_H
#define WGI_AUTOGRAD_FUSE_H
#include "autograd/node.h"
#include "autograd/program.h"
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
typedef struct { /* what tiles read or write: parts of t, one of the tiling's operands */
    wg_tensor *t;
    int operand;
} wgi_fuse_part;

typedef enum {                /* how a result gets to where it belongs */
               WGI_FUSE_PUT,  /* by the job */
               WGI_FUSE_MADE, /* it is made there */
               WGI_FUSE_SENT, /* copied, past the caches */
               WGI_FUSE_NONE  /* there is none */
} wgi_fuse_way;

typedef struct { /* what runs on tiles of one shape */
    int64_t length;
    wgi_program program;
    int *from;         /* (n_from) values */
    int *to;           /* (n_to) operands; -1: there is no such result */
    wgi_fuse_way *way; /* (n_to) */
    bool puts;         /* some result is put */
} wgi_fuse_code;

typedef struct wgi_fuse_job wgi_fuse_job;
struct wgi_fuse_job {
    const wgi_closure *closure;
    wg_list in; /* (n) the function's inputs, NULL where absent: the tiling's first operands */
    wgi_fusion fusion; /* for messages */
    bool grad;         /* the tape is on while the function runs */
    wgi_tiling tiling;
    int64_t n_from, n_to;
    wgi_fuse_part *from; /* (n_from) read: the inputs first; t is NULL where absent */
    wgi_fuse_part *to;   /* (n_to) written; t is NULL where the results are given to put */
    /* Once for each shape of tiles, in the settings of the closure: computes results (n_to) from twins on meta of the parts
     * (n_from). NULL: there is none. */
    void (*trace)(wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list from, wg_list to);
    /* On one of the CPU's threads; errors are looked at when they return. begin (may be NULL): before a range's first tile.
     * put: a result that goes that way. */
    void (*begin)(wgi_fuse_job *j, wgi_context *c, int64_t range);
    void (*put)(wgi_fuse_job *j, wgi_context *c, int64_t range, const wgi_tile *at, int64_t to,
                wg_tensor *y);
    wgi_fuse_code code
        [2]; /* of whole tiles; of those at the end of the axis that is cut, if they are shorter */
    int codes;
    const wgi_context *caller;
    const char *file; /* the caller's place */
    int line;
    atomic_bool failed;
    wgi_held_error error; /* of the thread that set failed */
};
/* An empty job for the op's inputs, with room for so many parts to be read besides them, and to be written; and an array
 * for the tiling's operands, of which the inputs fill the first. NULL: raised. */
wgi_tiled *wgi_fuse_job_make(wgi_fuse_job *j, wgi_context *c, wg_list in, int64_t from, int64_t to);
/* Traces the tiles' shapes and runs every tile; what a thread raised is raised on this one. */
wg_status wgi_fuse_job_run(wgi_fuse_job *j, wgi_context *c);
/* Calls the function on a tile's twins and looks at what it gives. */
wg_status wgi_fuse_tile_call(const wgi_fuse_job *j, wgi_context *c, const wgi_tile *at, wg_list x,
                             wg_list y);
/* A twin on meta of a tensor of this shape and these strides, marked as made of the inputs; a weak scalar is its own. */
wg_tensor *wgi_fuse_twin(wgi_context *c, wg_tensor *t, const wg_dims *shape,
                         const wg_dims *strides);

/* The row's kernel and gradient. */
wg_status wgi_fuse_forward(const wg_run *r);
void wgi_fuse_backward(wg_vjp *g);
#endif
