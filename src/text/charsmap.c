/* SentencePiece's precompiled_charsmap: 4 bytes size of the double array, the array, the texts.
 * Sources: src/normalizer.cc of SentencePiece; darts.h of Darts-clone, whose units hold a label
 * (low byte), an offset (bits 10 on, shifted by 8 more if bit 9 is set), bit 8: a leaf follows,
 * bit 31: a leaf, whose other bits are its value. All integers are little-endian. */
#include <stdlib.h>
#include <string.h>

#include "normalize.h"
#include "tensor/internal.h"

wg_status wgi_charsmap_read(wgi_charsmap *m, const char *blob, size_t n, const char *what)
{
    uint32_t size = 0;
    if (n >= 4) memcpy(&size, blob, 4);
    if (n < 4 || size > n - 4 || size % 4 || size == 0 || size == n - 4 || blob[n - 1])
        return wg_raise(WG_EFORMAT, "%s: its character map is malformed", what);
    m->n = size / 4;
    m->size = n - 4 - size;
    m->units = wgi_malloc(size);
    m->texts = wgi_malloc(m->size);
    if (!m->units || !m->texts) return wg_raise(WG_EMEM, "%s: out of memory", what);
    memcpy(m->units, blob + 4, size);
    memcpy(m->texts, blob + 4 + size, m->size);
    return WG_OK;
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

size_t wgi_charsmap_find(const wgi_charsmap *m, const char *text, size_t n, const char **to)
{
    size_t longest = 0;
    uint32_t at = m->n ? offset_of(m->units[0]) : 0;
    for (size_t i = 0; m->n && i < n; i++) {
        at ^= (uint8_t)text[i];
        if (at >= m->n) break;
        const uint32_t unit = m->units[at];
        if ((unit & 0x800000FFu) != (uint8_t)text[i]) break;
        at ^= offset_of(unit);
        if (!(unit & 0x100) || at >= m->n) continue;
        const uint32_t value = m->units[at] & 0x7FFFFFFFu;
        if (value >= m->size) continue;
        longest = i + 1;
        *to = m->texts + value;
    }
    return longest;
}
