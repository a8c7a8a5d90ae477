/* Sequential and module list: children "0", "1", ... */
#include <stdio.h>
#include <stdlib.h>

#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/scope.h"

#include "nn/parts.h"

/* The children's slots must not move, while the array of them grows: each stands alone. */
typedef struct {
    wg_module base;
    int64_t n, capacity;
    wg_module ***slot; /* (n) */
} sequence;

static void sequence_destroy(wg_module *m)
{
    sequence *self = (sequence *)m;
    for (int64_t i = 0; i < self->n; i++) free(self->slot[i]);
    free(self->slot);
}

static bool make_room(sequence *self)
{
    if (self->n < self->capacity) return true;
    int64_t capacity = self->capacity ? 2 * self->capacity : 8;
    wg_module ***slot = realloc(self->slot, (size_t)capacity * sizeof *slot);
    if (!slot) return false;
    self->slot = slot;
    self->capacity = capacity;
    return true;
}

static void add(wg_module *m, const wg_module_type *type, wg_module *child)
{
    sequence *self = wg_module_as(m, type);
    char name[24];
    wg_module **slot = NULL;
    if (self && make_room(self)) slot = calloc(1, sizeof *slot);
    if (self && !slot) wg_raise(WG_EMEM, "%s: out of memory", m->type->name);
    if (!slot) {
        wg_module_free(child);
        return;
    }
    snprintf(name, sizeof name, "%lld", (long long)self->n);
    wg_child(m, name, slot, child);
    if (*slot)
        self->slot[self->n++] = slot;
    else
        free(slot);
}

/* ---- module list ----------------------------------------------------------------------------- */

const wg_module_type wg_module_list_type = { .name = "module_list",
                                             .size = sizeof(sequence),
                                             .destroy = sequence_destroy };

wg_module *wg_module_list_new(void)
{
    return wg_module_new(&wg_module_list_type, NULL);
}
void wg_module_list_add(wg_module *list, wg_module *m)
{
    add(list, &wg_module_list_type, m);
}

static bool is_sequence(const wg_module *m)
{
    return wg_module_is(m, &wg_module_list_type) || wg_module_is(m, &wg_sequential_type);
}

wg_module *wg_module_list_at(wg_module *list, int64_t i)
{
    if (!is_sequence(list)) {
        wg_raise(WG_EARG, "module_list_at: %s",
                 list ? "this module is no list" : "the list is NULL");
        return NULL;
    }
    sequence *self = (sequence *)list;
    const int64_t at = i < 0 ? i + self->n : i;
    if (at >= 0 && at < self->n) return *self->slot[at];
    wg_raise(WG_EINDEX, "module_list_at: %lld is out of range for %lld modules", (long long)i,
             (long long)self->n);
    return NULL;
}

int64_t wg_module_list_size(const wg_module *list)
{
    return is_sequence(list) ? ((const sequence *)list)->n : 0;
}

/* ---- sequential ------------------------------------------------------------------------------ */

wg_tensor *wgi_chain(int64_t n, wgi_step step, void *self, wg_tensor *x)
{
    wg_tensor *held = NULL; /* the last result, between the scopes */
    for (int64_t i = 0; i < n; i++) {
        wg_scope s = wg_scope_push();
        wg_tensor *y = step(self, i, x);
        if (i < n - 1) wg_set(&held, y);
        x = i < n - 1 ? held : y;
        wg_scope_return(s, i < n - 1 ? NULL : y);
    }
    wg_set(&held, NULL);
    return x;
}

static wg_tensor *sequential_step(void *self, int64_t i, wg_tensor *x)
{
    return wg_forward(*((sequence *)self)->slot[i], x);
}

static wg_tensor *sequential_forward(wg_module *m, wg_tensor *x)
{
    return wgi_chain(((sequence *)m)->n, sequential_step, m, x);
}

const wg_module_type wg_sequential_type = { .name = "sequential",
                                            .size = sizeof(sequence),
                                            .forward = sequential_forward,
                                            .destroy = sequence_destroy };

wg_module *wg_sequential_new(void)
{
    return wg_module_new(&wg_sequential_type, NULL);
}

void wg_sequential_add(wg_module *sequential, wg_module *m)
{
    add(sequential,
        wg_module_is(sequential, &wg_module_list_type) ? &wg_module_list_type : &wg_sequential_type,
        m);
}
