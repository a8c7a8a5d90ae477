/* Where Hugging Face's models have what an adapter stands beside: names, and the order of rows. */
#include <ctype.h>
#include <string.h>

#include "nn/lora.h"
#include "nn/parts.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

static const wg_transformer_config *config_of(const wg_module *m)
{
    return wg_module_is(m, &wg_transformer_type) ? wg_transformer_config_of(m) : NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* What follows prefix and a dot in path; NULL if path does not begin so. */
static const char *below(const char *path, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

/* A part of a block by the other convention; NULL if `from` has no such part. `rest` follows
 * "layers.N.". */
static const char *part_name(const wgi_names *from, const wgi_names *to, bool gated,
                             const char *rest, const char **group)
{
    const char *attention[][2] = {
        { from->q, to->q }, { from->k, to->k }, { from->v, to->v }, { from->out, to->out }
    };
    const char *plain[][2] = { { from->up, to->up }, { from->down, to->down } };
    const char *gate[][2] = { { from->gate, to->gate },
                              { from->gated_up, to->gated_up },
                              { from->gated_down, to->gated_down } };
    const char *(*pairs)[2] = gated ? gate : plain, *name = below(rest, from->mlp);
    int n = gated ? 3 : 2;
    *group = to->mlp;
    if (!name) {
        name = below(rest, from->attention);
        *group = to->attention;
        pairs = attention;
        n = 4;
    }
    for (int i = 0; name && i < n; i++)
        if (strcmp(name, pairs[i][0]) == 0) return pairs[i][1];
    return NULL;
}

const char *wgi_lora_published(wg_module *m, const char *path)
{
    const wg_transformer_config *c = config_of(m);
    if (!c || c->names != WG_NAMES_META_LLAMA) return path;
    const wgi_names *from = wgi_names_of(c->names), *to = wgi_names_of(WG_NAMES_HF_LLAMA);
    if (strcmp(path, from->head) == 0) return to->head;
    const char *layer = below(path, from->layers), *rest = layer, *group, *name = NULL;
    while (rest && isdigit((unsigned char)*rest)) rest++;
    if (rest && rest > layer && *rest == '.')
        name = part_name(from, to, c->mlp == WG_MLP_GATED, rest + 1, &group);
    if (!name) return path; /* what the user put in */
    const size_t room = strlen(path) + 64;
    char *out = wg_scope_alloc(room);
    if (out)
        snprintf(out, room, "%s.%.*s.%s.%s", to->layers, (int)(rest - layer), layer, group, name);
    return out;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* How many heads the module at path projects to for rope; 0: it does not. */
static int64_t rotated_heads(const wg_transformer_config *c, const char *path)
{
    const wgi_names *names = wgi_names_of(c->names);
    const char *dot = strrchr(path, '.');
    if (c->position != WG_POS_ROPE || !c->rope_adjacent || names->qkv || !dot) return 0;
    if (!below(path, names->layers)) return 0;
    return strcmp(dot + 1, names->q) == 0   ? c->heads
           : strcmp(dot + 1, names->k) == 0 ? c->kv_heads
                                            : 0;
}

/* Row 2i + j of a head (pairs adjacent) is row j D/2 + i there (halves). */
wg_tensor *wgi_lora_rows(wg_module *m, const char *path, wg_tensor *b, bool back)
{
    const wg_transformer_config *c = config_of(m);
    const int64_t heads = c ? rotated_heads(c, path) : 0;
    if (!heads) return b;
    const int64_t half = c->head_size / 2, rank = wg_size(b, 1);
    wg_tensor *rows =
        wg_reshape(b, back ? WG_DIMS(heads, 2, half, rank) : WG_DIMS(heads, half, 2, rank));
    return wg_reshape(wg_transpose(rows, 1, 2), wg_shape(b));
}
