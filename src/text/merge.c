#include "merge.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"

enum { SHORT = 32 }; /* symbols up to which scanning beats the heap */
#define NO_RANK UINT32_MAX

wg_status wgi_merger_reserve(wgi_merger *m, int64_t n)
{
    if (n <= m->room) return WG_OK;
    int64_t room = m->room ? m->room : 64;
    while (room < n) room *= 2;
    int32_t *ids = wgi_realloc(m->ids, (size_t)room * sizeof *ids);
    if (!ids) return WG_EMEM;
    m->ids = ids;
    m->room = room;
    return WG_OK;
}

void wgi_merger_free(wgi_merger *m)
{
    free(m->ids);
    free(m->next);
    free(m->previous);
    free(m->heap);
    *m = (wgi_merger) { 0 };
}

/* ---- short words ----------------------------------------------------------------------------- */
static void look_up(const wgi_pairs *pairs, const int32_t *ids, int64_t i, int64_t n,
                    uint32_t *rank, int32_t *merged)
{
    const wgi_pair *p = i >= 0 && i + 1 < n ? wgi_pairs_get(pairs, ids[i], ids[i + 1]) : NULL;
    if (i < 0) return;
    rank[i] = p ? p->rank : NO_RANK;
    merged[i] = p ? p->id : -1;
}

static void merge_short(wgi_merger *m, const wgi_pairs *pairs)
{
    uint32_t rank[SHORT]; /* of the pair that begins at i */
    int32_t merged[SHORT];
    int64_t n = m->n;
    for (int64_t i = 0; i < n; i++) look_up(pairs, m->ids, i, n, rank, merged);
    for (;;) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (n < 2 || rank[best] == NO_RANK) break;
        m->ids[best] = merged[best];
        n--;
        for (int64_t i = best + 1; i < n; i++) {
            m->ids[i] = m->ids[i + 1];
            rank[i] = rank[i + 1];
            merged[i] = merged[i + 1];
        }
        look_up(pairs, m->ids, best, n, rank, merged);
        look_up(pairs, m->ids, best - 1, n, rank, merged);
    }
    m->n = n;
}

/* ---- long words ------------------------------------------------------------------------------ */
/* A pair that may merge. Symbols only grow, so it is still the same pair if what follows it is. */
typedef struct wgi_merge_candidate {
    uint64_t key;    /* rank << 32 | where it begins */
    uint32_t follow; /* the symbol after the pair */
    int32_t id;      /* what it becomes */
} candidate;

typedef struct {
    candidate *at;
    int64_t n;
} heap;

static void sink(heap *h, int64_t i)
{
    const candidate c = h->at[i];
    for (int64_t child; (child = 2 * i + 1) < h->n; i = child) {
        child += child + 1 < h->n && h->at[child + 1].key < h->at[child].key;
        if (h->at[child].key >= c.key) break;
        h->at[i] = h->at[child];
    }
    h->at[i] = c;
}

static void push(heap *h, candidate c)
{
    int64_t i = h->n++;
    for (; i > 0 && h->at[(i - 1) / 2].key > c.key; i = (i - 1) / 2) h->at[i] = h->at[(i - 1) / 2];
    h->at[i] = c;
}

static candidate pop(heap *h)
{
    const candidate c = h->at[0];
    h->at[0] = h->at[--h->n];
    if (h->n) sink(h, 0);
    return c;
}

static bool propose(const wgi_merger *m, const wgi_pairs *pairs, uint32_t left, candidate *c)
{
    const uint32_t right = m->next[left];
    if (right == (uint32_t)m->n) return false;
    const wgi_pair *p = wgi_pairs_get(pairs, m->ids[left], m->ids[right]);
    if (p) *c = (candidate) { (uint64_t)p->rank << 32 | left, m->next[right], p->id };
    return p != NULL;
}

/* Each merge takes one candidate from the heap and adds two at most: 2 n are enough. */
static wg_status reserve_long(wgi_merger *m)
{
    if (m->n <= m->long_room) return WG_OK;
    const size_t n = (size_t)m->n;
    free(m->next);
    free(m->previous);
    free(m->heap);
    m->next = wgi_malloc(n * sizeof *m->next);
    m->previous = wgi_malloc(n * sizeof *m->previous);
    m->heap = wgi_malloc(2 * n * sizeof *m->heap);
    m->long_room = m->next && m->previous && m->heap ? m->n : 0;
    return m->long_room ? WG_OK : WG_EMEM;
}

/* Joins the pair at left; the right symbol's id becomes -1. */
static void join(wgi_merger *m, uint32_t left, int32_t id)
{
    const uint32_t right = m->next[left], follow = m->next[right];
    m->ids[left] = id;
    m->ids[right] = -1;
    m->next[left] = follow;
    if (follow < (uint32_t)m->n) m->previous[follow] = left;
}

static wg_status merge_long(wgi_merger *m, const wgi_pairs *pairs)
{
    if (m->n >= UINT32_MAX || reserve_long(m)) return WG_EMEM;
    const uint32_t n = (uint32_t)m->n;
    for (uint32_t i = 0; i < n; i++) {
        m->next[i] = i + 1;
        m->previous[i] = i - 1;
    }
    heap h = { m->heap, 0 };
    for (uint32_t i = 0; i + 1 < n; i++) h.n += propose(m, pairs, i, &h.at[h.n]);
    for (int64_t i = h.n / 2; i-- > 0;) sink(&h, i);
    while (h.n) {
        const candidate best = pop(&h);
        const uint32_t left = (uint32_t)best.key;
        if (m->ids[left] == -1 || m->next[left] == n || m->next[m->next[left]] != best.follow)
            continue;
        join(m, left, best.id);
        candidate c;
        if (propose(m, pairs, left, &c)) push(&h, c);
        if (left > 0 && propose(m, pairs, m->previous[left], &c)) push(&h, c);
    }
    int64_t kept = 0;
    for (uint32_t i = 0; i < n; i = m->next[i]) m->ids[kept++] = m->ids[i];
    m->n = kept;
    return WG_OK;
}

wg_status wgi_merge(wgi_merger *m, const wgi_pairs *pairs)
{
    if (m->n > SHORT) return merge_long(m, pairs);
    if (m->n > 1) merge_short(m, pairs);
    return WG_OK;
}
