/* Tensors that lie in a mapped file. */
#ifndef WGI_IO_MAPPED_H
#define WGI_IO_MAPPED_H
#include "io/mapping.h"
#include "wengert/base.h"

/* The row-major tensor of `bytes` bytes (checked by the caller) at byte `begin` of m, in the
 * innermost scope, on the CPU: it shares the mapping and refuses writes; an empty or misaligned one
 * is a copy. */
wg_tensor *wgi_mapped_tensor(wgi_mapping *m, size_t begin, size_t bytes, wg_dtype t,
                             const wg_dims *shape);
#endif
