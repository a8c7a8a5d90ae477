/* Megabytes a second of encoding and decoding, one thread: the text as it is, and a megabyte and
 * four of one letter. usage: tokenize TOKENIZER TEXT */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { ROUNDS = 5 };

/* The best of some rounds. */
static void measure(const wg_tokenizer *t, const char *name, const char *text, int64_t bytes)
{
    double encode = 1e9, decode = 1e9;
    int64_t n = 0;
    for (int i = 0; i < ROUNDS && !wg_error_code(); i++) {
        int64_t *ids;
        const double start = now();
        n = wg_tokenizer_encode(t, text, bytes, &ids);
        const double middle = now();
        free(wg_tokenizer_decode(t, ids, n < 0 ? 0 : n, NULL));
        const double end = now();
        if (middle - start < encode) encode = middle - start;
        if (end - middle < decode) decode = end - middle;
        free(ids);
    }
    printf("%-24s %8.2f MB %9lld tokens  encode %6.1f MB/s  decode %6.1f MB/s\n", name,
           (double)bytes / 1e6, (long long)n, (double)bytes / 1e6 / encode,
           (double)bytes / 1e6 / decode);
}

int main(int argc, char **argv)
{
    FILE *f = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!f) return fprintf(stderr, "usage: tokenize TOKENIZER TEXT\n"), 1;
    enum { ROOM = 64 << 20 };
    char *text = malloc(ROOM);
    const int64_t bytes = text ? (int64_t)fread(text, 1, ROOM, f) : 0;
    fclose(f);
    const double start = now();
    wg_tokenizer *t = wg_tokenizer_open(argv[1]);
    printf("opened in %.0f ms\n", 1e3 * (now() - start));
    measure(t, "text", text, bytes);
    for (int megabytes = 1; text && megabytes <= 4; megabytes *= 4) {
        memset(text, 'a', (size_t)megabytes << 20);
        measure(t, "one letter", text, (int64_t)megabytes << 20);
        memset(text, ' ', (size_t)megabytes << 20);
        measure(t, "spaces", text, (int64_t)megabytes << 20);
    }
    free(text);
    wg_tokenizer_free(t);
    return wg_error_print(stderr);
}
