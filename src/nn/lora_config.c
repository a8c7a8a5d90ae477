/* adapter_config.json, as PEFT writes and reads it (peft/tuners/lora/config.py, LoraConfig). */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mapping.h"
#include "io/replace.h"
#include "nn/lora.h"
#include "wengert/error.h"
#include "wengert/scope.h"

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *number(double v)
{
    return v == floor(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *document(const wgi_lora_file *f)
{
    json_t *targets = json_array();
    for (int64_t i = 0; i < f->n_targets; i++)
        json_array_append_new(targets, json_string(f->targets[i]));
    return json_pack(
        "{s:n, s:s, s:b, s:b, s:b, s:o, s:o, s:n, s:s, s:I, s:{}, s:{}, s:n, s:o, s:s, "
        "s:b, s:b}",
        "base_model_name_or_path", "bias", "none", "fan_in_fan_out", f->fan_in_fan_out,
        "inference_mode", 1, "init_lora_weights", 1, "lora_alpha", number(f->adapter.alpha),
        "lora_dropout", number(f->adapter.dropout), "modules_to_save", "peft_type", "LORA", "r",
        (json_int_t)f->adapter.rank, "rank_pattern", "alpha_pattern", "revision", "target_modules",
        targets, "task_type", "CAUSAL_LM", "use_dora", 0, "use_rslora", (int)f->adapter.rslora);
}

wg_status wgi_lora_config_write(const char *path, const wgi_lora_file *f)
{
    json_t *json = document(f);
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(json);
    if (!text) return wg_raise(WG_EMEM, "%s: out of memory, or a module's name is no UTF-8", path);
    wgi_replace r;
    if (wgi_replace_begin(&r, path) == WG_OK &&
        wgi_replace_write(&r, text, strlen(text)) == WG_OK &&
        wgi_replace_write(&r, "\n", 1) == WG_OK)
        (void)!wgi_replace_commit(&r);
    free(text);
    return wg_error_code();
}

/* ---- reading --------------------------------------------------------------------------------- */

/* null, false, 0, "", [] and {}: a field that asks for nothing. */
static bool is_unset(const json_t *v)
{
    if (!v || json_is_null(v) || json_is_false(v)) return true;
    if (json_is_number(v)) return json_number_value(v) == 0;
    if (json_is_string(v)) return json_string_length(v) == 0;
    return (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
}

/* Each changes what the adapter computes, or which tensors it has. */
static const char *const unsupported[] = {
    "use_dora",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "lora_bias",
    "layer_replication",
    "megatron_config",
    "use_qalora",
    "use_bdlora",
    "target_parameters",
    "arrow_config",
    "alora_invocation_tokens",
    "ensure_weight_tying",
    "trainable_token_indices",
    "monteclora_config",
    "kasa_config",
    "velora_config",
};

static wg_status check_fields(const char *path, const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "peft_type"));
    if (!type || strcmp(type, "LORA"))
        return wg_raise(WG_EFORMAT, "%s: \"peft_type\" is %.60s, not LORA", path,
                        type ? type : "missing");
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (!is_unset(json_object_get(o, unsupported[i])))
            return wg_raise(WG_EFORMAT, "%s: \"%s\" is not supported", path, unsupported[i]);
    const char *bias = json_string_value(json_object_get(o, "bias"));
    if (bias && strcmp(bias, "none"))
        return wg_raise(WG_EFORMAT, "%s: \"bias\": \"%.60s\" is not supported, only \"none\"", path,
                        bias);
    /* The others (PiSSA, OLoRA, LoftQ, ...) change the base weights too. */
    const char *init = json_string_value(json_object_get(o, "init_lora_weights"));
    if (init && strcmp(init, "gaussian") && strcmp(init, "eva") && strcmp(init, "orthogonal"))
        return wg_raise(WG_EFORMAT,
                        "%s: \"init_lora_weights\": \"%.60s\" changes the base weights: save the "
                        "adapter converted to a plain one",
                        path, init);
    return WG_OK;
}

static wg_status read_adapter(const char *path, const json_t *o, wgi_lora_config *c)
{
    const json_t *r = json_object_get(o, "r"), *alpha = json_object_get(o, "lora_alpha"),
                 *dropout = json_object_get(o, "lora_dropout");
    if (!json_is_integer(r))
        return wg_raise(WG_EFORMAT, "%s: \"r\" is missing or no integer", path);
    if (alpha && !json_is_number(alpha))
        return wg_raise(WG_EFORMAT, "%s: \"lora_alpha\" is no number", path);
    if (dropout && !json_is_number(dropout))
        return wg_raise(WG_EFORMAT, "%s: \"lora_dropout\" is no number", path);
    *c = (wgi_lora_config) { .rank = json_integer_value(r),
                             .alpha = alpha ? json_number_value(alpha) : 8,
                             .dropout = json_number_value(dropout),
                             .rslora = json_is_true(json_object_get(o, "use_rslora")),
                             .zero = true };
    if (wgi_lora_config_fits(c, path)) return WG_OK;
    return wg_error_code();
}

/* A list of names; a string is a regular expression, or "all-linear", and says nothing here. */
static wg_status read_targets(const char *path, const json_t *o, wgi_lora_file *f)
{
    const json_t *targets = json_object_get(o, "target_modules");
    f->part = !is_unset(json_object_get(o, "layers_to_transform")) ||
              !is_unset(json_object_get(o, "exclude_modules"));
    if (!targets || json_is_null(targets) || json_is_string(targets)) return WG_OK;
    if (!json_is_array(targets) || !json_array_size(targets))
        return wg_raise(WG_EFORMAT, "%s: \"target_modules\" is no list of names", path);
    const size_t n = json_array_size(targets);
    if (!(f->targets = wg_scope_alloc(n * sizeof *f->targets))) return wg_error_code();
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(targets, i));
        if (!name)
            return wg_raise(WG_EFORMAT, "%s: \"target_modules\" has no name at %zu", path, i);
        char *copy = wg_scope_alloc(strlen(name) + 1);
        if (!copy) return wg_error_code();
        f->targets[f->n_targets++] = strcpy(copy, name);
    }
    return WG_OK;
}

wg_status wgi_lora_config_read(const char *path, wgi_lora_file *f)
{
    *f = (wgi_lora_file) { 0 };
    wgi_mapping *m = wgi_mapping_open(path);
    if (!m) return wg_error_code();
    json_error_t e;
    json_t *o =
        json_loadb(m->data ? (const char *)m->data : "", m->bytes, JSON_REJECT_DUPLICATES, &e);
    wgi_mapping_unref(m);
    if (!o) return wg_raise(WG_EFORMAT, "%s:%d: no JSON: %s", path, e.line, e.text);
    wg_status st = WG_OK;
    if (!json_is_object(o)) st = wg_raise(WG_EFORMAT, "%s: no JSON object", path);
    if (!st) st = check_fields(path, o);
    if (!st) st = read_adapter(path, o, &f->adapter);
    if (!st) st = read_targets(path, o, f);
    f->fan_in_fan_out = json_is_true(json_object_get(o, "fan_in_fan_out"));
    json_decref(o);
    return st;
}

bool wgi_lora_is_target(const wgi_lora_file *f, const char *published)
{
    const size_t n = strlen(published);
    for (int64_t i = 0; i < f->n_targets; i++) {
        const size_t k = strlen(f->targets[i]);
        if (k <= n && strcmp(published + n - k, f->targets[i]) == 0 &&
            (k == n || published[n - k - 1] == '.'))
            return true;
    }
    return f->n_targets == 0;
}
