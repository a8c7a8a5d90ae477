/* Finding modules and tensors by path; swapping a child; types; globs. */
#include "nn/state.h"

#include <stdio.h>
#include <string.h>

#include "wengert/error.h"

/* What follows name in path: "" at its end, the rest after a dot; NULL if path does not begin with
 * name. */
static const char *after(const char *path, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(path, name, n) != 0) return NULL;
    return path[n] == '.' ? path + n + 1 : path[n] ? NULL : path + n;
}

bool wgi_find(wg_module *m, const char *path, wgi_place *out)
{
    struct wg_module_state *s = m->state;
    *out = (wgi_place) { .owner = m };
    for (int64_t i = 0; i < s->n_entries; i++)
        if (strcmp(s->entries[i].name, path) == 0) {
            out->entry = &s->entries[i];
            return true;
        }
    for (int64_t i = 0; i < s->n_children; i++) {
        wgi_child *c = &s->children[i];
        const bool transparent = !*c->name;
        const char *rest = transparent && *path ? path : after(path, c->name);
        if (!rest) continue;
        if (!*rest) {
            *out = (wgi_place) { .owner = m, .child = c };
            return true;
        }
        if (c->module && wgi_find(c->module, rest, out)) return true;
    }
    return false;
}

/* "a, b, c, ..." of what stands right below m. */
static void names_below(const wg_module *m, char *out, size_t size)
{
    const struct wg_module_state *s = m->state;
    size_t at = 0;
    out[0] = 0;
    for (int64_t i = 0; i < s->n_children + s->n_entries; i++) {
        const char *name =
            i < s->n_children ? s->children[i].name : s->entries[i - s->n_children].name;
        if (!*name) continue;
        if (at + strlen(name) + 8 > size) {
            snprintf(out + at, size - at, ", ...");
            return;
        }
        at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", name);
    }
}

/* Says how far the path leads, and what there is. */
static void raise_not_found(wg_module *m, const char *path, const char *function)
{
    char part[256], names[256];
    snprintf(part, sizeof part, "%s", path);
    wg_module *deepest = m;
    for (char *dot = strrchr(part, '.'); dot; dot = strrchr(part, '.')) {
        wgi_place there;
        *dot = 0;
        if (wgi_find(m, part, &there) && there.child && there.child->module) {
            deepest = there.child->module;
            break;
        }
    }
    names_below(deepest, names, sizeof names);
    wg_raise(WG_ENOTFOUND, "%s: nothing at \"%s\"; %s%s%s has: %s", function, path,
             deepest->type->name, deepest == m ? "" : " ", deepest == m ? "" : part,
             *names ? names : "nothing");
}

wgi_entry *wgi_find_entry(wg_module *m, const char *path, const char *function)
{
    wgi_place there;
    if (!path)
        wg_raise(WG_EARG, "%s: the path is NULL", function);
    else if (wgi_find(m, path, &there) && there.entry)
        return there.entry;
    else
        raise_not_found(m, path, function);
    return NULL;
}

static wgi_child *find_child(wg_module *m, const char *path, const char *function,
                             wg_module **owner)
{
    wgi_place there;
    if (!path)
        wg_raise(WG_EARG, "%s: the path is NULL", function);
    else if (wgi_find(m, path, &there) && there.child) {
        if (owner) *owner = there.owner;
        return there.child;
    } else
        raise_not_found(m, path, function);
    return NULL;
}

wg_module *(wg_module_at)(wg_module *m, const char *path)
{
    if (wgi_no_module(m, "module_at")) return NULL;
    if (path && !*path) return m;
    wgi_child *c = find_child(m, path, "module_at", NULL);
    if (c && !c->module) wg_raise(WG_ENOTFOUND, "module_at: the place \"%s\" is empty", path);
    return c ? c->module : NULL;
}

wg_tensor *(wg_module_tensor)(wg_module *m, const char *path)
{
    if (wgi_no_module(m, "module_tensor")) return NULL;
    wgi_entry *e = wgi_find_entry(m, path, "module_tensor");
    return e ? e->tensor : NULL;
}

wg_module *wg_module_swap(wg_module *m, const char *path, wg_module *other)
{
    wg_module *owner = NULL;
    wgi_child *c =
        wgi_no_module(m, "module_swap") ? NULL : find_child(m, path, "module_swap", &owner);
    if (!c) {
        if (other && !other->state->parent) wg_module_free(other);
        return NULL;
    }
    if (other && !wgi_adoptable(owner, other)) return NULL;
    wg_module *old = c->module;
    if (old) {
        old->state->parent = NULL;
        old->state->name = "";
    }
    if (other) {
        other->state->parent = owner;
        other->state->name = c->name;
    }
    c->module = other;
    *c->slot = other;
    return old;
}

bool wg_module_is(const wg_module *m, const wg_module_type *type)
{
    return m && type && m->type == type;
}

void *wg_module_as(wg_module *m, const wg_module_type *type)
{
    if (wgi_no_module(m, "module_as")) return NULL;
    if (wg_module_is(m, type)) return m;
    wg_raise(WG_EARG, "module_as: this is a %s and not a %s", m->type->name,
             type ? type->name : "(NULL)");
    return NULL;
}

bool wg_match(const char *pattern, const char *name)
{
    if (!pattern || !name) return false;
    const char *star = NULL, *resume = NULL; /* the last star, and where its run ends so far */
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++resume;
        } else
            return false;
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}
