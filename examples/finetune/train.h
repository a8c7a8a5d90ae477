/* One run: open, learn, evaluate, write. */
#ifndef FINETUNE_TRAIN_H
#define FINETUNE_TRAIN_H
#include "settings.h"

/* Runs until s->steps or until *stop is set, then writes. False when it failed and said so. */
bool train(const settings *s, const volatile int *stop);
#endif
