/* Text from the model. */
#ifndef GPT2_TRAIN_SAMPLE_H
#define GPT2_TRAIN_SAMPLE_H
#include <wengert/wengert.h>

#include "settings.h"

/* Encodes what the sample begins with: at least one token, to be freed. -1 and a pending error. */
int64_t sample_prompt(const wg_tokens *tokens, const char *prompt, int64_t **ids);
/* Writes s->sample_length tokens after the n of prompt to stdout. The same step gives the same text, and the thread's
 * generator is left as it was. Ends early when *stop. A pending error is the caller's. */
void sample_print(wg_module *model, const wg_tokens *tokens, const settings *s,
                  const int64_t *prompt, int64_t n, int64_t step, const volatile int *stop);
#endif
