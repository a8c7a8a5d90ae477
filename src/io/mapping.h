/* Whole files mapped read-only, reference-counted: tensors and token sequences share one. A file
 * that another process shortens while it is mapped cannot be read safely by anyone: writers should
 * replace files, as replace.h does. */
#ifndef WGI_IO_MAPPING_H
#define WGI_IO_MAPPING_H
#include <stdatomic.h>
#include <stddef.h>

#include "wengert/error.h"

typedef struct wgi_mapping {
    atomic_int refs;
    size_t bytes;
    const unsigned char *data; /* (bytes); NULL for an empty file */
} wgi_mapping;

/* Maps the regular file at path; one reference. NULL and WG_ENOTFOUND, WG_EIO or WG_EMEM. */
wgi_mapping *wgi_mapping_open(const char *path);
wgi_mapping *wgi_mapping_ref(wgi_mapping *m);
/* NULL is fine. */
void wgi_mapping_unref(wgi_mapping *m);

/* Raises what errno says of path: WG_ENOTFOUND for ENOENT, WG_EMEM for ENOMEM, else WG_EIO. */
wg_status wgi_raise_errno(const char *path);
#endif
