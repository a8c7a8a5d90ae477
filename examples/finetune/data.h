/* What is learned and what is held out. */
#ifndef FINETUNE_DATA_H
#define FINETUNE_DATA_H
#include <wengert/wengert.h>

#include "../common/encode.h"
#include "settings.h"

typedef struct {
    wg_tokenizer *own; /* not the model's */
    encoder encoder;
    wg_loader *batches;  /* of a text at random places, of examples in random order */
    wg_loader *held_out; /* one pass over all of it; NULL: none */
    char what[160];      /* in words */
} data;

/* False and an error, pending or told; data_close is needed all the same. */
bool data_open(data *d, const wg_model *model, const settings *s);
void data_close(data *d);
#endif
