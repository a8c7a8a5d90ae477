/* Lists of axes with two strides each, merged where their strides allow, and cursors that step
 * through them without index arithmetic per element. */
#ifndef WGI_CPU_EXTENTS_H
#define WGI_CPU_EXTENTS_H
#include "tensor/internal.h"

typedef struct {
    int64_t size, x, y; /* y: 0 where there is no second operand */
} wgi_extent;

typedef struct {
    int n;
    wgi_extent e[WG_MAX_DIMS]; /* outermost first */
    int64_t count;
} wgi_extents;

static inline void wgi_push_extent(wgi_extents *l, wgi_extent e)
{
    if (l->n > 0) {
        wgi_extent *o = &l->e[l->n - 1];
        if (o->x == e.size * e.x && o->y == e.size * e.y) {
            o->size *= e.size;
            o->x = e.x;
            o->y = e.y;
            l->count *= e.size;
            return;
        }
    }
    l->e[l->n++] = e;
    l->count *= e.size;
}

/* Takes the innermost axis away; a single element if there is none. */
static inline wgi_extent wgi_pop_extent(wgi_extents *l)
{
    if (l->n == 0) return (wgi_extent) { 1, 0, 0 };
    wgi_extent e = l->e[--l->n];
    l->count /= e.size;
    return e;
}

typedef struct {
    int64_t at[WG_MAX_DIMS], x, y;
} wgi_cursor;

static inline void wgi_cursor_set(wgi_cursor *c, const wgi_extents *l, int64_t i)
{
    c->x = c->y = 0;
    for (int d = l->n - 1; d >= 0; d--) {
        c->at[d] = i % l->e[d].size;
        i /= l->e[d].size;
        c->x += c->at[d] * l->e[d].x;
        c->y += c->at[d] * l->e[d].y;
    }
}

static inline void wgi_cursor_next(wgi_cursor *c, const wgi_extents *l)
{
    for (int d = l->n - 1; d >= 0; d--) {
        const wgi_extent *e = &l->e[d];
        c->x += e->x;
        c->y += e->y;
        if (++c->at[d] < e->size) return;
        c->x -= e->size * e->x;
        c->y -= e->size * e->y;
        c->at[d] = 0;
    }
}
#endif
