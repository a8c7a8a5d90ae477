/* Stores that go past the caches, for results too large to be found there again: memory is not read before it is written. */
#ifndef WGI_CPU_STREAM_H
#define WGI_CPU_STREAM_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Copies bytes; call wgi_stream_end before another thread may read them. */
static inline void wgi_stream(void *to, const void *from, size_t bytes)
{
#ifdef __SSE2__
    char *y = to;
    const char *x = from;
    if ((uintptr_t)y % 16 == 0)
        for (; bytes >= 16; bytes -= 16, x += 16, y += 16)
            _mm_stream_si128((__m128i *)(void *)y,
                             _mm_loadu_si128((const __m128i *)(const void *)x));
    memcpy(y, x, bytes);
#else
    memcpy(to, from, bytes);
#endif
}

static inline void wgi_stream_end(void)
{
#ifdef __SSE2__
    _mm_sfence();
#endif
}
#endif
