#include "wengert/io.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/elements.h"
#include "io/safetensors.h"
#include "tensor/internal.h"

/* ---- the header
 * --------------------------------------------------------------------------------------------------
 */
/* Wide elements first, so that every tensor lies aligned; otherwise the order given. */
static int64_t *data_order(wg_params tensors)
{
    int64_t *order = malloc(((size_t)tensors.n + 1) * sizeof *order), k = 0;
    for (size_t size = 8; order && size > 0; size /= 2)
        for (int64_t i = 0; i < tensors.n; i++)
            if (wg_dtype_size(tensors.p[i].tensor->dtype) == size) order[k++] = i;
    return order;
}

static wg_status check_tensor(const char *path, const wg_param_ref *p)
{
    if (!p->name) return wg_raise(WG_EARG, "%s: a tensor has no name", path);
    if (wgi_refuse(p->tensor, "safetensors_write")) return wg_error_code();
    if (!strcmp(p->name, "__metadata__"))
        return wg_raise(WG_EARG, "%s: no tensor can be called __metadata__", path);
    if (p->tensor->device.kind == WG_META)
        return wg_raise(WG_EDEVICE, "%s: tensor \"%.200s\" has no data (device meta)", path,
                        p->name);
    if (!wgi_safetensors_dtype((wg_dtype)p->tensor->dtype))
        return wg_raise(WG_EDTYPE, "%s: tensor \"%.200s\": safetensors has no dtype %s", path,
                        p->name, wg_dtype_name((wg_dtype)p->tensor->dtype));
    return WG_OK;
}

static json_t *describe(const wg_tensor *t, int64_t begin, int64_t end)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++) json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", wgi_safetensors_dtype((wg_dtype)t->dtype),
                     "shape", shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static wg_status add(const char *path, json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return wg_raise(WG_EARG, "%s: \"%.200s\" is given twice", path, key);
    }
    if (json_object_set_new(object, key, value) != 0) /* takes value in any case */
        return wg_raise(WG_EARG, "%s: out of memory, or a name or value is no UTF-8: \"%.200s\"",
                        path, key);
    return WG_OK;
}

static wg_status add_metadata(const char *path, json_t *root, const wg_pair *metadata, int64_t n)
{
    json_t *object = json_object();
    for (int64_t i = 0; i < n; i++) {
        if (!metadata[i].key || !metadata[i].value) {
            json_decref(object);
            return wg_raise(WG_EARG, "%s: a metadata pair has no key or no value", path);
        }
        const wg_status st = add(path, object, metadata[i].key, json_string(metadata[i].value));
        if (!st) continue;
        json_decref(object);
        return st;
    }
    return add(path, root, "__metadata__", object);
}

static wg_status add_tensors(const char *path, json_t *root, wg_params tensors,
                             const int64_t *order)
{
    int64_t at = 0;
    for (int64_t i = 0; i < tensors.n; i++) {
        const wg_param_ref *p = &tensors.p[order[i]];
        int64_t bytes, end;
        if (__builtin_mul_overflow(p->tensor->numel,
                                   (int64_t)wg_dtype_size((wg_dtype)p->tensor->dtype), &bytes) ||
            __builtin_add_overflow(at, bytes, &end))
            return wg_raise(WG_ESHAPE, "%s: the size of all tensors overflows", path);
        const wg_status st = add(path, root, p->name, describe(p->tensor, at, end));
        if (st) return st;
        at = end;
    }
    return WG_OK;
}

/* The size and the JSON, padded with spaces to a multiple of 8 bytes; NULL when it raised. */
static char *make_header(const char *path, wg_params tensors, const int64_t *order,
                         const wg_pair *metadata, int64_t n, size_t *size)
{
    json_t *root = json_object();
    wg_status st = n ? add_metadata(path, root, metadata, n) : WG_OK;
    if (!st) st = add_tensors(path, root, tensors, order);
    char *out = NULL;
    if (!st) {
        const size_t text = json_dumpb(root, NULL, 0, JSON_COMPACT);
        const uint64_t padded =
            (text + WGI_SAFETENSORS_ALIGN - 1) / WGI_SAFETENSORS_ALIGN * WGI_SAFETENSORS_ALIGN;
        *size = sizeof padded + padded;
        if (text == 0 || !(out = malloc(*size))) {
            wg_raise(WG_EMEM, "%s: out of memory", path);
        } else if (padded > WGI_SAFETENSORS_MAX_HEADER) {
            free(out);
            out = NULL;
            wg_raise(WG_EARG, "%s: the header would be above 100 MB", path);
        } else {
            memcpy(out, &padded, sizeof padded);
            json_dumpb(root, out + sizeof padded, text, JSON_COMPACT);
            memset(out + sizeof padded + text, ' ', padded - text);
        }
    }
    json_decref(root);
    return out;
}

/* ---- the data
 * -----------------------------------------------------------------------------------------------------
 */
static wg_status write_file(const char *path, wg_params tensors, const int64_t *order,
                            const char *header, size_t size)
{
    void *room = malloc(WGI_PIECE);
    if (!room) return wg_raise(WG_EMEM, "%s: out of memory", path);
    wgi_replace r;
    wg_status st = wgi_replace_begin(&r, path);
    if (!st) st = wgi_replace_write(&r, header, size);
    for (int64_t i = 0; i < tensors.n && !st; i++)
        st = wgi_write_elements(&r, tensors.p[order[i]].tensor, room);
    if (!st)
        st = wgi_replace_commit(&r);
    else
        wgi_replace_abort(&r);
    free(room);
    return st;
}

wg_status wg_safetensors_write(const char *path, wg_params tensors, const wg_pair *metadata,
                               int64_t n)
{
    if (wg_error_code()) return wg_error_code();
    if (!path || tensors.n < 0 || n < 0 || (n && !metadata) || (tensors.n && !tensors.p))
        return wg_raise(WG_EARG, "safetensors_write: no path, or a list is missing");
    for (int64_t i = 0; i < tensors.n; i++) {
        const wg_status st = check_tensor(path, &tensors.p[i]);
        if (st) return st;
    }
    int64_t *order = data_order(tensors);
    if (!order) return wg_raise(WG_EMEM, "%s: out of memory", path);
    size_t size = 0;
    char *header = make_header(path, tensors, order, metadata, n, &size);
    const wg_status st = header ? write_file(path, tensors, order, header, size) : wg_error_code();
    free(header);
    free(order);
    return st;
}
