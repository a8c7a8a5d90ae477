#include "options.h"

#define AT(field) offsetof(settings, field)
#define ANY -1e300, 1e300

static const char *const vocabularies[] = { "chars", "bytes", NULL };
static const char *const norms[] = { "layer", "rms", NULL };
static const char *const positions[] = { "learned", "rope", "none", NULL };
static const char *const activations[] = { "gelu", "gelu_tanh", "relu", "silu", NULL };
static const char *const mlps[] = { "plain", "gated", NULL };
static const char *const optimizers[] = { "adamw", "adam", "sgd", "lion", "muon", NULL };
static const char *const schedules[] = { "constant", "linear", "cosine", "wsd", NULL };
static const char *const orders[] = { "random", "shuffled", "sequential", NULL };
static const char *const dtypes[] = { "f32", "bf16", "f16", NULL };

/* clang-format off */
const option options[] = {
    { "Files", .type = OPTION_SECTION },
    { "preset", OPTION_TEXT, AT(preset), "nano", "a set of defaults, see below", ANY, NULL },
    { "config", OPTION_TEXT, AT(config), "", "a file of `name = value` lines; flags go over it", ANY, NULL },
    { "data", OPTION_TEXT, AT(data), "", "a text, or a token shard of llm.c (.bin); default: build/data/kjv.txt", ANY, NULL },
    { "val-data", OPTION_TEXT, AT(val_data), "", "its own validation data; default: the last tenth of --data", ANY, NULL },
    { "vocabulary", OPTION_CHOICE, AT(vocabulary), "chars", "tokens of a text", ANY, vocabularies },
    { "out", OPTION_TEXT, AT(out), "out", "folder of the checkpoint and the log", ANY, NULL },
    { "log", OPTION_TEXT, AT(log), "", "a JSON object per step; default: OUT/log.jsonl", ANY, NULL },
    { "resume", OPTION_FLAG, AT(resume), "false", "go on from OUT's checkpoint, if there is one", ANY, NULL },

    { "Model", .type = OPTION_SECTION },
    { "layers", OPTION_INT, AT(layers), "4", "blocks", 1, 1e6, NULL },
    { "heads", OPTION_INT, AT(heads), "4", "attention heads", 1, 1e6, NULL },
    { "kv-heads", OPTION_INT, AT(kv_heads), "0", "heads of keys and values; 0: all", 0, 1e6, NULL },
    { "width", OPTION_INT, AT(width), "128", "channels", 1, 1e7, NULL },
    { "head-size", OPTION_INT, AT(head_size), "0", "channels a head; 0: width / heads", 0, 1e7, NULL },
    { "hidden", OPTION_INT, AT(hidden), "0", "channels inside the MLP; 0: the usual multiple of width", 0, 1e8, NULL },
    { "block", OPTION_INT, AT(block), "64", "context length", 1, 1e8, NULL },
    { "vocab-size", OPTION_INT, AT(vocab_size), "0", "outputs of the model; 0: as many as the data have tokens", 0, 1e9, NULL },
    { "norm", OPTION_CHOICE, AT(norm), "layer", "normalisation", ANY, norms },
    { "norm-eps", OPTION_REAL, AT(norm_eps), "1e-5", "added to its variance", 1e-30, 1, NULL },
    { "position", OPTION_CHOICE, AT(position), "learned", "how positions enter", ANY, positions },
    { "rope-base", OPTION_REAL, AT(rope_base), "10000", "of rope's angles", 1, 1e12, NULL },
    { "window", OPTION_INT, AT(window), "0", "attention reaches back so far; 0: all the way", 0, 1e9, NULL },
    { "activation", OPTION_CHOICE, AT(activation), "gelu", "of the MLP", ANY, activations },
    { "mlp", OPTION_CHOICE, AT(mlp), "plain", "kind of MLP; gated: down(act(gate x) * up x)", ANY, mlps },
    { "bias", OPTION_FLAG, AT(bias), "false", "biases in Linear and LayerNorm", ANY, NULL },
    { "tied", OPTION_FLAG, AT(tied), "true", "the output projection is the embedding", ANY, NULL },
    { "dropout", OPTION_REAL, AT(dropout), "0", "probability", 0, 0.999, NULL },

    { "Optimizer", .type = OPTION_SECTION },
    { "optimizer", OPTION_CHOICE, AT(optimizer), "adamw", "decay goes to matrices only", ANY, optimizers },
    { "lr", OPTION_REAL, AT(lr), "1e-3", "learning rate at its peak", 0, 1e3, NULL },
    { "matrix-lr", OPTION_REAL, AT(matrix_lr), "0.02", "muon's learning rate for matrices", 0, 1e3, NULL },
    { "weight-decay", OPTION_REAL, AT(weight_decay), "0.1", "", 0, 1e3, NULL },
    { "beta1", OPTION_REAL, AT(beta1), "0.9", "of adam, adamw, lion, muon's adamw", 1e-9, 0.9999999, NULL },
    { "beta2", OPTION_REAL, AT(beta2), "0.99", "likewise", 1e-9, 0.9999999, NULL },
    { "eps", OPTION_REAL, AT(eps), "1e-8", "of adam and adamw", 1e-30, 1, NULL },
    { "momentum", OPTION_REAL, AT(momentum), "0.95", "of sgd and muon", 0, 0.9999999, NULL },
    { "nesterov", OPTION_FLAG, AT(nesterov), "true", "of sgd", ANY, NULL },
    { "clip", OPTION_REAL, AT(clip), "1", "largest norm of the gradient; 0: any", 0, 1e9, NULL },
    { "schedule", OPTION_CHOICE, AT(schedule), "cosine", "of the learning rate, after the warm-up", ANY, schedules },
    { "warmup", OPTION_INT, AT(warmup), "100", "steps of warm-up", 0, 1e12, NULL },
    { "decay-steps", OPTION_INT, AT(decay_steps), "2000", "the step at which the schedule ends; 0: at --steps", 0, 1e12, NULL },
    { "cooldown", OPTION_INT, AT(cooldown), "0", "wsd: steps of decay at the end; 0: a fifth", 0, 1e12, NULL },
    { "min-lr", OPTION_REAL, AT(min_lr), "1e-4", "learning rate at the schedule's end", 0, 1e3, NULL },

    { "Run", .type = OPTION_SECTION },
    { "steps", OPTION_INT, AT(steps), "2000", "steps in all, those before a resume with them", 0, 1e12, NULL },
    { "batch", OPTION_INT, AT(batch), "12", "sequences a forward pass", 1, 1e9, NULL },
    { "accumulate", OPTION_INT, AT(accumulate), "1", "forward passes a step", 1, 1e9, NULL },
    { "order", OPTION_CHOICE, AT(order), "random", "of the training data: random places, or passes", ANY, orders },
    { "seed", OPTION_INT, AT(seed), "1337", "", 0, 9e15, NULL },
    { "dtype", OPTION_CHOICE, AT(dtype), "f32", "of products and attention; parameters stay f32; f16 scales the loss", ANY, dtypes },
    { "recompute", OPTION_FLAG, AT(recompute), "false", "compute blocks again in backward: less memory", ANY, NULL },
    { "device", OPTION_TEXT, AT(device), "cpu", "cpu, cuda or cuda:N", ANY, NULL },
    { "graph", OPTION_FLAG, AT(graph), "false", "CUDA: every step is one launch of a graph; the results are the same", ANY, NULL },
    { "threads", OPTION_INT, AT(threads), "0", "0: all; the results are the same", 0, 4096, NULL },
    { "eval-every", OPTION_INT, AT(eval_every), "250", "steps between evaluations over all validation data; 0: only at the end, -1: never", -1, 1e12, NULL },
    { "checkpoint-every", OPTION_INT, AT(checkpoint_every), "250", "steps between checkpoints; 0: only at the end, -1: never", -1, 1e12, NULL },
    { "print-every", OPTION_INT, AT(print_every), "10", "steps between lines where the output is no terminal", 1, 1e12, NULL },
    { "log-every", OPTION_INT, AT(log_every), "0", "steps whose losses are read together, and logged then: a GPU waits for the host each time; 0: 10 there, 1 on a CPU", 0, 1000, NULL },

    { "Sample", .type = OPTION_SECTION },
    { "sample-every", OPTION_INT, AT(sample_every), "0", "steps between samples; 0: only at the end, -1: never", -1, 1e12, NULL },
    { "sample-length", OPTION_INT, AT(sample_length), "500", "tokens", 0, 1e9, NULL },
    { "temperature", OPTION_REAL, AT(temperature), "0.8", "0: always the likeliest token", 0, 1e6, NULL },
    { "top-k", OPTION_INT, AT(top_k), "200", "only from so many of the likeliest; 0: from all", 0, 1e9, NULL },
    { "prompt", OPTION_TEXT, AT(prompt), "", "how the sample begins; default: a new line", ANY, NULL },
    { .name = NULL },
};

/* nanoGPT's models (config/train_shakespeare_char.py and its README), and GPT-2's four sizes (Radford et al. 2019) with the
 * learning rates of GPT-3's models of these sizes (Brown et al. 2020, table 2.1). */
static const char gpt2[] = "block = 1024\nvocab-size = 50257\nactivation = gelu_tanh\nbias = true\nbeta2 = 0.95\n"
                          "warmup = 700\nsteps = 20000\ndecay-steps = 20000\nbatch = 4\n";
const preset presets[] = {
    { "nano", "nanoGPT's model for a CPU: 4 layers, 128 channels, 64 characters", { "", "" } },
    { "shakespeare", "nanoGPT's character model: 6 layers, 384 channels, 256 characters",
      { "layers = 6\nheads = 6\nwidth = 384\nblock = 256\nbatch = 64\ndropout = 0.2\nsteps = 5000\ndecay-steps = 5000\n", "" } },
    { "gpt2", "124M parameters", { gpt2, "layers = 12\nheads = 12\nwidth = 768\nlr = 6e-4\nmin-lr = 6e-5\n" } },
    { "gpt2-medium", "355M parameters", { gpt2, "layers = 24\nheads = 16\nwidth = 1024\nlr = 3e-4\nmin-lr = 3e-5\n" } },
    { "gpt2-large", "774M parameters", { gpt2, "layers = 36\nheads = 20\nwidth = 1280\nlr = 2.5e-4\nmin-lr = 2.5e-5\n" } },
    { "gpt2-xl", "1558M parameters", { gpt2, "layers = 48\nheads = 25\nwidth = 1600\nlr = 2e-4\nmin-lr = 2e-5\n" } },
    { .name = NULL },
};
/* clang-format on */
