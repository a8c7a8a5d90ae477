/* The tape: nodes, edges, saved tensors. A node stands for one applied op, or for a leaf that gathers its gradient. */
#ifndef WGI_AUTOGRAD_NODE_H
#define WGI_AUTOGRAD_NODE_H
#include "tensor/internal.h"
#include "wengert/autograd.h"

typedef struct {
    wgi_node *node; /* NULL: no gradient goes there */
    int index;      /* which of its outputs */
} wgi_edge;

/* Shape and dtype of an input or output, kept whether it was saved or not. */
typedef struct {
    uint8_t dtype, ndim;
    wg_device device;
    const int64_t *shape; /* in the node's own block */
} wgi_meta;

/* One saved tensor: which operand it is, the tensor, and its storage's version at that time. */
typedef struct {
    int operand; /* i: input i; ~j: output j */
    unsigned version;
    wg_tensor *
        tensor; /* one reference; an output is kept without its edge; NULL: released, or in the segment */
} wgi_saved;

typedef struct wgi_hook_entry {
    uint64_t id;
    int output;                                     /* of an op's node */
    wg_tensor_hook fn;                              /* sees and may replace the cotangent */
    void (*leaf)(void *self, wg_tensor *leaf_grad); /* or: after a leaf's gradient is complete */
    void *self;
    struct wgi_hook_entry *next;
} wgi_hook_entry;

enum {
    WGI_NODE_LEAF = 1,
    WGI_NODE_FREED = 2,    /* its saved tensors were released by a backward */
    WGI_NODE_QUEUED = 4,   /* in the running backward's heap */
    WGI_NODE_NEEDED = 8,   /* wg_grad: leads to a wanted input */
    WGI_NODE_CAPTURED = 16 /* wg_grad: one of its outputs is a wanted input */
};

struct wgi_node {
    atomic_int refs;
    unsigned flags;
    const wg_op *op;   /* NULL for a leaf */
    uint64_t sequence; /* consumers have larger ones than producers */
    size_t bytes;      /* of the whole block: what follows the struct lies in it too */
    int n_in, n_out, n_saved;
    wgi_edge *edges;       /* (n_in) */
    wgi_meta *meta;        /* (n_in + n_out) */
    wgi_saved *saved;      /* (n_saved) */
    wg_tensor **cotangent; /* (n_out) of the running backward, one reference each */
    void *attr;
    uint64_t random[2];
    wgi_segment
        *segment; /* where its saved tensors are, if it was recorded in a recomputed segment */
    int64_t first_slot;
    wgi_hook_entry *hooks;
    void *run;        /* the backward that walks it; NULL: none */
    const char *file; /* the user's place */
    int line;
    /* a leaf's own */
    wg_tensor *grad;     /* one reference */
    atomic_flag busy;    /* guards grad: threads may share parameters */
    wgi_node *next_dead; /* while being destroyed */
};

/* A leaf's node; NULL on failure (raised). */
wgi_node *wgi_leaf_new(wgi_context *c, const wg_tensor *t);
static inline wgi_node *wgi_node_ref(wgi_node *n)
{
    if (n) atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}
/* Drops one reference; destroys without recursion. NULL is fine. */
void wgi_node_unref(wgi_node *n);
static inline void wgi_leaf_lock(wgi_node *n)
{
    while (atomic_flag_test_and_set_explicit(&n->busy, memory_order_acquire)) {}
}
static inline void wgi_leaf_unlock(wgi_node *n)
{
    atomic_flag_clear_explicit(&n->busy, memory_order_release);
}

/* Records op on its outputs y (n_out; NULL where hidden and not made). in: after autocast. */
wg_status wgi_record(wgi_context *c, const wg_op *op, wg_list in, const void *attr, wg_tensor **y,
                     int n_out, const uint64_t random[2]);
/* Puts what the node saved into x (n_in) and y (n_out), which come with NULLs; attached to the graph if `attach`. Checks
 * versions; fills an empty segment. The tensors are borrowed from the node or belong to the innermost scope. */
wg_status wgi_saved_read(wgi_context *c, wgi_node *n, bool attach, wg_tensor **x, wg_tensor **y);
/* Releases what the node saved. */
void wgi_saved_release(wgi_node *n);

/* ---- recomputed segments: recompute.c ------------------------------------------------------------------------- */
/* Notes a node's saved tensors in the segment (first run), or puts them into their slots (refill). Returns whether the
 * node itself must not keep them. */
bool wgi_segment_save(wgi_context *c, wgi_node *n, wgi_saved *saved, int count);
/* Saved tensor k of n, computing the segment again if it is empty; NULL: raised. */
wg_tensor *wgi_segment_get(wgi_context *c, wgi_node *n, int k);
void wgi_segment_done(wgi_node *n);
void wgi_segment_unref(wgi_segment *s);

/* ---- fused functions: fuse.c -------------------------------------------------------------------------------------- */
/* While a fused function runs: raises unless op may be in it with these operands. In the trace, operands that are not on
 * meta are replaced by ones that are, in `space` if they fit. */
wg_status wgi_fusion_admit(wgi_context *c, const wg_op *op, wg_list *in, wg_tensor **space,
                           int64_t room);
/* The same replacing alone, while a program is noted. */
wg_status wgi_fusion_admit_again(wgi_context *c, wg_list *in, wg_tensor **space, int64_t room);
/* Marks what was made of the function's inputs. */
wg_status wgi_fusion_mark(wgi_context *c, const wg_op *op, wg_list in, wg_tensor **y, int n_out);

/* ---- the door's inside: apply.c --------------------------------------------------------------------------------- */
/* Runs op's kernel on in, into given outputs (n_out; dtype may be wider than the rule says), recording nothing. */
wg_status wgi_run_into(wgi_context *c, const wg_op *op, wg_list in, const void *attr,
                       wg_tensor **out, int n_out, bool accumulate);
/* A new output of a row with WG_OP_LAYOUT gets the strides that its shape rule gave. */
static inline void wgi_lay_out(wg_tensor *y, const wg_spec *s)
{
    for (int a = 0; a < s->strides.n; a++) y->strides[a] = s->strides.d[a];
}
/* Adds to what wg_flops says of this thread. */
void wgi_count_flops(double n);
/* into += d, recording nothing, for two of one shape, dtype and device: the sum of two cotangents, so often that the
 * rules above are left out. */
wg_status wgi_add_into(wgi_context *c, wg_tensor *into, wg_tensor *d);
/* Whether a kernel of op exists for d. */
static inline wg_kernel wgi_kernel_for(const wg_op *op, wg_device d)
{
    return d.kind == WG_CPU ? op->cpu : d.kind == WG_CUDA ? op->cuda : NULL;
}
/* ---- backward.c ---------------------------------------------------------------------------------------------------- */
typedef struct wgi_run wgi_run;
/* What wg_vjp.engine points to while a rule runs. */
typedef struct {
    wgi_context *context;
    wgi_run *run;
    wgi_node *node;
    bool create_graph;
    bool *placed; /* (n_in) dx[i] was written right where it belongs */
} wgi_rule;
#endif
