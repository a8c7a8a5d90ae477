/* Multiple choice from JSON lines, with HellaSwag's fields (Zellers et al. 2019, arXiv:1905.07830). */
#include <stdlib.h>
#include <string.h>

#include "json_lines.h"
#include "wengert/data.h"
#include "wengert/error.h"

struct wg_questions {
    int64_t n, room;
    wg_question *q; /* (n) each owns its texts, in one block that begins at context */
};

/* Context and endings copied behind their pointers; false and WG_EMEM. */
static bool copy(wg_question *q, const char *context, const json_t *endings)
{
    const size_t n = json_array_size(endings);
    size_t bytes = n * sizeof(char *) + strlen(context) + 1;
    for (size_t i = 0; i < n; i++) bytes += json_string_length(json_array_get(endings, i)) + 1;
    const char **pointers = malloc(bytes);
    if (!pointers) {
        wg_raise(WG_EMEM, "questions_open: out of memory");
        return false;
    }
    char *at = (char *)(pointers + n);
    q->context = strcpy(at, context);
    at += strlen(context) + 1;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(endings, i));
        pointers[i] = strcpy(at, text);
        at += strlen(text) + 1;
    }
    q->n = (int64_t)n;
    q->endings = pointers;
    return true;
}

/* A number, or one in a string, as some copies of the data have it. */
static int64_t label_of(const json_t *v)
{
    if (json_is_integer(v)) return json_integer_value(v);
    const char *text = json_string_value(v);
    char *end;
    const long long label = text ? strtoll(text, &end, 10) : -1;
    return text && *text && !*end ? label : -1;
}

static wg_status read_question(const wgi_json_lines *l, wg_question *q)
{
    const char *context = wgi_json_lines_text(l, "ctx");
    const json_t *endings = json_object_get(l->object, "endings");
    if (wg_error_code()) return wg_error_code();
    if (!context) return wgi_json_lines_bad(l, "\"ctx\" is missing");
    if (json_array_size(endings) < 2)
        return wgi_json_lines_bad(l, "\"endings\" is no list of two or more");
    for (size_t i = 0; i < json_array_size(endings); i++)
        if (!json_string_length(json_array_get(endings, i)))
            return wgi_json_lines_bad(l, "ending %zu is no string, or empty", i);
    q->label = label_of(json_object_get(l->object, "label"));
    if (q->label < 0 || q->label >= (int64_t)json_array_size(endings))
        return wgi_json_lines_bad(l, "\"label\" is no number of an ending");
    return copy(q, context, endings) ? WG_OK : wg_error_code();
}

static wg_status append(wg_questions *all, const wgi_json_lines *l)
{
    wg_question q = { 0 };
    if (all->n == all->room) {
        const int64_t more = all->room ? 2 * all->room : 64;
        wg_question *p = realloc(all->q, (size_t)more * sizeof *p);
        if (!p) return wg_raise(WG_EMEM, "questions_open: out of memory");
        all->q = p;
        all->room = more;
    }
    if (read_question(l, &q) == WG_OK) all->q[all->n++] = q;
    return wg_error_code();
}

wg_questions *(wg_questions_open)(const char *path)
{
    if (wg_error_code()) return NULL;
    wg_questions *all = calloc(1, sizeof *all);
    if (!all) {
        wg_raise(WG_EMEM, "questions_open: out of memory");
        return NULL;
    }
    wgi_json_lines l;
    wg_status st = wgi_json_lines_open(&l, path);
    while (!st && wgi_json_lines_next(&l)) st = append(all, &l);
    wgi_json_lines_close(&l);
    if (!wg_error_code() && !all->n) wg_raise(WG_EFORMAT, "%s: there is no question in it", path);
    if (!wg_error_code()) return all;
    wg_questions_free(all);
    return NULL;
}

void wg_questions_free(wg_questions *all)
{
    if (!all) return;
    for (int64_t i = 0; i < all->n; i++) free((void *)(uintptr_t)all->q[i].endings);
    free(all->q);
    free(all);
}

int64_t wg_questions_count(const wg_questions *all)
{
    return all ? all->n : 0;
}

const wg_question *wg_questions_at(const wg_questions *all, int64_t i)
{
    return all && i >= 0 && i < all->n ? &all->q[i] : NULL;
}
