/* Adapters as PEFT's folder: adapter_config.json beside adapter_model.safetensors (peft/utils/
 * save_and_load.py: the state dict's names without the adapter's own). */
#include <string.h>

#include "io/replace.h"
#include "nn/lora.h"
#include "nn/parts.h"
#include "wengert/error.h"
#include "wengert/io.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

static const char PREFIX[] = "base_model.model.", A[] = ".lora_A.weight", B[] = ".lora_B.weight",
                  CONFIG[] = "/adapter_config.json", TENSORS[] = "/adapter_model.safetensors";

/* a, b and c in scope memory; NULL on failure. */
static const char *joined(const char *a, const char *b, const char *c)
{
    const size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
    char *out = wg_scope_alloc(n);
    if (out) snprintf(out, n, "%s%s%s", a, b, c);
    return out;
}

/* ---- saving ---------------------------------------------------------------------------------- */

/* All of one rank and scale; the first. NULL and an error otherwise. */
static const wgi_lora *common(const wgi_lora_sites *sites)
{
    const wgi_lora_site *first = NULL;
    for (int64_t i = 0; i < sites->n; i++) {
        const wgi_lora_site *s = &sites->s[i];
        if (!s->adapter) continue;
        if (!first) first = s;
        const wgi_lora *x = first->adapter, *y = s->adapter;
        if (x->rank == y->rank && x->alpha == y->alpha && x->rslora == y->rslora) continue;
        wg_raise(WG_EARG,
                 "lora_save: %s has rank %lld and alpha %g, %s has %lld and %g: a file has one",
                 first->path, (long long)x->rank, x->alpha, s->path, (long long)y->rank, y->alpha);
        return NULL;
    }
    if (!first) wg_raise(WG_EARG, "lora_save: the model has no adapters");
    return first ? first->adapter : NULL;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* Short names where every Linear of that name has an adapter, else the whole paths. */
static void list_targets(const wgi_lora_sites *sites, const char *const *names, wgi_lora_file *f)
{
    f->targets = wg_scope_alloc(((size_t)sites->n + 1) * sizeof *f->targets);
    for (int64_t i = 0; f->targets && i < sites->n; i++) {
        if (!sites->s[i].adapter) continue;
        const char *part = last_part(names[i]);
        bool everywhere = true, listed = false;
        for (int64_t j = 0; j < sites->n; j++)
            everywhere &= sites->s[j].adapter || strcmp(last_part(names[j]), part) != 0;
        const char *target = everywhere ? part : names[i];
        for (int64_t j = 0; j < f->n_targets; j++) listed |= strcmp(f->targets[j], target) == 0;
        if (!listed) f->targets[f->n_targets++] = target;
    }
}

/* Hugging Face's names of all sites, in scope memory. */
static const char **published(wg_module *m, const wgi_lora_sites *sites)
{
    const char **names = wg_scope_alloc(((size_t)sites->n + 1) * sizeof *names);
    for (int64_t i = 0; names && i < sites->n; i++)
        names[i] = wgi_lora_published(m, sites->s[i].path);
    return wg_error_code() ? NULL : names;
}

static wg_status write_tensors(wg_module *m, const char *path, const wgi_lora_sites *sites,
                               const char *const *names)
{
    wg_param_ref *p = wg_scope_alloc(((size_t)sites->n + 1) * 2 * sizeof *p);
    int64_t n = 0;
    for (int64_t i = 0; p && i < sites->n; i++) {
        const wgi_lora_site *s = &sites->s[i];
        if (!s->adapter) continue;
        p[n++] = (wg_param_ref) { joined(PREFIX, names[i], A), s->adapter->a, NULL };
        p[n++] = (wg_param_ref) { joined(PREFIX, names[i], B),
                                  wgi_lora_rows(m, s->path, s->adapter->b, false), NULL };
    }
    if (wg_error_code()) return wg_error_code();
    return wg_safetensors_write(path, (wg_params) { n, p }, &(wg_pair) { "format", "pt" }, 1);
}

static void save(wg_module *m, const char *folder)
{
    const wgi_lora_sites sites = wgi_lora_sites_of(m);
    const wgi_lora *one = wg_error_code() ? NULL : common(&sites);
    const char **names = one ? published(m, &sites) : NULL;
    if (!names) return;
    wgi_lora_file f = { .adapter = { .rank = one->rank,
                                     .alpha = one->alpha,
                                     .dropout = one->dropout,
                                     .rslora = one->rslora } };
    f.fan_in_fan_out = wg_module_is(m, &wg_transformer_type) &&
                       wg_transformer_config_of(m)->names == WG_NAMES_NANOGPT;
    list_targets(&sites, names, &f);
    const char *config = joined(folder, CONFIG, ""), *tensors = joined(folder, TENSORS, "");
    if (wg_error_code() == WG_OK && wgi_make_folder(folder) == WG_OK &&
        write_tensors(m, tensors, &sites, names) == WG_OK)
        (void)!wgi_lora_config_write(config, &f);
}

wg_status(wg_lora_save)(wg_module *m, const char *folder)
{
    if (!m || !folder) wg_raise(WG_EARG, "lora_save: the module or the folder is NULL");
    if (wg_error_code()) return wg_error_code();
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    save(m, folder);
    return wg_scope_pop(s);
}

/* ---- loading --------------------------------------------------------------------------------- */

typedef struct {
    wg_module *m;
    const char *path; /* of the tensors */
    wg_safetensors *file;
    wgi_lora_file config;
    wgi_lora_sites sites;
    const char **names;
    wg_tensor **a, **b; /* (sites.n) the file's, NULL: none */
    bool fresh;         /* m has no adapters yet */
} loading;

/* What a tensor is to its module. */
typedef enum { TENSOR_A, TENSOR_B, TENSOR_WEIGHT, TENSOR_BIAS } tensor_kind;
static const char *const suffixes[] = { [TENSOR_A] = A,
                                        [TENSOR_B] = B,
                                        [TENSOR_WEIGHT] = ".base_layer.weight",
                                        [TENSOR_BIAS] = ".base_layer.bias" };

/* The site that a tensor belongs to, -1 and an error: none. */
static int64_t site_named(const loading *l, const char *name, tensor_kind *kind)
{
    const size_t prefix = sizeof PREFIX - 1;
    const bool prefixed = strncmp(name, PREFIX, prefix) == 0;
    for (int k = 0; prefixed && k < (int)(sizeof suffixes / sizeof *suffixes); k++) {
        const char *path = name + prefix;
        const size_t n = strlen(path), suffix = strlen(suffixes[k]);
        if (n <= suffix || strcmp(path + n - suffix, suffixes[k]) != 0) continue;
        *kind = (tensor_kind)k;
        for (int64_t i = 0; i < l->sites.n; i++)
            if (strlen(l->names[i]) == n - suffix && !strncmp(l->names[i], path, n - suffix))
                return i;
    }
    wg_raise(WG_ENOTFOUND, "%s: \"%.200s\" belongs to no linear of the model", l->path, name);
    return -1;
}

/* PEFT saves a copy of the base of an adapted lm_head. It has to be the model's weight, but for the
 * rounding of a 16-bit one; one in blocks is not compared. */
static wg_status check_base(const loading *l, const char *name, wg_tensor *t,
                            const wgi_lora_site *s, const char *own)
{
    if (wg_is_error(t)) return wg_error_code();
    wg_tensor *base = wg_module_tensor(s->linear, own);
    if (!base) return wg_error_code();
    if (own[0] == 'w' && wgi_linear_in_out(s->linear)) base = wg_transpose(base, 0, 1);
    const wg_dims a = wg_shape(t), b = wg_shape(base);
    if (a.n != b.n || memcmp(a.d, b.d, (size_t)a.n * sizeof a.d[0]) != 0)
        return wg_raise(WG_ESHAPE, "%s: \"%.200s\" has another shape than the model's %s.%s",
                        l->path, name, s->path, own);
    if (!wg_dtype_is_float(wg_dtype_of(base)) || !wg_numel(base)) return WG_OK;
    const wg_scope inner = wg_scope_push();
    base = wg_cast(base, WG_F32);
    t = wg_cast(wg_to(t, wg_device_of(base)), WG_F32);
    const double most = wg_item(wg_max(wg_abs(base), WG_ALL, false)),
                 far = wg_item(wg_max(wg_abs(wg_sub(t, base)), WG_ALL, false));
    wg_scope_return(inner, NULL);
    if (wg_error_code() || far <= most / 128) return wg_error_code(); /* bf16: 2^-8 */
    return wg_raise(WG_EFORMAT, "%s: \"%.200s\" is not the model's %s.%s: another base model?",
                    l->path, name, s->path, own);
}

static wg_status check_shape(const loading *l, const char *name, const wg_tensor *t, int64_t rows,
                             int64_t columns)
{
    if (wg_is_error(t)) return wg_error_code();
    const wg_dims d = wg_shape(t);
    if (!wg_dtype_is_float(wg_dtype_of(t)))
        return wg_raise(WG_EDTYPE, "%s: \"%.200s\" is %s", l->path, name,
                        wg_dtype_name(wg_dtype_of(t)));
    if (d.n == 2 && d.d[0] == rows && d.d[1] == columns) return WG_OK;
    return wg_raise(WG_ESHAPE, "%s: \"%.200s\" is no matrix of (%lld, %lld)%s", l->path, name,
                    (long long)rows, (long long)columns,
                    d.n == 2 ? ", as rank and the model's linear want" : "");
}

/* Sorts the file's tensors to their sites. */
static wg_status sort_tensors(loading *l)
{
    const int64_t rank = l->config.adapter.rank;
    for (int64_t j = 0; j < wg_safetensors_count(l->file); j++) {
        const char *name = wg_safetensors_name(l->file, j);
        tensor_kind kind;
        const int64_t i = site_named(l, name, &kind);
        if (i < 0) return wg_error_code();
        wg_tensor *t = wg_safetensors_get(l->file, name);
        const wgi_lora_site *s = &l->sites.s[i];
        wg_status st;
        if (kind == TENSOR_A)
            st = check_shape(l, name, l->a[i] = t, rank, s->in);
        else if (kind == TENSOR_B)
            st = check_shape(l, name, l->b[i] = t, s->out, rank);
        else
            st = check_base(l, name, t, s, kind == TENSOR_WEIGHT ? "weight" : "bias");
        if (st != WG_OK) return st;
    }
    return WG_OK;
}

/* One site: both tensors or none, an adapter of the file's kind or none in the whole model. */
static wg_status check_site(const loading *l, int64_t i)
{
    const wgi_lora_site *s = &l->sites.s[i];
    const wgi_lora_config *c = &l->config.adapter;
    const wgi_lora *has = s->adapter;
    const bool target = wgi_lora_is_target(&l->config, l->names[i]);
    if (!l->a[i] != !l->b[i])
        return wg_raise(WG_ENOTFOUND, "%s: %s has %s and no %s", l->path, l->names[i],
                        l->a[i] ? A + 1 : B + 1, l->a[i] ? B + 1 : A + 1);
    if (!l->a[i] && (has || (target && l->config.n_targets && !l->config.part)))
        return wg_raise(WG_ENOTFOUND, "%s: no tensors for %s, which %s", l->path, l->names[i],
                        has ? "has an adapter" : "\"target_modules\" names");
    if (l->a[i] && !target)
        return wg_raise(WG_EFORMAT, "%s: %s is not among \"target_modules\"", l->path, l->names[i]);
    if (l->a[i] && !has && !l->fresh)
        return wg_raise(WG_ENOTFOUND, "%s: %s has no adapter in the model, others have", l->path,
                        s->path);
    if (has && (has->rank != c->rank || has->alpha != c->alpha || has->rslora != c->rslora))
        return wg_raise(WG_EARG,
                        "%s: rank %lld and alpha %g; the model's adapters have %lld and %g",
                        l->path, (long long)c->rank, c->alpha, (long long)has->rank, has->alpha);
    return WG_OK;
}

static wg_status check(loading *l)
{
    const size_t room = ((size_t)l->sites.n + 1) * sizeof *l->a;
    l->a = wg_scope_alloc(room);
    l->b = wg_scope_alloc(room);
    if (!l->a || !l->b || sort_tensors(l) != WG_OK) return wg_error_code();
    l->fresh = true;
    for (int64_t i = 0; i < l->sites.n; i++) l->fresh &= !l->sites.s[i].adapter;
    for (int64_t i = 0; i < l->sites.n; i++)
        if (check_site(l, i) != WG_OK) return wg_error_code();
    return WG_OK;
}

/* What may fail for want of memory comes before the first change. */
static void change(loading *l)
{
    const int64_t n = l->sites.n;
    const wgi_lora_site **picked = wg_scope_alloc(((size_t)n + 1) * sizeof *picked);
    wg_list a = wg_list_new(n + 1), b = wg_list_new(n + 1);
    int64_t k = 0;
    for (int64_t i = 0; picked && a.n && b.n && i < n; i++) {
        if (!l->a[i]) continue;
        wg_device d = wg_device_of(wg_module_tensor(l->sites.s[i].linear, "weight"));
        a.t[k] = wg_to(l->a[i], d);
        b.t[k] = wg_to(wg_contiguous(wgi_lora_rows(l->m, l->sites.s[i].path, l->b[i], true)), d);
        picked[k++] = &l->sites.s[i];
    }
    if (wg_error_code() == WG_OK && !k)
        wg_raise(WG_ENOTFOUND, "%s: there are no tensors in it", l->path);
    wg_module **made = NULL;
    if (!wg_error_code() && l->fresh) made = wgi_lora_make(picked, k, &l->config.adapter);
    for (int64_t i = 0; i < k && !wg_error_code(); i++) {
        const wgi_lora *to = l->fresh ? (const wgi_lora *)made[i] : picked[i]->adapter;
        if (wg_assign(to->a, a.t[i]) == WG_OK) (void)!wg_assign(to->b, b.t[i]);
    }
    if (!made) return;
    if (wg_error_code())
        wgi_lora_discard(made, k);
    else
        wgi_lora_put_in(l->m, picked, made, k, true);
}

wg_status(wg_lora_load)(wg_module *m, const char *folder)
{
    if (!m || !folder) wg_raise(WG_EARG, "lora_load: the module or the folder is NULL");
    if (wg_error_code()) return wg_error_code();
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    loading l = { .m = m, .path = joined(folder, TENSORS, "") };
    const char *config = joined(folder, CONFIG, "");
    if (l.path && config && wgi_lora_config_read(config, &l.config) == WG_OK &&
        (l.file = wg_safetensors_open(l.path))) {
        l.sites = wgi_lora_sites_of(m);
        l.names = wg_error_code() ? NULL : published(m, &l.sites);
        if (l.names && check(&l) == WG_OK) change(&l);
        wg_safetensors_close(l.file);
    }
    return wg_scope_pop(s);
}
