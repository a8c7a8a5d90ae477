/* Byte pair merging of one word: again and again the pair of neighbours of lowest rank, the
 * leftmost of equal ones, until none merges. Short words by scanning an array, long ones by a heap
 * of pairs over a linked list: O(n log n). Source: Sennrich et al. 2016, arXiv:1508.07909,
 * algorithm 1. */
#ifndef WGI_TEXT_MERGE_H
#define WGI_TEXT_MERGE_H
#include "vocab.h"

/* Room for the word that is merged, kept from word to word. */
typedef struct {
    int32_t *ids; /* (n) symbols, replaced by what they merge into */
    int64_t n, room;
    uint32_t *next, *previous; /* (n) of long words: 0 .. n, n is the end */
    struct wgi_merge_candidate *heap;
    int64_t long_room;
} wgi_merger;

/* Room for n symbols in m->ids; those that are there stay. WG_EMEM without raising. */
wg_status wgi_merger_reserve(wgi_merger *m, int64_t n);
/* Merges m->ids[0 .. m->n) in place and lowers m->n. WG_EMEM without raising. */
wg_status wgi_merge(wgi_merger *m, const wgi_pairs *pairs);
void wgi_merger_free(wgi_merger *m);
#endif
