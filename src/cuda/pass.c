#include "cuda/pass.h"

static bool merges(const wgi_operand *o, int64_t size, int i) /* axis i with i + 1, of that size */
{
    return o->stride[i] == o->stride[i + 1] * size;
}

void wgi_pass_coalesce(wgi_pass *p)
{
    int n = 0;
    for (int i = 0; i < p->ndim; i++) {
        if (p->size[i] == 1) continue;
        bool merge = n > 0;
        for (int k = 0; k < p->n; k++) {
            p->o[k].stride[n] = p->o[k].stride[i];
            if (merge && !merges(&p->o[k], p->size[i], n - 1)) merge = false;
        }
        p->size[n] = p->size[i];
        if (!merge) {
            n++;
            continue;
        }
        p->size[n - 1] *= p->size[n];
        for (int k = 0; k < p->n; k++) p->o[k].stride[n - 1] = p->o[k].stride[n];
    }
    if (n == 0) { /* one element */
        p->size[0] = 1;
        for (int k = 0; k < p->n; k++) p->o[k].stride[0] = 0;
        n = 1;
    }
    p->ndim = n;
}
