/* The inside of modules: what stands behind wg_module.state, the one lookup and the one walk. */
#ifndef WGI_NN_STATE_H
#define WGI_NN_STATE_H
#include "wengert/module.h"

/* A parameter or buffer. The entry owns one reference to the tensor; *slot, in the layer's struct,
 * is a copy. */
typedef struct {
    char *name;
    wg_tensor **slot, *tensor;
    bool buffer;
} wgi_entry;

/* A child; module NULL: its place was emptied by wg_module_swap. */
typedef struct {
    char *name;
    wg_module **slot, *module;
} wgi_child;

typedef struct {
    wg_forward_hook fn;
    void *self;
} wgi_forward_hook;

struct wg_module_state {
    const char *name; /* this module's segment of the path: its name in the parent, "" for a root */
    wg_module *parent; /* owns this module; NULL: the user does */
    int64_t n_entries, entries_capacity, n_children, children_capacity, n_hooks, hooks_capacity;
    wgi_entry *entries;
    wgi_child *children;
    wgi_forward_hook *hooks;
    bool recompute;
};

/* Room for one more element of `size` bytes in *array: false and WG_EMEM when there is none. */
bool wgi_grow(void **array, int64_t n, int64_t *capacity, size_t size);
/* An own copy of text; NULL and WG_EMEM. */
char *wgi_text(const char *text);
/* Raises for a NULL m and says whether it did. `function` begins the message. */
bool wgi_no_module(const wg_module *m, const char *function);

/* child is a free module and m is not below it; raises otherwise. */
bool wgi_adoptable(const wg_module *m, const wg_module *child);

/* ---- lookup.c -------------------------------------------------------------------------------- */
/* What stands at a path: an entry or a child of owner. */
typedef struct {
    wg_module *owner;
    wgi_entry *entry;
    wgi_child *child;
} wgi_place;
/* Names may be dotted, a child "" is looked through; path "" is the child "". Raises nothing. */
bool wgi_find(wg_module *m, const char *path, wgi_place *out);
/* wgi_find for an entry; raises WG_ENOTFOUND with the names that there are. */
wgi_entry *wgi_find_entry(wg_module *m, const char *path, const char *function);

/* ---- walk.c ---------------------------------------------------------------------------------- */
/* A path as its segments, last first, on the walker's stack. */
typedef struct wgi_segments {
    const char *name;
    const struct wgi_segments *up;
} wgi_segments;
/* Writes the dotted path (with its NUL) unless out is NULL; returns its length. */
size_t wgi_segments_text(const wgi_segments *path, char *out);
/* Visits m and everything below, parents before children in order of registration. */
void wgi_walk(wg_module *m, void (*visit)(void *self, const wgi_segments *path, wg_module *m),
              void *self);

/* ---- run.c ----------------------------------------------------------------------------------- */
/* Watches every wg_forward on this thread; summaries use it. */
typedef struct {
    void (*before)(void *self, wg_module *m);
    void (*after)(void *self, wg_module *m, wg_tensor *y);
    void *self;
} wgi_observer;
/* Sets this thread's observer (NULL: none) and returns the one before. */
const wgi_observer *wgi_observe(const wgi_observer *o);
/* A wg_forward of m is seen by somebody (hooks, an observer) or run again by backward: its op must stand alone. */
bool wgi_forward_is_watched(const wg_module *m);
/* The first parameter or buffer of m or below; NULL: none. With floating: the first floating one.
 */
wg_tensor *wgi_first_tensor(const wg_module *m, bool floating);

/* ---- parameter.c: all that modules need from the inside of tensors --------------------------- */
/* Puts m on the thread's path until the innermost scope ends, with what stands between it and the
 * nearest module above that is on it. */
void wgi_module_path(const wg_module *m);
/* Makes value ready to be registered: contiguous, without history; a parameter requires a gradient.
 * NULL on failure. */
wg_tensor *wgi_parameter(wg_tensor *value, bool buffer);
/* Raises WG_EGRAD if a graph holds t. */
wg_status wgi_parameter_free_of_graph(const wg_tensor *t, const char *name);
/* t takes value's storage, dtype and device and stays the same handle. Same shape. */
void wgi_parameter_adopt(wg_tensor *t, wg_tensor *value);
/* Frozen: t requires no gradient and loses the one it has. Not frozen: what is mapped gets memory of
 * its own, what is in blocks stays frozen. name is for messages. */
void wgi_parameter_freeze(wg_tensor *t, bool frozen, const char *name);
/* In memory that nobody writes: blocks, or a file's mapping. */
bool wgi_parameter_read_only(const wg_tensor *t);
/* x's elements in ordinary memory on its device. */
wg_tensor *wgi_parameter_copy(wg_tensor *x);
/* wg_module_put for one tensor. */
wg_status wgi_parameter_put(wg_tensor *t, wg_tensor *value, bool buffer, const char *name);

#endif
