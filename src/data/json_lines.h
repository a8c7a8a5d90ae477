/* JSON lines: a JSON object a line, blank lines between them; every error names file and line. */
#ifndef WGI_DATA_JSON_LINES_H
#define WGI_DATA_JSON_LINES_H
#include <jansson.h>

#include "io/mapping.h"
#include "wengert/error.h"

typedef struct {
    const char *path;
    wgi_mapping *file;
    size_t at;      /* where the next line begins */
    int64_t line;   /* of object, from 1 */
    json_t *object; /* this line's; freed by the next call */
} wgi_json_lines;

/* path has to live as long as l. */
wg_status wgi_json_lines_open(wgi_json_lines *l, const char *path);
/* The next object; false at the end and on failure (raised). */
bool wgi_json_lines_next(wgi_json_lines *l);
void wgi_json_lines_close(wgi_json_lines *l);
/* Raises WG_EFORMAT with the place in front. */
wg_status wgi_json_lines_bad(const wgi_json_lines *l, const char *fmt, ...) WG_PRINTF(2, 3);
/* The string called key; NULL: there is none, and it raised if it is something else. Lives as long
 * as the object. */
const char *wgi_json_lines_text(const wgi_json_lines *l, const char *key);

#endif
