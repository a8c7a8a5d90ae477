#include "cuda/reduce.h"

enum {
    ROW_CHUNK = 4096,  /* elements for a warp */
    COLUMN_CHUNK = 64, /* elements for a thread, where there are few groups */
    LONG_COLUMN = 512, /* and where they are many */
    MANY_GROUPS = 1 << 16,
    FEW_ELEMENTS = 16
};

static int64_t distance(int64_t stride)
{
    return stride < 0 ? -stride : stride;
}

/* Columns, if neighbouring groups lie closer together than neighbouring elements of a group. */
void wgi_fold_plan(wgi_fold_pass *f)
{
    const wgi_axes_of *k = &f->kept, *r = &f->reduced;
    const bool closer = k->n > 0 && r->n > 0 && k->size[k->n - 1] >= 8 &&
                        distance(k->stride[k->n - 1]) < distance(r->stride[r->n - 1]);
    f->columns = closer || (r->count <= FEW_ELEMENTS && k->count >= 32);
    f->chunk = !f->columns ? ROW_CHUNK : k->count >= MANY_GROUPS ? LONG_COLUMN : COLUMN_CHUNK;
    f->chunks = r->count > f->chunk ? (r->count + f->chunk - 1) / f->chunk : 1;
}
