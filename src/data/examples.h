/* The inside of examples; loaders read them. */
#ifndef WGI_DATA_EXAMPLES_H
#define WGI_DATA_EXAMPLES_H
#include <stdatomic.h>

#include "wengert/data.h"

struct wg_examples {
    atomic_int refs;
    int64_t n, vocab;
    int64_t *start;  /* (n + 1) of each in ids */
    int64_t *answer; /* (n) the first place, counted from its start, that is learned: at least 1 */
    int32_t *ids;    /* (start[n]) */
    int64_t room, ids_room;
};

wg_examples *wgi_examples_ref(wg_examples *e);
/* Tokens that example i puts in: its last one is a target only. */
int64_t wgi_examples_inputs(const wg_examples *e, int64_t i);
/* Row of T inputs and targets: 0 and -1 behind the example, -1 over its prompt. */
void wgi_examples_fill(const wg_examples *e, int64_t i, int64_t T, int64_t *x, int64_t *y);
#endif
