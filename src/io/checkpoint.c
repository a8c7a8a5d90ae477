/* A checkpoint is one safetensors file, FOLDER/checkpoint.safetensors, replaced atomically.
 * Everything in it is a tensor, so that every number comes back to the last bit:
 *   NAME.PATH               a module's parameters and buffers
 *   NAME.STATE              an optimizer's state, and NAME.steps () i64
 *   NAME.scale, NAME.good   a loss scale: () f32, () i64
 *   NAME                    an int () i64, a double () f64, a loader's position (4) i64
 *   random                  the thread's generator: seed and offset (2) i64 */
#include "wengert/io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/loader.h"
#include "io/mapping.h"
#include "io/replace.h"
#include "tensor/internal.h"
#include "wengert/ops/elementwise.h"

static const char FILE_NAME[] = "checkpoint.safetensors", FORMAT[] = "wengert checkpoint 1",
                  RANDOM[] = "random";

typedef enum { MODULE, OPTIM, SCALER, INT, DOUBLE, LOADER } binding_kind;
typedef struct {
    binding_kind kind;
    char *name;
    void *what;
} binding;

struct wg_checkpoint {
    int64_t n;
    binding *b; /* (n) */
};

/* ---- binding
 * ------------------------------------------------------------------------------------------------------
 */
wg_checkpoint *wg_checkpoint_new(void)
{
    wg_checkpoint *c = calloc(1, sizeof *c);
    if (!c) wg_raise(WG_EMEM, "checkpoint_new: out of memory");
    return c;
}

void wg_checkpoint_free(wg_checkpoint *c)
{
    if (!c) return;
    for (int64_t i = 0; i < c->n; i++) free(c->b[i].name);
    free(c->b);
    free(c);
}

/* "a" and "a.b" would give tensors whose names do not tell them apart. */
static bool clash(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b), shorter = n < m ? n : m;
    if (strncmp(a, b, shorter)) return false;
    return n == m || (n < m ? b[n] : a[m]) == '.';
}

static void bind(wg_checkpoint *c, binding_kind kind, const char *name, void *what)
{
    if (!c || !what || !name || !*name) {
        wg_raise(WG_EARG, "checkpoint: no checkpoint, no name or nothing to bind given");
        return;
    }
    bool taken = clash(name, RANDOM);
    for (int64_t i = 0; i < c->n; i++) taken |= clash(name, c->b[i].name);
    if (taken) {
        wg_raise(WG_EARG, "checkpoint: the name \"%s\" is taken, or within one that is", name);
        return;
    }
    binding *b = realloc(c->b, ((size_t)c->n + 1) * sizeof *b);
    char *copy = strdup(name);
    if (b) c->b = b;
    if (!b || !copy) {
        free(copy);
        wg_raise(WG_EMEM, "checkpoint: out of memory");
        return;
    }
    c->b[c->n++] = (binding) { kind, copy, what };
}

void wg_checkpoint_module(wg_checkpoint *c, const char *name, wg_module *m)
{
    bind(c, MODULE, name, m);
}
void wg_checkpoint_optim(wg_checkpoint *c, const char *name, wg_optim *o)
{
    bind(c, OPTIM, name, o);
}
void wg_checkpoint_scaler(wg_checkpoint *c, const char *name, wg_scaler *s)
{
    bind(c, SCALER, name, s);
}
void wg_checkpoint_int(wg_checkpoint *c, const char *name, int64_t *v)
{
    bind(c, INT, name, v);
}
void wg_checkpoint_double(wg_checkpoint *c, const char *name, double *v)
{
    bind(c, DOUBLE, name, v);
}
void wg_checkpoint_loader(wg_checkpoint *c, const char *name, wg_loader *l)
{
    bind(c, LOADER, name, l);
}

/* ---- strings that live as long as the innermost scope ---------------------------------------- */
static const char *joined(const char *a, char between, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    char *s = wg_scope_alloc(n + m + 2);
    if (!s) return NULL; /* raised */
    memcpy(s, a, n);
    s[n] = between;
    memcpy(s + n + 1, b, m + 1);
    return s;
}

/* ---- saving
 * -------------------------------------------------------------------------------------------------------
 */
typedef struct {
    wg_param_ref *p; /* (capacity) malloc'd */
    int64_t n, capacity;
} items;

static void add(items *l, const char *name, wg_tensor *t)
{
    if (l->n == l->capacity) {
        const int64_t more = l->capacity ? 2 * l->capacity : 64;
        wg_param_ref *p = realloc(l->p, (size_t)more * sizeof *p);
        if (!p) {
            wg_raise(WG_EMEM, "checkpoint_save: out of memory");
            return;
        }
        l->p = p;
        l->capacity = more;
    }
    l->p[l->n++] = (wg_param_ref) { .name = name, .tensor = t };
}

static void add_all(items *l, const char *prefix, wg_params p)
{
    for (int64_t i = 0; i < p.n; i++) add(l, joined(prefix, '.', p.p[i].name), p.p[i].tensor);
}

static void add_binding(items *l, const binding *b)
{
    int64_t at[4];
    switch (b->kind) {
    case MODULE: add_all(l, b->name, wg_module_state(b->what)); break;
    case OPTIM:
        add_all(l, b->name, wg_optim_state(b->what));
        at[0] = wg_optim_steps(b->what);
        add(l, joined(b->name, '.', "steps"), wg_from(at, sizeof at[0], WG_I64, WG_DIMS()));
        break;
    case SCALER: add_all(l, b->name, wg_scaler_state(b->what)); break;
    case INT: add(l, b->name, wg_from(b->what, sizeof(int64_t), WG_I64, WG_DIMS())); break;
    case DOUBLE: add(l, b->name, wg_from(b->what, sizeof(double), WG_F64, WG_DIMS())); break;
    case LOADER:
        wg_loader_position(b->what, at);
        add(l, b->name, wg_from(at, sizeof at, WG_I64, WG_DIMS(4)));
        break;
    }
}

wg_status wg_checkpoint_save(wg_checkpoint *c, const char *folder)
{
    if (!c || !folder) wg_raise(WG_EARG, "checkpoint_save: no checkpoint or no folder given");
    if (wg_error_code()) return wg_error_code();
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_use_device(wg_cpu());
    items l = { 0 };
    for (int64_t i = 0; i < c->n; i++) add_binding(&l, &c->b[i]);
    const wg_generator g = wg_generator_get();
    const uint64_t random[2] = { g.seed, g.offset };
    add(&l, RANDOM, wg_from(random, sizeof random, WG_I64, WG_DIMS(2)));
    const char *path = joined(folder, '/', FILE_NAME);
    wg_status st = wg_error_code();
    if (!st) st = wgi_make_folder(folder);
    if (!st)
        st = wg_safetensors_write(path, (wg_params) { l.n, l.p }, &(wg_pair) { "format", FORMAT },
                                  1);
    free(l.p);
    wg_scope_return(s, NULL);
    return st;
}

/* ---- loading: everything is checked and read, then everything is changed --------------------- */
typedef struct {
    const wg_checkpoint *c;
    const char *path;
    wg_safetensors *f;
    int64_t used;       /* tensors of the file that something claims */
    int64_t (*ints)[4]; /* (n) a binding's numbers: int, steps, position */
    double *doubles;    /* (n) */
    wg_params *states;  /* (n) an optimizer's or a scaler's new state */
    wg_generator random;
} loading;

/* The tensor called name, which has to have this dtype and shape; NULL when it raised. */
static wg_tensor *claim(loading *l, const char *name, wg_dtype t, wg_dims shape)
{
    if (!name) return NULL;
    wg_tensor *x = wg_safetensors_get(l->f, name);
    if (!x) {
        /* Not WG_ENOTFOUND: that says there is no checkpoint, and callers then start anew. */
        wg_raise(WG_EFORMAT, "%s: the checkpoint has no tensor \"%s\"", l->path, name);
        return NULL;
    }
    if (wgi_bad(x)) return NULL;
    const wg_dims has = wgi_shape(x);
    if (x->dtype != t || !wgi_dims_equal(&has, &shape)) {
        char here[128], there[128];
        wgi_shape_text(here, sizeof here, &shape);
        wgi_shape_text(there, sizeof there, &has);
        wg_raise(x->dtype != t ? WG_EDTYPE : WG_ESHAPE,
                 "%s: \"%s\" is %s %s in the checkpoint, %s %s here", l->path, name, there,
                 wg_dtype_name((wg_dtype)x->dtype), here, wg_dtype_name(t));
        return NULL;
    }
    l->used++;
    return x;
}

static wg_status claim_ints(loading *l, const char *name, wg_dims shape, int64_t *out)
{
    wg_tensor *x = claim(l, name, WG_I64, shape);
    return x ? wg_read(x, out, (size_t)wg_numel(x) * sizeof *out, WG_I64) : wg_error_code();
}

static wg_status check_module(loading *l, const binding *b)
{
    const wg_params p = wg_module_state(b->what);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *t = p.p[i].tensor;
        if (!claim(l, joined(b->name, '.', p.p[i].name), (wg_dtype)t->dtype, wgi_shape(t))) break;
        if (t->storage && (t->storage->flags & WGI_STORAGE_READONLY || wgi_overlaps_itself(t)))
            return wg_raise(WG_EARG, "%s: \"%s\" of the module cannot be written", l->path,
                            p.p[i].name);
    }
    return wg_error_code();
}

/* Everything called NAME.*, but for NAME.steps, is the optimizer's; the optimizer itself checks
 * names and shapes. */
static wg_status check_optim(loading *l, const binding *b, int64_t i)
{
    wg_status st = claim_ints(l, joined(b->name, '.', "steps"), WG_DIMS(), l->ints[i]);
    const int64_t n = wg_safetensors_count(l->f);
    wg_param_ref *p = wg_scope_alloc((size_t)(n + 1) * sizeof *p);
    const size_t prefix = strlen(b->name);
    int64_t k = 0;
    for (int64_t j = 0; j < n && p && !st; j++) {
        const char *name = wg_safetensors_name(l->f, j);
        if (strncmp(name, b->name, prefix) || name[prefix] != '.' ||
            !strcmp(name + prefix, ".steps"))
            continue;
        p[k++] =
            (wg_param_ref) { .name = name + prefix + 1, .tensor = wg_safetensors_get(l->f, name) };
        st = wg_error_code();
    }
    l->used += k;
    l->states[i] = (wg_params) { k, p };
    return p ? st : wg_error_code();
}

static wg_status check_scaler(loading *l, const binding *b, int64_t i)
{
    wg_param_ref *p = wg_scope_alloc(2 * sizeof *p);
    if (!p) return wg_error_code();
    p[0] = (wg_param_ref) { .name = "scale",
                            .tensor = claim(l, joined(b->name, '.', "scale"), WG_F32, WG_DIMS()) };
    p[1] = (wg_param_ref) { .name = "good",
                            .tensor = claim(l, joined(b->name, '.', "good"), WG_I64, WG_DIMS()) };
    l->states[i] = (wg_params) { 2, p };
    if (wg_error_code()) return wg_error_code();
    const double scale = wg_item(p[0].tensor);
    if (!(scale >= 0 && scale < (double)INFINITY) || wg_item_int(p[1].tensor) < 0)
        return wg_raise(WG_EFORMAT, "%s: \"%s\" is no loss scale: %g", l->path, b->name, scale);
    return wg_error_code();
}

static wg_status check_binding(loading *l, int64_t i)
{
    const binding *b = &l->c->b[i];
    wg_status st = WG_OK;
    wg_tensor *x;
    switch (b->kind) {
    case MODULE: return check_module(l, b);
    case OPTIM: return check_optim(l, b, i);
    case SCALER: return check_scaler(l, b, i);
    case INT: return claim_ints(l, b->name, WG_DIMS(), l->ints[i]);
    case LOADER:
        st = claim_ints(l, b->name, WG_DIMS(4), l->ints[i]);
        return st ? st : wgi_loader_check(b->what, l->ints[i]);
    case DOUBLE:
        x = claim(l, b->name, WG_F64, WG_DIMS());
        return x ? wg_read(x, &l->doubles[i], sizeof(double), WG_F64) : wg_error_code();
    }
    return st;
}

static wg_status check_all(loading *l)
{
    const char *format = wg_safetensors_metadata(l->f, "format");
    if (!format || strcmp(format, FORMAT))
        return wg_raise(WG_EFORMAT, "%s: no checkpoint of this library", l->path);
    for (int64_t i = 0; i < l->c->n; i++) {
        const wg_status st = check_binding(l, i);
        if (st) return st;
    }
    int64_t random[2] = { 0 };
    const wg_status st = claim_ints(l, RANDOM, WG_DIMS(2), random);
    l->random = (wg_generator) { (uint64_t)random[0], (uint64_t)random[1] };
    if (!st && l->used != wg_safetensors_count(l->f))
        return wg_raise(WG_EFORMAT,
                        "%s: %lld tensors of the checkpoint belong to nothing that is bound",
                        l->path, (long long)(wg_safetensors_count(l->f) - l->used));
    return st;
}

static wg_status put_module(const loading *l, const binding *b)
{
    const wg_params p = wg_module_state(b->what);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *t = p.p[i].tensor,
                  *x = wg_safetensors_get(l->f, joined(b->name, '.', p.p[i].name));
        const wg_status st = wg_assign(t, t->device.kind == WG_CPU ? x : wg_to(x, t->device));
        if (st) return st;
    }
    return WG_OK;
}

/* The optimizer's state before, held by the innermost scope: loading replaces tensors, it does not write into them. */
static wg_params held_state(wg_optim *o)
{
    const wg_params p = wg_optim_state(o);
    wgi_context *c = wgi_ctx();
    for (int64_t i = 0; i < p.n; i++) wgi_own(c, wgi_ref(p.p[i].tensor));
    return p;
}

/* Optimizer `failed` refused: those before it get their old state back, and the error its code. */
static wg_status take_back(const loading *l, int64_t failed, const wg_params *before,
                           const int64_t *steps)
{
    char text[1024];
    /* Not WG_ENOTFOUND, as in claim. */
    const wg_status code = wg_error_code() == WG_ENOTFOUND ? WG_EFORMAT : wg_error_code();
    snprintf(text, sizeof text, "%s", wg_error_get()->message);
    wg_error_clear();
    for (int64_t i = 0; i < failed; i++)
        if (l->c->b[i].kind == OPTIM) (void)!wg_optim_load(l->c->b[i].what, before[i], steps[i]);
    return wg_raise(code, "%s: %s", l->path, text);
}

static wg_status put_optims(const loading *l)
{
    const int64_t n = l->c->n;
    wg_params *before = wg_scope_alloc((size_t)(n + 1) * sizeof *before);
    int64_t *steps = wg_scope_alloc((size_t)(n + 1) * sizeof *steps);
    for (int64_t i = 0; i < n && before && steps; i++) {
        const binding *b = &l->c->b[i];
        if (b->kind != OPTIM) continue;
        before[i] = held_state(b->what);
        steps[i] = wg_optim_steps(b->what);
        if (wg_optim_load(b->what, l->states[i], l->ints[i][0]))
            return take_back(l, i, before, steps);
    }
    return wg_error_code();
}

/* Optimizers first: they alone can still refuse. */
static wg_status put_all(const loading *l)
{
    wg_status st = put_optims(l);
    for (int64_t i = 0; i < l->c->n && !st; i++) {
        const binding *b = &l->c->b[i];
        if (b->kind == MODULE)
            st = put_module(l, b);
        else if (b->kind == SCALER)
            st = wg_scaler_load(b->what, l->states[i]);
        else if (b->kind == LOADER)
            st = wg_loader_seek(b->what, l->ints[i]);
        else if (b->kind == INT)
            *(int64_t *)b->what = l->ints[i][0];
        else if (b->kind == DOUBLE)
            *(double *)b->what = l->doubles[i];
    }
    if (!st) wg_generator_set(l->random);
    return st;
}

static wg_status load_file(const wg_checkpoint *c, const char *folder)
{
    const size_t room = (size_t)c->n + 1;
    loading l = { .c = c, .path = joined(folder, '/', FILE_NAME) };
    l.ints = wg_scope_alloc(room * sizeof *l.ints);
    l.doubles = wg_scope_alloc(room * sizeof *l.doubles);
    l.states = wg_scope_alloc(room * sizeof *l.states);
    if (wg_error_code()) return wg_error_code();
    wgi_replace_clean(l.path);
    l.f = wg_safetensors_open(l.path);
    if (!l.f) return wg_error_code();
    wg_status st = check_all(&l);
    if (!st) st = put_all(&l);
    wg_safetensors_close(l.f);
    return st;
}

wg_status wg_checkpoint_load(wg_checkpoint *c, const char *folder)
{
    if (!c || !folder) wg_raise(WG_EARG, "checkpoint_load: no checkpoint or no folder given");
    if (wg_error_code()) return wg_error_code();
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_use_device(wg_cpu());
    const wg_status st = load_file(c, folder);
    wg_scope_return(s, NULL);
    return st;
}
