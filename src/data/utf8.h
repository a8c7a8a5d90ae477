/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef WGI_DATA_UTF8_H
#define WGI_DATA_UTF8_H
#include <stddef.h>
#include <stdint.h>

enum { WGI_CODE_POINTS = 0x110000 };

/* Decodes the character at p, of at most n bytes, into *c. Returns its length; 0 where it is
 * malformed. */
static inline int wgi_utf8_decode(const unsigned char *p, size_t n, uint32_t *c)
{
    if (n == 0) return 0;
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    const int length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < (size_t)length) return 0;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t v = p[0] & (0xFFu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    if (v < least[length] || v >= WGI_CODE_POINTS || (v >= 0xD800 && v < 0xE000)) return 0;
    *c = v;
    return length;
}

/* Encodes c, a valid code point; returns the length, at most 4. */
static inline int wgi_utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80u | (c & 0x3Fu));
    out[0] = (char)((0xF00u >> length & 0xFFu) | c);
    return length;
}
#endif
