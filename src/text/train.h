/* Counting for training: distinct words, and pairs of neighbours with the words that hold them. */
#ifndef WGI_TEXT_TRAIN_H
#define WGI_TEXT_TRAIN_H
#include "tokenizer.h"

typedef struct {
    int64_t count; /* how often the text has it */
    int32_t *ids;  /* (n) what it consists of by now */
    uint32_t n;
} wgi_count_word;

/* The distinct words of a text in the order in which they come. */
typedef struct {
    wgi_vocab spelled; /* id k: the bytes of word k */
    wgi_index index;
    wgi_count_word *words; /* (n) */
    int64_t n, room;
} wgi_word_counts;
/* Counts one more word; a wgi_word_fn. */
wg_status wgi_count_word_once(void *self, const char *word, size_t n);
void wgi_word_counts_free(wgi_word_counts *c);

typedef struct {
    uint64_t key; /* as wgi_pair_key; WGI_NO_PAIR: empty */
    int64_t count;
    int64_t *words; /* (n) that hold it, or held it once */
    int64_t n, room;
} wgi_pair_count;
typedef struct {
    wgi_pair_count *slots;
    uint64_t room; /* a power of two, at most half full */
    int64_t n;
} wgi_pair_counts;
/* Adds `change` to the pair's count; word is noted where it is above 0. WG_EMEM without raising. */
wg_status wgi_pair_counts_add(wgi_pair_counts *p, uint64_t key, int64_t change, int64_t word);
wgi_pair_count *wgi_pair_counts_find(const wgi_pair_counts *p, uint64_t key); /* NULL: none */
void wgi_pair_counts_free(wgi_pair_counts *p);
#endif
