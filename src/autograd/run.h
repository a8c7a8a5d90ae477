/* One backward under way. */
#ifndef WGI_AUTOGRAD_RUN_H
#define WGI_AUTOGRAD_RUN_H
#include "autograd/node.h"
#include "ops/registry.h"

typedef struct { /* what wg_grad wants: the cotangent at an edge */
    wgi_edge edge;
    int64_t wanted;       /* which of the caller's x */
    wg_tensor *cotangent; /* one reference */
} wgi_capture;

typedef struct {          /* a leaf that gathers its cotangent until the end */
    wgi_node *leaf;       /* one reference */
    wg_tensor *cotangent; /* one reference */
} wgi_waiting;

enum { WGI_PARTED = 4, WGI_PARTS = 64 };

typedef struct {      /* a split's node, whose outputs' cotangents are made as parts of a whole */
    wgi_node *node;   /* not reached yet */
    wg_tensor *whole; /* one reference */
    uint64_t given;   /* outputs whose part is somebody's place already */
} wgi_parted;

struct wgi_run {
    wgi_context *context;
    bool create_graph, retain;
    wgi_node **heap; /* one reference each */
    int64_t heap_n, heap_capacity;
    wgi_capture *captures; /* sorted by node; wg_grad only */
    int64_t n_captures;
    wgi_waiting *waiting;
    int64_t n_waiting, waiting_capacity;
    wgi_node **taken; /* leaves whose first gradient was handed over, one reference each */
    int64_t n_taken, taken_capacity;
    wgi_parted parted[WGI_PARTED];
    int n_parted;
};

wg_status wgi_run_enqueue(wgi_run *r, wgi_node *n);
/* Adds d, fitted to m, to what flows along e. */
wg_status wgi_deliver(wgi_run *r, wgi_edge e, const wgi_meta *m, wg_tensor *d);
wg_status wgi_run_seed(wgi_run *r, wg_tensor *y, wg_tensor *dy, const char *what);
wg_status wgi_run_walk(wgi_run *r);
/* Settles leaves' gradients, runs leaf hooks, frees the run's own memory; also after an error. */
wg_status wgi_run_settle(wgi_run *r, wg_status s);
wgi_capture *wgi_capture_find(wgi_run *r, const wgi_node *n, int index);
wg_status wgi_accumulate(wgi_run *r, wg_tensor **slot, wg_tensor *d);
/* Nobody else sees t: it may be written in place. */
bool wgi_exclusive(const wg_tensor *t);

/* place.c */
typedef struct {      /* the place of one cotangent */
    wgi_edge edge;    /* where it flows in the end, casts seen through */
    wgi_meta meta;    /* what it must look like there */
    wg_tensor *into;  /* exclusive tensor to add into; NULL: none yet */
    wgi_node *locked; /* leaf to unlock afterwards */
} wgi_place;
/* The place of the cotangent of from's input i. A leaf that one of the n places `held` keeps locked is not locked again:
 * this place has the same tensor. */
void wgi_place_find(wgi_run *r, const wgi_node *from, int i, const wgi_place *held, int n,
                    wgi_place *p);
void wgi_place_leave(wgi_place *p);
/* A new tensor for a cotangent like m. */
wg_tensor *wgi_place_new(wgi_run *r, const wgi_meta *m, bool zeros);
int64_t wgi_meta_elements(const wgi_meta *m);

/* parts.c */
/* The place of the first cotangent at e within the cotangent of a tensor that is split there, behind transposes or at once,
 * to be written whole and delivered: as good as a new tensor like `wanted`. NULL: there is none. */
wg_tensor *wgi_part_place(wgi_run *r, wgi_edge e, const wg_spec *wanted);
/* After an error: lets go of wholes whose nodes were not reached. */
void wgi_parted_drop(wgi_run *r);
/* A partial view's node: writes or adds its cotangents into the input's, through the same view. */
wg_status wgi_write_through_view(wgi_run *r, wgi_node *n);
/* into <- from, same shape, on any device, recording nothing. */
wg_status wgi_copy_into(wgi_context *c, wg_tensor *into, wg_tensor *from);

/* composite.c: a fused op's gradient by differentiating its definition. */
void wgi_composite_grad(wg_vjp *g);
#endif
