#include "corpus.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* By name, or by the first four bytes of llm.c's format. */
static bool is_shard(const char *path)
{
    const size_t n = strlen(path);
    if (n > 4 && !strcmp(path + n - 4, ".bin")) return true;
    FILE *f = fopen(path, "rb");
    int32_t magic = 0;
    const bool read = f && fread(&magic, sizeof magic, 1, f) == 1;
    if (f) fclose(f);
    return read && magic == 20240520;
}

static wg_tokens *open_tokens(const char *path, const settings *s)
{
    if (is_shard(path)) return wg_tokens_shard(path);
    return wg_tokens_text(path, s->vocabulary == VOCABULARY_BYTES ? WG_BYTES : WG_CHARS);
}

/* The text that scripts/train makes: from the folder above build/, or from anywhere beside this program. */
static bool find_default(char path[TEXT_SIZE])
{
    strcpy(path, "build/data/kjv.txt");
    if (access(path, R_OK) == 0) return true;
    static const char beside[] = "/../data/kjv.txt";
    const ssize_t n = readlink("/proc/self/exe", path, TEXT_SIZE - sizeof beside);
    if (n > 0) {
        path[n] = '\0';
        char *slash = strrchr(path, '/');
        if (slash) strcpy(slash, beside);
        if (slash && access(path, R_OK) == 0) return true;
    }
    return complain("no --data given, and no build/data/kjv.txt: scripts/train makes it");
}

/* The first nine tenths and the last one, or a second file. */
static void split(corpus *c, wg_tokens *all, const settings *s)
{
    const int64_t n = wg_tokens_count(all), cut = *s->val_data ? n : n / 10 * 9 + n % 10 * 9 / 10;
    c->train = wg_tokens_part(all, 0, cut);
    c->val = *s->val_data ? open_tokens(s->val_data, s) : wg_tokens_part(all, cut, n);
}

static bool check(const corpus *c, const settings *s)
{
    const long long train = wg_tokens_count(c->train), val = wg_tokens_count(c->val),
                    block = s->block;
    if (train <= block)
        return complain("%s: too short: %lld tokens to train on, a block of %lld needs %lld",
                        s->data, train, block, block + 1);
    if (val < 2)
        return complain("%s: too short: %lld tokens to validate on, 2 are needed", s->data, val);
    if (wg_tokens_vocab(c->train) != wg_tokens_vocab(c->val) ||
        (*s->val_data && !is_shard(s->val_data) && s->vocabulary == VOCABULARY_CHARS))
        return complain(
            "--val-data: two files have one vocabulary only as two shards, or two texts with --vocabulary bytes");
    if (s->vocab_size && s->vocab_size < wg_tokens_vocab(c->train))
        return complain("--vocab-size: %lld is below the data's %lld", (long long)s->vocab_size,
                        (long long)wg_tokens_vocab(c->train));
    return true;
}

bool corpus_open(corpus *c, settings *s)
{
    *c = (corpus) { 0 };
    if (!*s->data && !find_default(s->data)) return false;
    wg_tokens *all = open_tokens(s->data, s);
    if (!all) return false;
    split(c, all, s);
    wg_tokens_free(all);
    if (!c->train || !c->val || !check(c, s)) return false;
    if (s->vocab_size == 0) s->vocab_size = wg_tokens_vocab(c->train);
    c->batches = wg_loader_new(.tokens = c->train, .batch = s->batch, .block = s->block,
                               .seed = (uint64_t)s->seed, .sequential = s->order != ORDER_RANDOM,
                               .shuffle = s->order == ORDER_SHUFFLED);
    c->validation =
        wg_loader_new(.tokens = c->val, .batch = s->batch, .block = s->block, .sequential = true);
    return c->batches && c->validation;
}

void corpus_close(corpus *c)
{
    wg_loader_free(c->batches);
    wg_loader_free(c->validation);
    wg_tokens_free(c->train);
    wg_tokens_free(c->val);
}
