#include "cuda/index.h"

void wgi_index_plan_make(wgi_index_plan *p, const wgi_index_axes *m, int64_t largest_index)
{
    uint64_t most = (uint64_t)(largest_index > 0 ? largest_index : 0) * (uint64_t)m->large[m->axis];
    p->m = *m;
    p->items = 0;
    p->item_count = p->lane_count = 1;
    for (int d = 0; d < m->n; d++) {
        const bool item = d == m->axis || m->index[d] != 0;
        if (item) p->items |= 1u << d;
        *(item ? &p->item_count : &p->lane_count) *= m->shape[d];
        if (item && d != m->axis && m->shape[d] > 0)
            most += (uint64_t)(m->shape[d] - 1) * (uint64_t)m->large[d];
    }
    p->nowhere = most + 1;
}

int64_t wgi_nonzero_chunks(int64_t numel)
{
    enum { CHUNK = 1024 }; /* of index.cu */
    return (numel + CHUNK - 1) / CHUNK;
}
