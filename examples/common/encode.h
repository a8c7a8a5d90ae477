/* Files of text as token ids. */
#ifndef COMMON_ENCODE_H
#define COMMON_ENCODE_H
#include <wengert/wengert.h>

typedef struct {
    const wg_tokenizer *tokenizer;
    bool special; /* special tokens spelled in a text become their ids */
} encoder;

/* A wg_encode_fn; self is an encoder. */
int64_t encode(void *self, const char *text, size_t bytes, int64_t **ids);
/* The ids of the whole file, the beginning token first if the model expects one; -1 when it complained
 * or an error is pending. */
int64_t encode_file(const encoder *e, const char *path, int64_t **ids);
/* The tokenizer at path, or if that is empty the model's own; *own is to be freed. NULL when it
 * complained or an error is pending. */
const wg_tokenizer *tokenizer_of(const wg_model *model, const char *model_path, const char *path,
                                 wg_tokenizer **own);
#endif
