#include "json_lines.h"

#include <stdarg.h>
#include <string.h>

wg_status wgi_json_lines_open(wgi_json_lines *l, const char *path)
{
    *l = (wgi_json_lines) { .path = path };
    if (!path) return wg_raise(WG_EARG, "JSON lines: no path given");
    l->file = wgi_mapping_open(path);
    return wg_error_code();
}

void wgi_json_lines_close(wgi_json_lines *l)
{
    json_decref(l->object);
    wgi_mapping_unref(l->file);
    *l = (wgi_json_lines) { 0 };
}

wg_status wgi_json_lines_bad(const wgi_json_lines *l, const char *fmt, ...)
{
    char text[512];
    va_list a;
    va_start(a, fmt);
    vsnprintf(text, sizeof text, fmt, a);
    va_end(a);
    return wg_raise(WG_EFORMAT, "%s:%lld: %s", l->path, (long long)l->line, text);
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!memchr(" \t\r\n", text[i], 4)) return false;
    return true;
}

bool wgi_json_lines_next(wgi_json_lines *l)
{
    json_decref(l->object);
    l->object = NULL;
    while (l->at < l->file->bytes) {
        const char *text = (const char *)l->file->data + l->at;
        const size_t left = l->file->bytes - l->at;
        const char *end = memchr(text, '\n', left);
        const size_t n = end ? (size_t)(end - text) : left;
        l->at += end ? n + 1 : n;
        l->line++;
        if (is_blank(text, n)) continue;
        json_error_t e;
        l->object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
        if (!l->object)
            wgi_json_lines_bad(l, "no JSON: %s at byte %d", e.text, e.position);
        else if (!json_is_object(l->object))
            wgi_json_lines_bad(l, "no JSON object");
        return wg_error_code() == WG_OK;
    }
    return false;
}

const char *wgi_json_lines_text(const wgi_json_lines *l, const char *key)
{
    const json_t *v = json_object_get(l->object, key);
    if (v && !json_is_string(v)) wgi_json_lines_bad(l, "\"%s\" is no string", key);
    return json_string_value(v);
}
