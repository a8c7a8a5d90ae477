/* What a GGUF writer collects: gguf_put.c fills it, gguf_write.c writes it. */
#ifndef WGI_IO_GGUF_WRITER_H
#define WGI_IO_GGUF_WRITER_H
#include "io/gguf.h"

/* Bytes that grow. */
typedef struct {
    unsigned char *data; /* (n) */
    size_t n, capacity;
} wgi_bytes;
/* Raises WG_EMEM. */
wg_status wgi_bytes_add(wgi_bytes *b, const void *data, size_t n);

typedef struct {
    char *key;       /* owned */
    wgi_bytes value; /* as in the file: type, then value */
} wgi_gguf_pair;

typedef struct {
    char *name;        /* owned */
    wg_tensor *tensor; /* one reference */
    uint64_t begin, bytes;
} wgi_gguf_output;

struct wg_gguf_writer {
    int64_t n_pairs, pairs_capacity, n_tensors, tensors_capacity;
    wgi_gguf_pair *pairs;
    wgi_gguf_output *tensors;
};
/* The pair with this key, or NULL. */
wgi_gguf_pair *wgi_gguf_pair_of(wg_gguf_writer *w, const char *key);
/* Sets v's key to v. */
void wgi_gguf_put_value(wg_gguf_writer *w, const wgi_gguf_value *v);
#endif
