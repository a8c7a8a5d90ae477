#include "settings.h"

#include <string.h>

#define AT(field) offsetof(settings, field)
#define ANY -1e300, 1e300

static const char *const kinds[] = { "auto", "hf", "gguf", "adapter", NULL };
static const char *const dtypes[] = { "same", "f32", "f16", "bf16", "q8_0", "q4_0", NULL };
static const char *const schedules[] = { "constant", "linear", "cosine", NULL };

/* clang-format off */
static const option options[] = {
    { "Files", .type = OPTION_SECTION },
    { "model", OPTION_TEXT, AT(model), "", "a Hugging Face folder, a GGUF file, llama2.c's or llm.c's .bin", ANY, NULL },
    { "tokenizer", OPTION_TEXT, AT(tokenizer), "", "a tokenizer; default: the model's own", ANY, NULL },
    { "data", OPTION_TEXT, AT(data), "", "a text, or JSON lines (.jsonl) of prompt and completion (or answer), or text", ANY, NULL },
    { "held-out", OPTION_TEXT, AT(held_out), "0.1", "a file like --data, or the part of it, from its end, that is not learned", ANY, NULL },
    { "out", OPTION_TEXT, AT(out), "", "what is written: a folder, or a GGUF file", ANY, NULL },
    { "out-kind", OPTION_CHOICE, AT(out_kind), "auto", "adapter: PEFT's folder; auto: by --lora, --merge and the name's end", ANY, kinds },
    { "dtype", OPTION_CHOICE, AT(dtype), "same", "of the matrices written; q8_0 and q4_0 in GGUF alone", ANY, dtypes },
    { "log", OPTION_TEXT, AT(log), "", "a JSON object per step; default: none", ANY, NULL },

    { "Adapters", .type = OPTION_SECTION },
    { "lora", OPTION_INT, AT(lora), "0", "rank of the adapters that learn instead of the weights; 0: all weights learn", 0, 65536, NULL },
    { "lora-alpha", OPTION_REAL, AT(lora_alpha), "16", "the adapters' scale is this divided by the rank", 1e-6, 1e6, NULL },
    { "lora-targets", OPTION_TEXT, AT(lora_targets), "", "globs over names of linears, with commas; default: queries, keys, values", ANY, NULL },
    { "lora-dropout", OPTION_REAL, AT(lora_dropout), "0", "of their inputs", 0, 0.999, NULL },
    { "rslora", OPTION_FLAG, AT(rslora), "false", "divide by the rank's square root", ANY, NULL },
    { "merge", OPTION_FLAG, AT(merge), "false", "add them into the weights and write the model", ANY, NULL },

    { "Data", .type = OPTION_SECTION },
    { "block", OPTION_INT, AT(block), "0", "tokens of a sequence; 0: 256, or the model's block if that is less", 0, 1e8, NULL },
    { "batch", OPTION_INT, AT(batch), "4", "sequences a forward pass", 1, 1e6, NULL },
    { "accumulate", OPTION_INT, AT(accumulate), "1", "forward passes a step", 1, 1e6, NULL },
    { "learn-prompt", OPTION_FLAG, AT(learn_prompt), "false", "the loss on the prompt too", ANY, NULL },
    { "refuse-long", OPTION_FLAG, AT(refuse_long), "false", "examples above the block are errors; else the prompt's beginning is cut", ANY, NULL },
    { "special", OPTION_FLAG, AT(special), "true", "special tokens spelled in the data become their ids", ANY, NULL },

    { "Optimizer (AdamW; decay goes to matrices only)", .type = OPTION_SECTION },
    { "lr", OPTION_REAL, AT(lr), "0", "learning rate at its peak; 0: 2e-4 for adapters, 5e-5 for all weights", 0, 1e3, NULL },
    { "schedule", OPTION_CHOICE, AT(schedule), "cosine", "after the warm-up; down to a tenth at the last step", ANY, schedules },
    { "warmup", OPTION_INT, AT(warmup), "10", "steps of warm-up", 0, 1e12, NULL },
    { "weight-decay", OPTION_REAL, AT(weight_decay), "0", "", 0, 1e3, NULL },
    { "clip", OPTION_REAL, AT(clip), "1", "largest norm of the gradient; 0: any", 0, 1e9, NULL },

    { "Run", .type = OPTION_SECTION },
    { "steps", OPTION_INT, AT(steps), "100", "", 0, 1e12, NULL },
    { "seed", OPTION_INT, AT(seed), "1337", "", 0, 9e15, NULL },
    { "device", OPTION_TEXT, AT(device), "cpu", "cpu, cuda or cuda:N", ANY, NULL },
    { "threads", OPTION_INT, AT(threads), "0", "0: all; the results are the same", 0, 4096, NULL },
    { "eval-every", OPTION_INT, AT(eval_every), "0", "steps between evaluations; they are made before and after all the same", 0, 1e12, NULL },
    { "print-every", OPTION_INT, AT(print_every), "10", "steps between lines, where output is no terminal", 1, 1e12, NULL },
    { "recompute", OPTION_FLAG, AT(recompute), "false", "compute blocks again in backward: less memory", ANY, NULL },
    { .name = NULL },
};
/* clang-format on */

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

/* What --out is where nobody said so. */
static void choose_kind(settings *s)
{
    if (s->out_kind != OUT_AUTO) return;
    s->out_kind = s->lora && !s->merge ? OUT_ADAPTER : ends_in(s->out, ".gguf") ? OUT_GGUF : OUT_HF;
}

static bool check(settings *s)
{
    if (!*s->model) return complain("--model is missing (see --help)");
    if (!*s->data) return complain("--data is missing (see --help)");
    if (!*s->out) return complain("--out is missing (see --help)");
    choose_kind(s);
    if (s->merge && !s->lora) return complain("--merge: there are no adapters without --lora");
    if (s->out_kind == OUT_ADAPTER && (!s->lora || s->merge))
        return complain("--out-kind adapter: needs --lora, without --merge");
    if (s->out_kind != OUT_ADAPTER && s->lora && !s->merge)
        return complain("--out-kind %s: needs --merge, or no --lora", kinds[s->out_kind]);
    if (s->out_kind == OUT_ADAPTER && s->dtype != DTYPE_SAME)
        return complain("--dtype: adapters are written as they are, in f32");
    if (s->out_kind == OUT_HF && s->dtype >= DTYPE_Q8_0)
        return complain("--dtype %s: only GGUF has it", dtypes[s->dtype]);
    if (s->lr == 0) s->lr = s->lora ? 2e-4 : 5e-5;
    return true;
}

int settings_parse(settings *s, int argc, char **argv)
{
    memset(s, 0, sizeof *s);
    options_default(s, options);
    if (options_want_help(argc, argv)) {
        puts(
            "finetune: goes on training a model on your text, all of it or low-rank adapters (LoRA).\n\n"
            "usage: finetune --model PATH --data FILE --out PATH [--NAME VALUE]...\n\n"
            "With --lora the weights stay as they are, mapped or quantised; without it they are\n"
            "copied to f32, quantised ones too. Ctrl-C ends the step, writes what there is and\n"
            "leaves with status 130. Other endings: 0 done, 1 failed, 2 a mistake in the options.");
        options_help(s, options);
        return 0;
    }
    return options_read(s, options, argc, argv) && check(s) ? -1 : MISTAKE;
}
