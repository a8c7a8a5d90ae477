/* One run: steps, evaluations, samples, checkpoints. */
#ifndef GPT2_TRAIN_TRAIN_H
#define GPT2_TRAIN_TRAIN_H
#include "settings.h"

/* Runs until s->steps or until *stop is set, then saves. False when it failed and said so. */
bool train(settings *s, const volatile int *stop);
#endif
