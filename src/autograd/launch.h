/* The kernels of a replayed program, and chains of them: what replay.c and chain.c share. */
#ifndef WGI_AUTOGRAD_LAUNCH_H
#define WGI_AUTOGRAD_LAUNCH_H
#include "autograd/program.h"
#include "cpu/chain.h"
#include "cpu/elementwise.h"

typedef struct wgi_address { /* where an operand of a plain loop lies */
    void *const *data;
    size_t offset; /* in bytes */
    int value;
} wgi_address;
static inline void *wgi_address_now(const wgi_address *p)
{
    return (char *)*p->data + p->offset;
}

typedef struct {
    wgi_chain_item *item; /* (n) the last one ends it */
    wgi_address *address; /* (n) data NULL: the item has no memory */
    int64_t n;
    int launches; /* how many it stands for; 0: there is no chain */
} wgi_chain;

/* A kernel. One that has told that it is a plain loop is called as that from then on, or in a chain, which the first of
 * its kernels has. */
struct wgi_launch {
    wg_run run;
    const wgi_step *step;
    wgi_plain_kernel plain;
    wgi_address in[WGI_OPERANDS], out;
    int n_in;
    int64_t numel;
    wgi_chain chain;
};

/* The loop on elements first .. of its operands. */
void wgi_launch_plain(const struct wgi_launch *l, int64_t first);

/* chain.c: after all of r's kernels have run once, makes chains of neighbours. item, place: room for WGI_CHAIN_ITEMS of
 * each for every launch. */
enum { WGI_CHAIN_ITEMS = 4 };
void wgi_chain_find(wgi_replay *r, wgi_chain_item *item, wgi_address *address);
/* Brings the items' memory to where it is in this run. */
void wgi_chain_bind(wgi_chain *c);
#endif
