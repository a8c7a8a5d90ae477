/* Everything that a run can be told; settings.c has the table. */
#ifndef FINETUNE_SETTINGS_H
#define FINETUNE_SETTINGS_H
#include <stdint.h>

#include "../common/options.h"
#include "../common/program.h"

/* Choices, in the order of their names in settings.c. */
enum { OUT_AUTO, OUT_HF, OUT_GGUF, OUT_ADAPTER };
enum { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE };
enum { DTYPE_SAME, DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_Q8_0, DTYPE_Q4_0 };

typedef struct {
    char model[TEXT_SIZE], tokenizer[TEXT_SIZE], data[TEXT_SIZE], held_out[TEXT_SIZE];
    char out[TEXT_SIZE], log[TEXT_SIZE];
    int out_kind, dtype;
    bool merge;
    /* adapters */
    int64_t lora;
    double lora_alpha, lora_dropout;
    char lora_targets[TEXT_SIZE];
    bool rslora;
    /* data */
    int64_t block, batch, accumulate;
    bool learn_prompt, refuse_long, special;
    /* optimizer */
    double lr, weight_decay, clip;
    int schedule;
    int64_t warmup;
    /* run */
    char device[TEXT_SIZE];
    int64_t steps, seed, threads, eval_every, print_every;
    bool recompute;
} settings;

/* Returns -1 to go on, else the exit status: after --help 0, after a mistake (told in one line) 2. */
int settings_parse(settings *s, int argc, char **argv);
#endif
