/* Unicode's normal forms (UAX #15) by utf8proc's tables, in linear time: utf8proc orders combining
 * marks by exchanging neighbours, which takes quadratic time for a long run of them. */
#ifndef WGI_TEXT_NORMAL_FORM_H
#define WGI_TEXT_NORMAL_FORM_H
#include "normalize.h"

/* Appends the normal form of text, n bytes; bytes that are no UTF-8 stay. WG_EMEM without raising.
 */
wg_status wgi_normal_form(wgi_norm_kind kind, const char *text, size_t n, wgi_buffer *out);
#endif
