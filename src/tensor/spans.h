/* Large memory of the CPU: spans of regions that were fetched from the system. */
#ifndef WGI_TENSOR_SPANS_H
#define WGI_TENSOR_SPANS_H
#include <stddef.h>
#include <stdint.h>

/* A free span of at least so many bytes, 64-byte aligned; NULL: there is none. *whole: the bytes that it takes. */
void *wgi_spans_take(size_t bytes, int64_t *whole);
/* The same from a new region; NULL: the system has no memory. */
void *wgi_spans_grow(size_t bytes, int64_t *whole);
/* Back from either; returns the bytes that it took. */
int64_t wgi_spans_give(void *p);
/* Unmaps regions that are wholly free, those that have been the longest first, until `most` bytes are; returns how many
 * were. */
int64_t wgi_spans_trim(int64_t most);
/* Bytes that are free, in regions that are mapped. */
int64_t wgi_spans_free_bytes(void);

/* From the system, at a 2 MiB boundary, with a wish for huge pages; NULL: none. */
void *wgi_map(size_t bytes);
#endif
