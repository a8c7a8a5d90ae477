/* The model and its optimizer, as the settings say. */
#ifndef GPT2_TRAIN_MODEL_H
#define GPT2_TRAIN_MODEL_H
#include <wengert/wengert.h>

#include "settings.h"

/* On the current device; NULL and a pending error. */
wg_module *model_new(const settings *s);
wg_optim *optimizer_new(const settings *s, wg_module *model);
wg_schedule schedule_of(const settings *s);
/* Parameters in all. */
int64_t model_size(wg_module *model);
#endif
