/* Reading the JSON files of a Hugging Face folder. */
#include <string.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/io.h"

json_t *wgi_json_read(const char *path)
{
    wg_file *f = wg_file_open(path);
    if (!f) return NULL;
    json_error_t e;
    const char *text = wg_file_data(f);
    json_t *root =
        json_loadb(text ? text : "", (size_t)wg_file_bytes(f), JSON_REJECT_DUPLICATES, &e);
    wg_file_close(f);
    if (json_is_object(root)) return root;
    if (root)
        wg_raise(WG_EFORMAT, "%s: no JSON object", path);
    else
        wg_raise(WG_EFORMAT, "%s: no JSON: %s at line %d", path, e.text, e.line);
    json_decref(root);
    return NULL;
}

/* The value, NULL where there is none. */
static const json_t *field(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static void wrong(const char *path, const char *key, const char *what)
{
    wg_raise(WG_EFORMAT, "%s: \"%s\" is no %s", path, key, what);
}

int64_t wgi_json_int(const json_t *o, const char *key, int64_t otherwise, const char *path)
{
    const json_t *v = field(o, key);
    if (v && !json_is_integer(v)) wrong(path, key, "integer");
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

double wgi_json_double(const json_t *o, const char *key, double otherwise, const char *path)
{
    const json_t *v = field(o, key);
    if (v && !json_is_number(v)) wrong(path, key, "number");
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool wgi_json_bool(const json_t *o, const char *key, bool otherwise, const char *path)
{
    const json_t *v = field(o, key);
    if (v && !json_is_boolean(v)) wrong(path, key, "true or false");
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const char *wgi_json_string(const json_t *o, const char *key, const char *otherwise,
                            const char *path)
{
    const json_t *v = field(o, key);
    if (v && !json_is_string(v)) wrong(path, key, "string");
    return json_is_string(v) ? json_string_value(v) : otherwise;
}
