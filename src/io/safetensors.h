/* The safetensors format: 8 bytes of header size N (little-endian), N bytes of JSON, then the
 * tensors' bytes without gaps. Source: the format's description,
 * https://github.com/huggingface/safetensors (section "Format"). */
#ifndef WGI_IO_SAFETENSORS_H
#define WGI_IO_SAFETENSORS_H
#include <jansson.h>

#include "wengert/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files hold little-endian numbers, mapped as they are");

enum { WGI_SAFETENSORS_MAX_HEADER = 100000000, WGI_SAFETENSORS_ALIGN = 8 };

typedef struct {
    const char *name; /* owned by the JSON value */
    wg_dtype dtype;
    wg_dims shape;
    uint64_t begin, end; /* bytes, from the start of the data */
} wgi_safetensors_entry;

typedef struct {
    json_t *json;           /* the whole header: owns names and metadata */
    const json_t *metadata; /* an object of strings, or NULL */
    int64_t n;
    wgi_safetensors_entry *entries; /* (n) in the order of the file's header */
    int64_t *by_name;               /* (n) indices of entries, sorted by name */
    size_t data;                    /* where the data begin in the file */
} wgi_safetensors_header;

/* "BF16"; NULL for a dtype that the format lacks. */
const char *wgi_safetensors_dtype(wg_dtype t);

/* Checks all of a file of `bytes` bytes and fills h; raises WG_EFORMAT with path in front. On
 * failure h holds nothing. */
wg_status wgi_safetensors_parse(wgi_safetensors_header *h, const char *path,
                                const unsigned char *file, size_t bytes);
void wgi_safetensors_header_free(wgi_safetensors_header *h);
#endif
