/* State dicts as safetensors: everything is checked before anything changes. */
#include "nn/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"
#include "wengert/io.h"
#include "wengert/ops.h"
#include "wengert/tensor.h"

wg_status wg_module_save(wg_module *m, const char *path)
{
    if (wgi_no_module(m, "module_save") || wg_error_code() != WG_OK) return wg_error_code();
    wg_scope s = wg_scope_push();
    wg_params all = wg_module_state(m);
    (void)!wg_safetensors_write(path, all, NULL, 0);
    return wg_scope_pop(s);
}

/* One load. from[i] goes into state.p[i]; NULL: the file has none for it. */
typedef struct {
    wg_module *module;
    const char *path;
    wg_safetensors *file;
    wg_params state;
    wg_tensor **from;
} load;

/* Names for a message: the first ones, and how many more. */
typedef struct {
    char text[240];
    int64_t n;
} names;

static void note(names *a, const char *name)
{
    size_t at = strlen(a->text);
    if (a->n++ < 4)
        snprintf(a->text + at, sizeof a->text - at, "%s%.50s", at ? ", " : "", name);
    else if (a->n == 5)
        snprintf(a->text + at, sizeof a->text - at, ", ...");
}

static wg_status fits(const load *l, const char *name, const wg_tensor *t, const wg_tensor *from)
{
    wg_dims want = wg_shape(t), is = wg_shape(from);
    if (want.n != is.n || memcmp(want.d, is.d, (size_t)want.n * sizeof want.d[0]) != 0) {
        char a[200] = "", b[200] = "";
        for (int i = 0; i < want.n; i++)
            snprintf(a + strlen(a), sizeof a - strlen(a), "%s%" PRId64, i ? ", " : "", want.d[i]);
        for (int i = 0; i < is.n; i++)
            snprintf(b + strlen(b), sizeof b - strlen(b), "%s%" PRId64, i ? ", " : "", is.d[i]);
        return wg_raise(WG_ESHAPE, "module_load: %s is (%s), in %s it is (%s)", name, a, l->path,
                        b);
    }
    if (wg_dtype_is_float(wg_dtype_of(t)) != wg_dtype_is_float(wg_dtype_of(from)))
        return wg_raise(WG_EDTYPE, "module_load: %s is %s, in %s it is %s", name,
                        wg_dtype_name(wg_dtype_of(t)), l->path, wg_dtype_name(wg_dtype_of(from)));
    return WG_OK;
}

/* The file's tensors by the module's first names; a tied tensor also by its other names. */
static wg_status match(load *l, bool strict)
{
    names unknown = { "", 0 }, missing = { "", 0 };
    for (int64_t i = 0; i < l->state.n; i++)
        l->from[i] = wg_safetensors_get(l->file, l->state.p[i].name);
    for (int64_t j = 0; j < wg_safetensors_count(l->file); j++) {
        const char *name = wg_safetensors_name(l->file, j);
        wgi_place there;
        if (!wgi_find(l->module, name, &there) || !there.entry) {
            note(&unknown, name);
            continue;
        }
        for (int64_t i = 0; i < l->state.n; i++)
            if (l->state.p[i].tensor == there.entry->tensor && !l->from[i])
                l->from[i] = wg_safetensors_get(l->file, name);
    }
    for (int64_t i = 0; i < l->state.n; i++)
        if (!l->from[i])
            note(&missing, l->state.p[i].name);
        else if (fits(l, l->state.p[i].name, l->state.p[i].tensor, l->from[i]) != WG_OK)
            break;
    if (wg_error_code() == WG_OK && strict && (missing.n || unknown.n))
        wg_raise(WG_ENOTFOUND,
                 "module_load: %s does not match: %" PRId64 " missing%s%s%s, %" PRId64
                 " unknown%s%s%s",
                 l->path, missing.n, missing.n ? " (" : "", missing.text, missing.n ? ")" : "",
                 unknown.n, unknown.n ? " (" : "", unknown.text, unknown.n ? ")" : "");
    return wg_error_code();
}

static bool is_meta(const wg_tensor *t)
{
    return wg_device_of(t).kind == WG_META;
}

/* A module on `meta` gets its data here, on the current device; what is mapped gets memory of its own. */
static wg_tensor *materialise(wg_tensor *t, wg_tensor *from)
{
    wg_device d = is_meta(t) ? wg_current_device() : wg_device_of(t);
    if (d.kind == WG_META) d = wg_cpu();
    wg_scope s = wg_scope_push();
    wg_use_device(d);
    wg_tensor *made = wg_empty(wg_shape(t), wg_dtype_of(t));
    (void)!wg_assign(made, wg_to(from, d));
    return wg_scope_return(s, made);
}

static bool is_replaced(const wg_tensor *t)
{
    return is_meta(t) || wgi_parameter_read_only(t);
}

/* What may fail for want of memory comes first. */
static void copy(const load *l)
{
    wg_list made = wg_list_new(l->state.n);
    for (int64_t i = 0; i < made.n; i++) {
        wg_tensor *t = l->state.p[i].tensor;
        if (!l->from[i]) continue;
        made.t[i] =
            is_replaced(t) ? materialise(t, l->from[i]) : wg_to(l->from[i], wg_device_of(t));
        if (is_replaced(t) && wgi_parameter_free_of_graph(t, l->state.p[i].name) != WG_OK) return;
    }
    if (wg_error_code() != WG_OK) return;
    for (int64_t i = 0; i < made.n; i++) {
        if (!made.t[i]) continue;
        if (is_replaced(l->state.p[i].tensor))
            wgi_parameter_adopt(l->state.p[i].tensor, made.t[i]);
        else if (wg_assign(l->state.p[i].tensor, made.t[i]) != WG_OK)
            return;
    }
}

wg_status wg_module_load(wg_module *m, const char *path, bool strict)
{
    if (wgi_no_module(m, "module_load") || wg_error_code() != WG_OK) return wg_error_code();
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    load l = { .module = m, .path = path, .file = wg_safetensors_open(path) };
    if (l.file) {
        l.state = wg_module_state(m);
        l.from = wg_list_new(l.state.n).t;
        if (wg_error_code() == WG_OK && match(&l, strict) == WG_OK) copy(&l);
        wg_safetensors_close(l.file);
    }
    return wg_scope_pop(s);
}
