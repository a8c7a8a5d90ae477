/* Walking over modules: lists of parameters, buffers and modules in scope memory. */
#include "nn/state.h"

#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"

size_t wgi_segments_text(const wgi_segments *path, char *out)
{
    size_t n = 0;
    if (path && path->up) n = wgi_segments_text(path->up, out);
    if (path && *path->name) {
        if (n && out) out[n] = '.';
        if (n) n++;
        size_t more = strlen(path->name);
        if (out) memcpy(out + n, path->name, more);
        n += more;
    }
    if (out) out[n] = 0;
    return n;
}

static void walk(wg_module *m, const wgi_segments *path,
                 void (*visit)(void *, const wgi_segments *, wg_module *), void *self)
{
    visit(self, path, m);
    for (int64_t i = 0; i < m->state->n_children; i++) {
        const wgi_child *c = &m->state->children[i];
        if (c->module) walk(c->module, &(wgi_segments) { c->name, path }, visit, self);
    }
}

void wgi_walk(wg_module *m, void (*visit)(void *self, const wgi_segments *path, wg_module *m),
              void *self)
{
    walk(m, NULL, visit, self);
}

/* ---- lists: one walk counts names and characters, the next fills ----------------------------- */

typedef struct {
    bool params, buffers, modules; /* which ones */
    int64_t n;
    size_t characters;
    char *text; /* NULL while counting */
    wg_param_ref *tensors;
    wg_named_module *named;
    wg_tensor **seen; /* (mask + 1) hash set of tensors, so that tied ones count once */
    size_t mask;
} listing;

static const char *add_name(listing *l, const wgi_segments *path)
{
    size_t n = wgi_segments_text(path, l->text);
    const char *name = l->text;
    if (l->text) l->text += n + 1;
    l->characters += n + 1;
    return name;
}

/* Adds t to the set; false if it was in it. */
static bool is_new(listing *l, wg_tensor *t)
{
    size_t i = (size_t)((uintptr_t)t / 16 * 0x9E3779B97F4A7C15u >> 20) & l->mask;
    for (; l->seen[i]; i = (i + 1) & l->mask)
        if (l->seen[i] == t) return false;
    l->seen[i] = t;
    return true;
}

static void visit(void *self, const wgi_segments *path, wg_module *m)
{
    listing *l = self;
    if (l->modules) {
        const char *name = add_name(l, path);
        if (l->named) l->named[l->n] = (wg_named_module) { name, m };
        l->n++;
        return;
    }
    for (int64_t i = 0; i < m->state->n_entries; i++) {
        const wgi_entry *e = &m->state->entries[i];
        if (!(e->buffer ? l->buffers : l->params) || (l->tensors && !is_new(l, e->tensor)))
            continue;
        const char *name = add_name(l, &(wgi_segments) { e->name, path });
        if (l->tensors) l->tensors[l->n] = (wg_param_ref) { name, e->tensor, m };
        l->n++;
    }
}

/* Both walks; false on failure. */
static bool list(wg_module *m, const char *function, listing *l)
{
    if (wgi_no_module(m, function)) return false;
    wgi_walk(m, visit, l);
    if (l->n == 0) return false;
    size_t each = l->modules ? sizeof *l->named : sizeof *l->tensors;
    void *memory = wg_scope_alloc((size_t)l->n * each),
         *text = memory ? wg_scope_alloc(l->characters) : NULL;
    if (!text) return false;
    if (l->modules)
        l->named = memory;
    else {
        l->tensors = memory;
        for (l->mask = 15; l->mask < 2 * (size_t)l->n; l->mask = 2 * l->mask + 1) {}
        l->seen = calloc(l->mask + 1, sizeof *l->seen);
        if (!l->seen) {
            wg_raise(WG_EMEM, "%s: out of memory", function);
            return false;
        }
    }
    l->text = text;
    l->n = 0;
    wgi_walk(m, visit, l);
    free(l->seen);
    return true;
}

static wg_params list_tensors(wg_module *m, const char *function, bool params, bool buffers)
{
    listing l = { .params = params, .buffers = buffers };
    if (!list(m, function, &l)) return (wg_params) { 0, NULL };
    return (wg_params) { l.n, l.tensors };
}

wg_params wg_module_params(wg_module *m)
{
    return list_tensors(m, "module_params", true, false);
}
wg_params wg_module_buffers(wg_module *m)
{
    return list_tensors(m, "module_buffers", false, true);
}
wg_params wg_module_state(wg_module *m)
{
    return list_tensors(m, "module_state", true, true);
}

wg_modules wg_module_all(wg_module *m)
{
    listing l = { .modules = true };
    if (!list(m, "module_all", &l)) return (wg_modules) { 0, NULL };
    return (wg_modules) { l.n, l.named };
}
