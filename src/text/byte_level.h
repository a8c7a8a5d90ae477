/* GPT-2's spelling of bytes as printable characters, in which byte-level vocabularies are stored
 * (Radford et al. 2019, encoder.py, bytes_to_unicode): ! to ~, ¡ to ¬ and ® to ÿ are themselves,
 * the other 68 bytes are U+0100 and on, in their order. */
#ifndef WGI_TEXT_BYTE_LEVEL_H
#define WGI_TEXT_BYTE_LEVEL_H
#include <stddef.h>
#include <stdint.h>

/* The code point that spells a byte. */
uint32_t wgi_byte_spelling(uint8_t byte);
/* The k-th byte in the order of its spelling, which is that of GPT-2's ids. */
uint8_t wgi_byte_in_order(int k);
/* Bytes into their spelling: at most 2 * n bytes of UTF-8 into out; returns how many. */
size_t wgi_spell_bytes(const char *bytes, size_t n, char *out);
/* The other way, at most n bytes into out; -1 if a character spells no byte. */
int64_t wgi_unspell_bytes(const char *text, size_t n, char *out);
#endif
