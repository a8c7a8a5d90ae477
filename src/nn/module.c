/* Making and freeing modules; registering parameters, buffers, children. */
#include "nn/state.h"

#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"
#include "wengert/tensor.h"

bool wgi_grow(void **array, int64_t n, int64_t *capacity, size_t size)
{
    if (n < *capacity) return true;
    int64_t more = *capacity ? 2 * *capacity : 4;
    void *p = realloc(*array, (size_t)more * size);
    if (!p) {
        wg_raise(WG_EMEM, "module: out of memory");
        return false;
    }
    *array = p;
    *capacity = more;
    return true;
}

char *wgi_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    else
        wg_raise(WG_EMEM, "module: out of memory");
    return copy;
}

bool wgi_no_module(const wg_module *m, const char *function)
{
    if (!m) wg_raise(WG_EARG, "%s: the module is NULL", function);
    return !m;
}

/* Frees m and all below it, whoever owns it. */
static void release(wg_module *m)
{
    struct wg_module_state *s = m->state;
    if (m->type->destroy) m->type->destroy(m);
    for (int64_t i = 0; i < s->n_children; i++) {
        if (s->children[i].module) release(s->children[i].module);
        free(s->children[i].name);
    }
    for (int64_t i = 0; i < s->n_entries; i++) {
        wg_set(&s->entries[i].tensor, NULL);
        free(s->entries[i].name);
    }
    free(s->children);
    free(s->entries);
    free(s->hooks);
    free(s);
    free(m);
}

wg_module *wg_module_new(const wg_module_type *type, const void *config)
{
    /* A second error would be dropped, so that init's failures could not be seen. */
    if (wg_error_code() != WG_OK) return NULL;
    if (!type || !type->name || type->size < sizeof(wg_module)) {
        wg_raise(WG_EARG, "module_new: the type is NULL, unnamed, or smaller than wg_module");
        return NULL;
    }
    wg_module *m = calloc(1, type->size);
    struct wg_module_state *state = calloc(1, sizeof *state);
    if (!m || !state) {
        free(m);
        free(state);
        wg_raise(WG_EMEM, "%s: out of memory", type->name);
        return NULL;
    }
    state->name = "";
    m->type = type;
    m->state = state;
    m->training = true;
    wg_scope s = wg_scope_push();
    wg_use_grad(false); /* init writes into parameters */
    if (type->init) type->init(m, config);
    if (wg_scope_pop(s) == WG_OK) return m;
    release(m);
    return NULL;
}

void wg_module_free(wg_module *m)
{
    if (!m) return;
    if (m->state->parent) {
        wg_raise(WG_EARG,
                 "module_free: this %s belongs to a %s as \"%s\"; wg_module_swap takes it out",
                 m->type->name, m->state->parent->type->name, m->state->name);
        return;
    }
    release(m);
}

/* ---- registering ----------------------------------------------------------------------------- */

static bool name_is_free(wg_module *m, const char *name)
{
    wgi_place there;
    if (!wgi_find(m, name, &there)) return true;
    wg_raise(WG_EARG, "%s: the name \"%s\" is taken", m->type->name, name);
    return false;
}

static void add_entry(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value,
                      bool buffer)
{
    const char *function = buffer ? "buffer" : "param";
    if (wgi_no_module(m, function)) return;
    if (!name || !*name || !slot) {
        wg_raise(WG_EARG, "%s: a %s needs a name and a slot", m->type->name, function);
        return;
    }
    if (!value) wg_raise(WG_EARG, "%s: %s \"%s\" is NULL", m->type->name, function, name);
    if (!value || !name_is_free(m, name)) return;
    struct wg_module_state *s = m->state;
    if (!wgi_grow((void **)&s->entries, s->n_entries, &s->entries_capacity, sizeof *s->entries))
        return;
    if (!(value = wgi_parameter(value, buffer))) return;
    wgi_entry e = { .name = wgi_text(name), .slot = slot, .buffer = buffer };
    if (!e.name) return;
    wg_set(&e.tensor, value);
    *slot = value;
    s->entries[s->n_entries++] = e;
}

void wg_param(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value)
{
    add_entry(m, name, slot, value, false);
}

void wg_buffer(wg_module *m, const char *name, wg_tensor **slot, wg_tensor *value)
{
    add_entry(m, name, slot, value, true);
}

bool wgi_adoptable(const wg_module *m, const wg_module *child)
{
    if (child->state->parent) {
        wg_raise(WG_EARG, "%s: this %s already belongs to a %s as \"%s\"; wg_tie shares parameters",
                 m->type->name, child->type->name, child->state->parent->type->name,
                 child->state->name);
        return false;
    }
    for (const wg_module *up = m; up; up = up->state->parent)
        if (up == child) {
            wg_raise(WG_EARG, "%s: a module cannot stand below itself", m->type->name);
            return false;
        }
    return true;
}

/* A transparent child's own names appear among m's. */
static bool names_are_free(wg_module *m, const wg_module *child)
{
    const struct wg_module_state *s = child->state;
    for (int64_t i = 0; i < s->n_entries; i++)
        if (!name_is_free(m, s->entries[i].name)) return false;
    for (int64_t i = 0; i < s->n_children; i++)
        if (!name_is_free(m, s->children[i].name)) return false;
    return true;
}

static bool add_child(wg_module *m, const char *name, wg_module **slot, wg_module *child)
{
    struct wg_module_state *s = m->state;
    if (!name || !slot) {
        wg_raise(WG_EARG, "%s: a child needs a name and a slot", m->type->name);
        return false;
    }
    if (!name_is_free(m, name) || (!*name && !names_are_free(m, child))) return false;
    if (!wgi_grow((void **)&s->children, s->n_children, &s->children_capacity, sizeof *s->children))
        return false;
    char *copy = wgi_text(name);
    if (!copy) return false;
    s->children[s->n_children++] = (wgi_child) { .name = copy, .slot = slot, .module = child };
    child->state->name = copy;
    child->state->parent = m;
    *slot = child;
    return true;
}

void wg_child(wg_module *m, const char *name, wg_module **slot, wg_module *child)
{
    if (!child) { /* a constructor that failed has raised already, and the first error stays */
        wg_raise(WG_EARG, "%s: child \"%s\" is NULL", m ? m->type->name : "child",
                 name ? name : "");
        return;
    }
    if (!wgi_no_module(m, "child")) {
        if (!wgi_adoptable(m, child)) return; /* its owner frees it */
        if (add_child(m, name, slot, child)) return;
    }
    if (!child->state->parent) release(child);
}

void wg_tie(wg_module *m, const char *path, const char *to)
{
    if (wgi_no_module(m, "tie")) return;
    wgi_entry *from = wgi_find_entry(m, path, "tie"),
              *other = from ? wgi_find_entry(m, to, "tie") : NULL;
    if (!other || from->tensor == other->tensor) return;
    wg_dims a = wg_shape(from->tensor), b = wg_shape(other->tensor);
    bool same = a.n == b.n && memcmp(a.d, b.d, (size_t)a.n * sizeof a.d[0]) == 0;
    if (from->buffer != other->buffer || !same) {
        wg_raise(WG_ESHAPE, "tie: %s and %s differ in shape or kind", path, to);
        return;
    }
    wg_set(&from->tensor, other->tensor);
    *from->slot = other->tensor;
}
