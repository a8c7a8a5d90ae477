/* The end of stores that go past the caches. */
#ifndef WGI_CPU_STREAM_H
#define WGI_CPU_STREAM_H
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Before another thread may read what was stored past the caches. */
static inline void wgi_stream_end(void)
{
#ifdef __SSE2__
    _mm_sfence();
#endif
}
#endif
