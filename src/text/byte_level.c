#include "byte_level.h"

#include <stdbool.h>

static bool is_itself(uint32_t c)
{
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

/* The 68 others in their order: 00 to 20, 7F to A0, AD. */
uint32_t wgi_byte_spelling(uint8_t byte)
{
    if (is_itself(byte)) return byte;
    return 0x100 + (byte <= 0x20 ? byte : byte <= 0xA0 ? 33u + byte - 0x7F : 67u);
}

uint8_t wgi_byte_in_order(int k)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t b = 0; b < 256; b++)
            if (is_itself(b) == !pass && k-- == 0) return (uint8_t)b;
    return 0;
}

/* The byte that code point c spells; -1: none. */
static int byte_of(uint32_t c)
{
    if (c < 0x100) return is_itself(c) ? (int)c : -1;
    const int k = (int)c - 0x100;
    return k < 33 ? k : k < 67 ? 0x7F + k - 33 : k == 67 ? 0xAD : -1;
}

size_t wgi_spell_bytes(const char *bytes, size_t n, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t c = wgi_byte_spelling((uint8_t)bytes[i]);
        if (c < 0x80) {
            out[size++] = (char)c;
            continue;
        }
        out[size++] = (char)(0xC0 | c >> 6); /* all below U+0800 */
        out[size++] = (char)(0x80 | (c & 0x3F));
    }
    return size;
}

int64_t wgi_unspell_bytes(const char *text, size_t n, char *out)
{
    int64_t size = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint8_t)text[i];
        if (c >= 0x80) {
            if (c < 0xC2 || c >= 0xE0 || i + 1 == n)
                return -1; /* spellings have two bytes at most */
            c = (c & 0x1F) << 6 | ((uint8_t)text[++i] & 0x3F);
        }
        const int byte = byte_of(c);
        if (byte < 0) return -1;
        out[size++] = (char)byte;
    }
    return size;
}
