/* The tokens that are trained on and validated on. */
#ifndef GPT2_TRAIN_CORPUS_H
#define GPT2_TRAIN_CORPUS_H
#include <wengert/wengert.h>

#include "settings.h"

typedef struct {
    wg_tokens *train, *val; /* parts of one file, or two files */
    wg_loader *batches;     /* of train, as s->order says */
    wg_loader *validation;  /* of val, one pass over all of it */
} corpus;

/* False and an error, pending or told; corpus_close is needed all the same. */
bool corpus_open(corpus *c, settings *s);
void corpus_close(corpus *c);
#endif
