/* From a source's tensors to a transformer: all is matched before anything is made. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* A slot's tensor, borrowed from the scope, and where it goes. */
typedef struct {
    wg_tensor *tensor;
    char *path, *name; /* owned; name: in the file */
} piece;

typedef struct {
    wgi_source *source;
    const wg_model_args *args;
    int64_t n, capacity;
    piece *pieces;
} load;

static void dims_text(char *out, size_t size, wg_dims d)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < d.n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%" PRId64, i ? ", " : "", d.d[i]);
}

/* t has the slot's shape in the file's order of axes and holds weights. */
static bool fits(const load *l, const wgi_slot *s, const wg_tensor *t)
{
    const wg_dims is = wg_shape(t);
    const wg_dims want = s->in_out ? WG_DIMS(s->shape.d[1], s->shape.d[0]) : s->shape;
    const wg_dtype d = wg_dtype_of(t);
    char a[120], b[120];
    if (is.n != want.n || memcmp(is.d, want.d, (size_t)is.n * sizeof *is.d) != 0) {
        dims_text(a, sizeof a, is);
        dims_text(b, sizeof b, want);
        wg_raise(WG_ESHAPE, "%s: tensor \"%s\" is (%s), the configuration says (%s)",
                 l->source->path, *s->name ? s->name : s->path, a, b);
        return false;
    }
    if (wg_dtype_is_float(d) || wg_dtype_block(d) > 1) return true;
    wg_raise(WG_EDTYPE, "%s: tensor \"%s\" is %s, which is no dtype of weights", l->source->path,
             s->name, wg_dtype_name(d));
    return false;
}

static bool add(load *l, const wgi_slot *s, wg_tensor *t)
{
    if (l->n == l->capacity) {
        const int64_t more = 2 * l->n + 64;
        piece *p = realloc(l->pieces, (size_t)more * sizeof *p);
        if (!p) return wg_raise(WG_EMEM, "%s: out of memory", l->source->path) == WG_OK;
        l->pieces = p;
        l->capacity = more;
    }
    l->pieces[l->n] = (piece) { t, strdup(s->path), strdup(s->name) };
    piece *p = &l->pieces[l->n++];
    if (p->path && p->name) return true;
    return wg_raise(WG_EMEM, "%s: out of memory", l->source->path) == WG_OK;
}

/* Every tensor of the model, as views of the file. A configuration of a billion layers ends at the
 * first that is missing. */
static bool find_all(load *l)
{
    wgi_source *src = l->source;
    wgi_slot s;
    for (bool first = true; wgi_slot_next(&s, first, &src->config, src->names); first = false) {
        wg_tensor *t = src->get(src, &s);
        if (wg_error_code()) return false;
        if (!t) {
            wg_raise(WG_ENOTFOUND, "%s: it lacks the tensor \"%s\", which its configuration needs",
                     src->path, *s.name ? s.name : s.path);
            return false;
        }
        if (!fits(l, &s, t) || !add(l, &s, s.in_out ? wg_transpose(t, 0, 1) : t)) return false;
    }
    return wg_error_code() == WG_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const piece *)a)->name, ((const piece *)b)->name);
}

/* Every tensor of the file was asked for. */
static bool all_used(load *l)
{
    wgi_source *src = l->source;
    const char *name;
    if (!src->name) return true;
    qsort(l->pieces, (size_t)l->n, sizeof *l->pieces, by_name);
    for (int64_t i = 0; (name = src->name(src, i)); i++) {
        const piece key = { .name = (char *)(uintptr_t)name };
        if ((src->ignored && src->ignored(src, name)) ||
            bsearch(&key, l->pieces, (size_t)l->n, sizeof key, by_name))
            continue;
        wg_raise(WG_EFORMAT, "%s: its configuration has no place for the tensor \"%.200s\"",
                 src->path, name);
        return false;
    }
    return true;
}

/* What the module gets: t itself, mapped, where dtype and layout are right. Vectors are f32: they
 * are few, and norms and biases want it. */
static wg_tensor *prepared(const load *l, wg_tensor *t)
{
    const wg_dtype is = wg_dtype_of(t), asked = l->args->dtype;
    const bool wide = asked == WG_F64, vector = wg_ndim(t) == 1;
    wg_dtype want = is;
    if (vector)
        want = wide ? WG_F64 : WG_F32;
    else if (asked)
        want = asked;
    else if (l->args->trainable)
        want = WG_F32;
    if (want != is) return wg_contiguous(wg_cast(t, want));
    if (!l->args->trainable) return wg_contiguous(t);
    wg_tensor *copy = wg_empty(wg_shape(t), want);
    return wg_assign(copy, t) == WG_OK ? copy : wg_fail(WG_EMEM, "model_open: copying failed");
}

static wg_module *make(const load *l)
{
    const wg_device device = wg_current_device();
    const wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_use_dtype(l->args->dtype == WG_F64 ? WG_F64 : WG_F32);
    wg_module *m = wg_transformer_new(&l->source->config);
    wg_scope_return(s, NULL);
    for (int64_t i = 0; m && i < l->n && !wg_error_code(); i++) {
        const wg_scope one = wg_scope_push();
        wg_use_grad(false);
        wg_use_device(wg_cpu());
        wg_module_put(m, l->pieces[i].path, wg_to(prepared(l, l->pieces[i].tensor), device));
        wg_scope_return(one, NULL);
    }
    if (m && !wg_error_code()) {
        if (l->source->rope_factors)
            wg_transformer_set_rope_factors(m, wg_to(l->source->rope_factors, device));
        wg_module_freeze(m, !l->args->trainable);
        wg_module_train(m, false);
    }
    if (!wg_error_code()) return m;
    wg_module_free(m);
    return NULL;
}

wg_module *wgi_model_load(wgi_source *src, const wg_model_args *a)
{
    if (wg_error_code() || !wgi_model_config(src->path, &src->config)) return NULL;
    src->config.stream = a->dtype == WG_F64 ? WG_F64 : WG_F32;
    load l = { .source = src, .args = a };
    const wg_scope s = wg_scope_push();
    wg_module *m = find_all(&l) && all_used(&l) ? make(&l) : NULL;
    wg_scope_return(s, NULL);
    for (int64_t i = 0; i < l.n; i++) {
        free(l.pieces[i].path);
        free(l.pieces[i].name);
    }
    free(l.pieces);
    return m;
}
