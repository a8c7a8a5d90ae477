#include "encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

int64_t encode(void *self, const char *text, size_t bytes, int64_t **ids)
{
    const encoder *e = self;
    return wg_tokenizer_encode(e->tokenizer, text, (int64_t)bytes, ids, .special = e->special);
}

/* The whole file, to be freed; NULL when it complained. */
static char *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0, got = 1;
    for (*bytes = 0; f && got; *bytes += got) {
        if (*bytes == room) {
            room = room ? 2 * room : 1 << 20;
            char *larger = realloc(text, room);
            if (!larger) break;
            text = larger;
        }
        got = fread(text + *bytes, 1, room - *bytes, f);
    }
    const bool whole = f && got == 0 && !ferror(f);
    if (!whole) {
        complain("%s: %s", path, strerror(errno ? errno : EIO));
        free(text);
        text = NULL;
    }
    if (f) fclose(f);
    return text;
}

int64_t encode_file(const encoder *e, const char *path, int64_t **ids)
{
    size_t bytes;
    *ids = NULL;
    char *text = read_file(path, &bytes);
    if (!text) return -1;
    const int64_t n =
        wg_tokenizer_encode(e->tokenizer, text, (int64_t)bytes, ids, .special = e->special,
                            .bos = wg_tokenizer_adds_bos(e->tokenizer));
    free(text);
    return n;
}

const wg_tokenizer *tokenizer_of(const wg_model *model, const char *model_path, const char *path,
                                 wg_tokenizer **own)
{
    const wg_tokenizer *t = *path ? (*own = wg_tokenizer_open(path)) : wg_model_tokenizer(model);
    if (!t && !wg_error_code())
        complain("%s: no tokenizer in it; --tokenizer names one", model_path);
    return t;
}
