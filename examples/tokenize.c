/* A text as token ids and back, by any tokenizer that the library opens, and new ones trained. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wengert/wengert.h>

static const char usage[] =
    "usage: tokenize --tokenizer PATH [--bos] [--special] [FILE]   text to ids on one line\n"
    "       tokenize --tokenizer PATH --decode [--skip-special] [FILE]   ids to text\n"
    "       tokenize --train SIZE --out FILE [TEXT]   a byte-level BPE vocabulary of SIZE tokens\n"
    "\n"
    "PATH: a folder, tokenizer.json, vocab.json or merges.txt, encoder.json or vocab.bpe,\n"
    "      tokenizer.model, tokenizer.bin (llama2.c), a GGUF file\n"
    "FILE: standard input if there is none; all of its bytes count, a line end too\n"
    "--bos: begin with the token that begins texts\n"
    "--special: special tokens spelled in the text become their ids\n"
    "--skip-special: special tokens give no text\n";

typedef struct {
    const char *tokenizer, *train, *out, *file;
    bool bos, special, decode, skip_special;
} options;

static int fail(const char *what, const char *which)
{
    fprintf(stderr, "tokenize: %s%s\n", what, which);
    return 1;
}

/* True if argv[*i] is this flag, whose value follows and is put into *value. */
static bool takes(char **argv, int *i, const char *flag, const char **value)
{
    if (strcmp(argv[*i], flag) != 0) return false;
    *value = argv[*i + 1];
    *i += *value != NULL;
    return true;
}

static int parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        if (takes(argv, &i, "--tokenizer", &o->tokenizer) || takes(argv, &i, "--out", &o->out) ||
            takes(argv, &i, "--train", &o->train))
            continue;
        if (strcmp(argv[i], "--bos") == 0)
            o->bos = true;
        else if (strcmp(argv[i], "--special") == 0)
            o->special = true;
        else if (strcmp(argv[i], "--decode") == 0)
            o->decode = true;
        else if (strcmp(argv[i], "--skip-special") == 0)
            o->skip_special = true;
        else if (argv[i][0] == '-' && argv[i][1])
            return fail("no such option: ", argv[i]);
        else if (o->file)
            return fail("more than one file: ", argv[i]);
        else
            o->file = argv[i];
    }
    if (!o->tokenizer == !o->train)
        return fail("give --tokenizer or --train; --help says more", "");
    if (!o->train != !o->out) return fail("--train SIZE and --out FILE go together", "");
    return 0;
}

/* All bytes of the file (standard input for NULL), with a NUL behind them; NULL with a message. */
static char *read_all(const char *path, int64_t *bytes)
{
    FILE *f = path && strcmp(path, "-") ? fopen(path, "rb") : stdin;
    char *text = NULL;
    size_t n = 0, room = 0;
    for (size_t got = 1; f && got;) {
        if (room - n < 2) {
            room = room ? 2 * room : 1 << 16;
            char *larger = realloc(text, room);
            if (!larger) break;
            text = larger;
        }
        got = fread(text + n, 1, room - n - 1, f);
        n += got;
    }
    const bool whole = f && feof(f) && !ferror(f);
    if (!whole) {
        fprintf(stderr, "tokenize: %s: %s\n", path ? path : "standard input", strerror(errno));
        free(text);
        text = NULL;
    }
    if (f && f != stdin) fclose(f);
    if (!text) return NULL;
    text[n] = '\0';
    *bytes = (int64_t)n;
    return text;
}

static int encode(const wg_tokenizer *t, const options *o, const char *text, int64_t bytes)
{
    int64_t *ids;
    const int64_t n =
        wg_tokenizer_encode(t, text, bytes, &ids, .bos = o->bos, .special = o->special);
    for (int64_t i = 0; i < n; i++) printf(i ? " %lld" : "%lld", (long long)ids[i]);
    if (n >= 0) putchar('\n');
    free(ids);
    return wg_error_print(stderr);
}

/* Numbers apart by white space, into a new array; -1 with a message. */
static int64_t read_ids(const char *text, int64_t bytes, int64_t **ids)
{
    *ids = malloc((size_t)(bytes / 2 + 1) * sizeof **ids);
    int64_t n = 0;
    for (const char *at = text; *ids;) {
        at += strspn(at, " \t\r\n");
        if (!*at) return n;
        char *end;
        errno = 0;
        (*ids)[n++] = strtoll(at, &end, 10);
        if (end == at || errno || !strchr(" \t\r\n", *end)) {
            fprintf(stderr, "tokenize: no id: \"%.*s\"\n", (int)strcspn(at, " \t\r\n"), at);
            return -1;
        }
        at = end;
    }
    fail("out of memory", "");
    return -1;
}

static int decode(const wg_tokenizer *t, const options *o, const char *text, int64_t bytes)
{
    int64_t *ids, size;
    const int64_t n = read_ids(text, bytes, &ids);
    char *out =
        n < 0 ? NULL : wg_tokenizer_decode(t, ids, n, &size, .skip_special = o->skip_special);
    if (out) fwrite(out, 1, (size_t)size, stdout);
    free(out);
    free(ids);
    return wg_error_print(stderr) || n < 0;
}

static int train(const options *o, const char *text, int64_t bytes)
{
    char *end;
    const long long size = strtoll(o->train, &end, 10);
    if (!*o->train || *end) return fail("--train: no number: ", o->train);
    wg_tokenizer *t = wg_tokenizer_train(text, bytes, size);
    if (t && wg_tokenizer_save(t, o->out) == WG_OK)
        fprintf(stderr, "%s: %lld tokens\n", o->out, (long long)wg_tokenizer_size(t));
    wg_tokenizer_free(t);
    return wg_error_print(stderr);
}

int main(int argc, char **argv)
{
    options o = { 0 };
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (parse(argc, argv, &o)) return 1;
    wg_tokenizer *t = o.tokenizer ? wg_tokenizer_open(o.tokenizer) : NULL;
    if (o.tokenizer && !t) return wg_error_print(stderr);
    int64_t bytes;
    char *text = read_all(o.file, &bytes);
    int failed = !text;
    if (text && o.train)
        failed = train(&o, text, bytes);
    else if (text)
        failed = o.decode ? decode(t, &o, text, bytes) : encode(t, &o, text, bytes);
    free(text);
    wg_tokenizer_free(t);
    if (fflush(stdout) != 0 || ferror(stdout)) return fail("cannot write: ", strerror(errno));
    return failed;
}
