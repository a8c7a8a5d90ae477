/* A tensor's elements into a file. */
#ifndef WGI_IO_ELEMENTS_H
#define WGI_IO_ELEMENTS_H
#include "io/replace.h"
#include "wengert/base.h"

enum { WGI_PIECE = 1 << 22 }; /* bytes of a tensor brought to the CPU at a time */

/* t's elements in row-major order; room: (WGI_PIECE) bytes for what lies elsewhere or in another
 * order. Raises; the caller then aborts r. */
wg_status wgi_write_elements(wgi_replace *r, wg_tensor *t, void *room);
#endif
