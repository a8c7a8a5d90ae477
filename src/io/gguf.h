/* The GGUF format: magic, version, counts, key-value pairs, tensor descriptions, padding, data.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef WGI_IO_GGUF_H
#define WGI_IO_GGUF_H
#include <stddef.h>

#include "wengert/error.h"
#include "wengert/gguf.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files hold little-endian numbers, mapped as they are");

enum { WGI_GGUF_ALIGN = 32, WGI_GGUF_DIMS = 4 };
#define WGI_GGUF_MAGIC "GGUF"

/* ggml's tensor types: gguf_types.c. dtype 0: this library lacks it. */
typedef struct {
    const char *name; /* "Q4_K" */
    wg_dtype dtype;
    int64_t block; /* elements */
    int64_t bytes; /* of a block */
} wgi_gguf_tensor_type;
/* NULL for a number that is not known. */
const wgi_gguf_tensor_type *wgi_gguf_tensor_type_of(uint32_t number);
/* ggml's number; -1 for a dtype that ggml lacks. */
int wgi_gguf_number_of(wg_dtype t);
/* Bytes of one value; 0 for strings, arrays and unknown types. */
int64_t wgi_gguf_type_bytes(wg_gguf_type t);
/* "string", "u32", ...; "no type" */
const char *wgi_gguf_type_name(wg_gguf_type t);

typedef struct {
    char *key; /* owned */
    wg_gguf_type type, element;
    int64_t n;                    /* elements of an array; bytes of a string */
    const unsigned char *numbers; /* in the mapping, unaligned; NULL for strings */
    char *text; /* owned: a string, or an array's strings one behind the other, each with a
                        NUL */
    const unsigned char *raw; /* (raw_bytes) in the mapping: what follows the type */
    size_t raw_bytes;
    int64_t *starts; /* owned: (n + 1) where an array's strings begin in text */
} wgi_gguf_value;

typedef struct {
    char *name; /* owned */
    uint32_t number;
    const wgi_gguf_tensor_type *type; /* NULL: not known, so that its size is not either */
    wg_dims shape;
    uint64_t begin, bytes; /* from the start of the data */
} wgi_gguf_tensor;

typedef struct {
    uint32_t version;
    uint64_t align;
    size_t data; /* where the data begin in the file */
    int64_t n_values, n_tensors;
    wgi_gguf_value *values;              /* (n_values) in the file's order */
    wgi_gguf_tensor *tensors;            /* (n_tensors) in the file's order */
    int64_t *values_order, *names_order; /* indices, sorted by key and by name */
} wgi_gguf_header;

/* Where the reading of a header stands, and what messages say about it. */
typedef struct {
    const char *path;
    const unsigned char *file;
    size_t at, bytes;
    const char *kind; /* "key" or "tensor" */
    int64_t index;    /* which one; -1: neither */
    const char *name; /* NULL: not read yet */
} wgi_gguf_cursor;
/* WG_EFORMAT with path and what is being read in front. */
wg_status wgi_gguf_bad(const wgi_gguf_cursor *c, const char *fmt, ...) WG_PRINTF(2, 3);
/* The next bytes of the file into out; raises where there are too few. */
wg_status wgi_gguf_take(wgi_gguf_cursor *c, void *out, size_t bytes);
/* A name without NULs and not empty, allocated. */
wg_status wgi_gguf_take_name(wgi_gguf_cursor *c, char **out);
/* n names of items `stride` bytes apart, each item beginning with its name: sorted indices into
 * order; raises for one that occurs twice. */
wg_status wgi_gguf_sort(const wgi_gguf_cursor *c, const void *items, size_t stride, int64_t n,
                        int64_t *order);
/* The item's index, or -1. */
int64_t wgi_gguf_find(const void *items, size_t stride, int64_t n, const int64_t *order,
                      const char *name);

/* h->n_values pairs: gguf_values.c. */
wg_status wgi_gguf_parse_values(wgi_gguf_cursor *c, wgi_gguf_header *h);
void wgi_gguf_values_free(wgi_gguf_value *values, int64_t n);
/* NULL: no such key. */
const wgi_gguf_value *wgi_gguf_value_of(const wgi_gguf_header *h, const char *key);
/* Element i of v's numbers: false if it is no integer (in range). */
bool wgi_gguf_load_int(const wgi_gguf_value *v, int64_t i, int64_t *out);
double wgi_gguf_load_double(const wgi_gguf_value *v, int64_t i);
/* h->n_tensors descriptions, and where the data begin: gguf_tensors.c. */
wg_status wgi_gguf_parse_tensors(wgi_gguf_cursor *c, wgi_gguf_header *h);

/* Checks all of a file of `bytes` bytes and fills h: gguf_header.c. On failure h holds nothing. */
wg_status wgi_gguf_parse(wgi_gguf_header *h, const char *path, const unsigned char *file,
                         size_t bytes);
void wgi_gguf_header_free(wgi_gguf_header *h);
#endif
