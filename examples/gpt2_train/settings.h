/* Everything that a run can be told. options.c has one table that says how each field is called, read and explained. */
#ifndef GPT2_TRAIN_SETTINGS_H
#define GPT2_TRAIN_SETTINGS_H
#include <stdbool.h>
#include <stdint.h>

#include "../common/options.h"
#include "../common/program.h"

/* Choices, in the order of their names in options.c. The model's four are the library's enumerators. */
enum { VOCABULARY_CHARS, VOCABULARY_BYTES };
enum { OPTIMIZER_ADAMW, OPTIMIZER_ADAM, OPTIMIZER_SGD, OPTIMIZER_LION, OPTIMIZER_MUON };
enum { ORDER_RANDOM, ORDER_SHUFFLED, ORDER_SEQUENTIAL };
enum { DTYPE_F32, DTYPE_BF16, DTYPE_F16 };

typedef struct {
    /* where from, where to */
    char preset[TEXT_SIZE], config[TEXT_SIZE], data[TEXT_SIZE], val_data[TEXT_SIZE], out[TEXT_SIZE];
    char log[TEXT_SIZE];
    int vocabulary;
    bool resume;
    /* model */
    int64_t layers, heads, kv_heads, width, head_size, hidden, block, vocab_size, window;
    int norm, position, activation, mlp;
    bool bias, tied;
    double norm_eps, rope_base, dropout;
    /* optimizer */
    int optimizer;
    double lr, matrix_lr, weight_decay, beta1, beta2, eps, momentum, clip;
    bool nesterov;
    int schedule;
    int64_t warmup, decay_steps, cooldown;
    double min_lr;
    /* run */
    int64_t steps, batch, accumulate, seed, threads;
    int order, dtype;
    bool recompute, graph;
    char device[TEXT_SIZE];
    int64_t eval_every, checkpoint_every, print_every, log_every;
    /* sample */
    int64_t sample_every, sample_length, top_k;
    double temperature;
    char prompt[TEXT_SIZE];
} settings;

/* Fills s from defaults, preset, configuration file and flags, each over the one before. Returns -1 to go on, else the exit
 * status: after --help 0, after a mistake (told on stderr in one line) 2. */
int settings_parse(settings *s, int argc, char **argv);
/* All of it as a configuration file. */
void settings_print(const settings *s);
#endif
