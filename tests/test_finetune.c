/* The programs finetune and evaluate as their users meet them. FINETUNE and EVALUATE are their paths. */
#include <jansson.h>
#include <math.h>

#include "data_file.h"
#include "program.h"
#include "suite.h"

/* ---- a small model and data -------------------------------------------------------------------- */

static const char words[] =
    "the quick brown fox jumps over the lazy dog; pack my box with five dozen jugs. #1\n";

static const char *text_file(void)
{
    char text[6001];
    for (int i = 0; i < 6000; i++) text[i] = words[(i * 7 / 5) % (int)(sizeof words - 1)];
    text[6000] = '\0';
    put_text(in_folder("text.txt"), text);
    return in_folder("text.txt");
}

static const char *examples_file(void)
{
    char text[8192] = "";
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), 128, "{\"prompt\": \"box %d \", \"completion\": \"%s\"}\n",
                 i % 7, i % 2 ? "the lazy dog" : "five dozen jugs");
    put_text(in_folder("examples.jsonl"), text);
    return in_folder("examples.jsonl");
}

/* The others' base: random weights in a Hugging Face folder "base" and a file "base.gguf". */
START_TEST(a_model_from_parts_is_written)
{
    const wg_scope s = wg_scope_push();
    wg_seed(11);
    wg_tokenizer *t = wg_tokenizer_train(words, sizeof words - 1, 280);
    wg_transformer_config c = wg_llama_config(2, 4, 2, 32, 64, wg_tokenizer_size(t), 64);
    c.names = WG_NAMES_HF_LLAMA;
    wg_model *m = wg_model_wrap(wg_transformer_new(&c), t);
    ck_assert_int_eq(wg_model_save(m, in_folder("base"), .kind = WG_FILE_HF), WG_OK);
    ck_assert_int_eq(wg_model_save(m, in_folder("base.gguf"), .kind = WG_FILE_GGUF), WG_OK);
    wg_model_free(m);
    pop(s);
}
END_TEST

/* Logits (1, 24, V) of the model at path, with an adapter's folder if that is not NULL. */
static wg_tensor *logits(const char *path, const char *adapter)
{
    wg_model *m = wg_model_open(path);
    expect_no_error();
    if (adapter) ck_assert_int_eq(wg_lora_load(wg_model_module(m), adapter), WG_OK);
    int64_t ids[24];
    for (int i = 0; i < 24; i++) ids[i] = (i * 37 + 5) % 256;
    wg_use_grad(false);
    wg_tensor *y = wg_forward(wg_model_module(m), wg_from(ids, sizeof ids, WG_I64, WG_DIMS(1, 24)));
    expect_no_error();
    wg_model_free(m);
    return y;
}

/* The largest difference, by the largest of b. */
static double distance(wg_tensor *a, wg_tensor *b)
{
    ck_assert_int_eq(wg_numel(a), wg_numel(b));
    return wg_item(wg_max(wg_abs(wg_sub(a, b)), WG_ALL, false)) /
           wg_item(wg_max(wg_abs(b), WG_ALL, false));
}

/* The number behind `name` in the program's output. */
static double said(const char *name)
{
    const char *at = strstr(output("stdout"), name);
    ck_assert_msg(at != NULL, "no '%s': %s", name, output("stdout"));
    return strtod(at + strlen(name), NULL);
}

#define SMALL                                                                                      \
    "--steps", "40", "--batch", "4", "--block", "24", "--warmup", "2", "--threads", "1", "--lr",   \
        "1e-2"

/* ---- finetune ---------------------------------------------------------------------------------- */

START_TEST(help_says_what_there_is)
{
    ck_assert_int_eq(RUN("--help"), 0);
    const char *text = output("stdout");
    static const char *const wanted[] = { "--lora-targets", "[1337]", "same, f32, f16, bf16, q8_0",
                                          "--held-out", "[0.1]" };
    for (int i = 0; i < 5; i++)
        ck_assert_msg(strstr(text, wanted[i]) != NULL, "--help lacks %s", wanted[i]);
}
END_TEST

START_TEST(mistakes_get_one_line_and_a_status)
{
    const char *base = in_folder("base"), *text = text_file(), *out = in_folder("o");
#define BASE "--model", base, "--data", text, "--out", out
    expect_mistake(RUN("--foo"), 2, "no option '--foo'");
    expect_mistake(RUN("--data", text, "--out", out), 2, "--model is missing");
    expect_mistake(RUN("--model", base, "--out", out), 2, "--data is missing");
    expect_mistake(RUN("--model", base, "--data", text), 2, "--out is missing");
    expect_mistake(RUN(BASE, "--merge"), 2, "--merge: there are no adapters without --lora");
    expect_mistake(RUN(BASE, "--out-kind", "adapter"), 2, "--out-kind adapter: needs --lora");
    expect_mistake(RUN(BASE, "--out-kind", "gguf", "--lora", "4"), 2,
                   "--out-kind gguf: needs --merge");
    expect_mistake(RUN(BASE, "--dtype", "q8_0"), 2, "--dtype q8_0: only GGUF has it");
    expect_mistake(RUN(BASE, "--lora", "2", "--dtype", "f16"), 2, "--dtype: adapters are");
    expect_mistake(RUN(BASE, "--held-out", "1.5"), 1, "--held-out: 1.5 is no part");
    expect_mistake(RUN(BASE, "--block", "65"), 1, "--block: 65 is beyond the model's 64");
    expect_mistake(RUN(BASE, "--lora", "2", "--lora-targets", "*.foo"), 1,
                   "lora_add: no linear's name matches \"*.foo\"");
    expect_mistake(RUN("--model", "/nowhere", "--data", text, "--out", out), 1, "/nowhere: ");
    expect_mistake(RUN("--model", base, "--data", "/nowhere", "--out", out), 1,
                   "/nowhere: No such file");
    expect_mistake(RUN(BASE, "--tokenizer", "/nowhere"), 1, "/nowhere: No such file");
    expect_mistake(RUN("--model", base, "--data", text, "--out", text), 1,
                   format("--out: %s is no folder", text));
    put_text(in_folder("bad.jsonl"), "{\"text\": \"the dog\"}\n{\"prompt\": \"x\"}\n");
    expect_mistake(RUN("--model", base, "--data", in_folder("bad.jsonl"), "--out", out), 1,
                   format("%s:2: wanted are", in_folder("bad.jsonl")));
    put_text(in_folder("short"), "dog");
    expect_mistake(RUN("--model", base, "--data", in_folder("short"), "--out", out), 1, "");
}
END_TEST

START_TEST(all_weights_learn_and_both_kinds_of_file_hold_them)
{
    const wg_scope s = wg_scope_push();
    const char *text = text_file();
    expect_success(RUN("--model", in_folder("base"), "--data", text, SMALL, "--out",
                       in_folder("full.gguf"), "--log", in_folder("log"), "--eval-every", "20"));
    const double before = said("held-out loss before: "), after = said("held-out loss after: ");
    ck_assert_msg(after < before - 1, "%g after %g", after, before);
    expect_success(RUN("--model", in_folder("base"), "--data", text, SMALL, "--out",
                       in_folder("full"), "--recompute", "--threads", "2"));
    ck_assert_double_lt(
        distance(logits(in_folder("full"), NULL), logits(in_folder("full.gguf"), NULL)), 1e-5);
    FILE *f = fopen(in_folder("log"), "r");
    char line[1024];
    int n = 0, evaluated = 0;
    for (; fgets(line, sizeof line, f); n++) {
        json_t *o = json_loads(line, 0, NULL);
        ck_assert_msg(o != NULL, "no JSON: %s", line);
        ck_assert_int_eq(json_integer_value(json_object_get(o, "step")), n + 1);
        evaluated += json_is_number(json_object_get(o, "val_loss"));
        json_decref(o);
    }
    fclose(f);
    ck_assert_int_eq(n, 40);
    ck_assert_int_eq(evaluated, 2);
    expect_success(RUN("--model", in_folder("full.gguf"), "--tokenizer", in_folder("base"),
                       "--data", text, "--out", in_folder("q.gguf"), "--steps", "0", "--dtype",
                       "q8_0", "--block", "24", "--held-out", "0"));
    wg_gguf *q = wg_gguf_open(in_folder("q.gguf"));
    ck_assert_ptr_nonnull(q);
    wg_gguf_close(q);
    pop(s);
}
END_TEST

START_TEST(a_merged_adapter_is_the_base_with_the_adapter)
{
    const wg_scope s = wg_scope_push();
    const char *text = text_file();
#define LORA                                                                                       \
    "--model", in_folder("base"), "--data", text, SMALL, "--lora", "4", "--lora-targets",          \
        "*layers.*,lm_head", "--lora-alpha", "8"
    expect_success(RUN(LORA, "--out", in_folder("adapter")));
    const double before = said("held-out loss before: "), after = said("held-out loss after: ");
    ck_assert_msg(after < before - 0.5, "%g after %g", after, before);
    expect_success(RUN(LORA, "--out", in_folder("merged"), "--merge"));
    expect_success(RUN(LORA, "--out", in_folder("merged.gguf"), "--merge"));
    wg_tensor *adapted = logits(in_folder("base"), in_folder("adapter"));
    ck_assert_double_gt(distance(logits(in_folder("base"), NULL), adapted), 0.1);
    ck_assert_double_lt(distance(logits(in_folder("merged"), NULL), adapted), 1e-5);
    ck_assert_double_lt(distance(logits(in_folder("merged.gguf"), NULL), adapted), 1e-5);
    ck_assert_double_lt(distance(logits(in_folder("base.gguf"), in_folder("adapter")), adapted),
                        1e-5);
    pop(s);
}
END_TEST

START_TEST(answers_are_learned)
{
    const char *data = examples_file();
    expect_success(RUN("--model", in_folder("base"), "--data", data, SMALL, "--lora", "8",
                       "--lora-targets", "*", "--lora-dropout", "0.1", "--out",
                       in_folder("answers"), "--accumulate", "2", "--held-out", "0.2"));
    ck_assert_ptr_nonnull(strstr(output("stdout"), "48 examples ("));
    ck_assert_ptr_nonnull(strstr(output("stdout"), ", 12 held out"));
    const double before = said("held-out loss before: "), after = said("held-out loss after: ");
    ck_assert_msg(after < before - 1, "%g after %g", after, before);
    expect_success(RUN("--model", in_folder("base"), "--data", data, SMALL, "--held-out", data,
                       "--schedule", "linear", "--out", in_folder("answers.gguf")));
    ck_assert_ptr_nonnull(strstr(output("stdout"), ", 60 held out"));
    ck_assert_double_lt(said("held-out loss after: "), before - 1);
}
END_TEST

START_TEST(an_interrupt_writes_and_leaves)
{
    const pid_t pid =
        START("--model", in_folder("base"), "--data", text_file(), "--steps", "1000000", "--block",
              "16", "--lora", "2", "--out", in_folder("int"), "--log", in_folder("int.log"));
    wait_for_lines(in_folder("int.log"), 3);
    kill(pid, SIGINT);
    ck_assert_int_eq(wait_program(pid), 130);
    ck_assert_ptr_nonnull(strstr(output("stdout"), "stopped at step "));
    const wg_scope s = wg_scope_push();
    ck_assert_double_gt(
        distance(logits(in_folder("base"), NULL), logits(in_folder("base"), in_folder("int"))), 0);
    pop(s);
}
END_TEST

START_TEST(a_trained_model_learns_a_text)
{
    const char *found = data_file("stories260K/stories260K.gguf");
    if (!found) return;
    char model[1280], text[1280];
    strcpy(model, found);
    strcpy(text, data_file("shakespeare/input.txt"));
    size_t n;
    char *all = get_file(text, &n);
    put_file(in_folder("play"), all, n < 40000 ? n : 40000);
    free(all);
#define STORIES                                                                                    \
    "--model", model, "--data", in_folder("play"), "--steps", "30", "--block", "64", "--threads",  \
        "1", "--lr"
    expect_success(RUN(STORIES, "1e-3", "--out", in_folder("stories.gguf")));
    double before = said("held-out loss before: "), after = said("held-out loss after: ");
    ck_assert_msg(after < before - 1, "%g after %g", after, before);
    expect_success(RUN(STORIES, "1e-2", "--out", in_folder("stories"), "--lora", "8"));
    before = said("held-out loss before: ");
    after = said("held-out loss after: ");
    ck_assert_msg(after < before - 0.5, "%g after %g", after, before);
    expect_success(
        RUN(STORIES, "1e-2", "--out", in_folder("stories_m.gguf"), "--lora", "8", "--merge"));
    const wg_scope s = wg_scope_push();
    ck_assert_double_lt(
        distance(logits(in_folder("stories_m.gguf"), NULL), logits(model, in_folder("stories"))),
        1e-5);
    pop(s);
}
END_TEST

/* ---- evaluate ---------------------------------------------------------------------------------- */

START_TEST(perplexity_is_the_librarys)
{
    program_variable = "EVALUATE";
    const wg_scope s = wg_scope_push();
    const char *text = text_file(), *base = in_folder("base");
    wg_model *m = wg_model_open(base);
    size_t bytes;
    char *all = get_file(text, &bytes);
    int64_t *ids, n = wg_tokenizer_encode(wg_model_tokenizer(m), all, (int64_t)bytes, &ids);
    wg_perplexity_result r;
    ck_assert_int_eq(wg_perplexity(wg_model_module(m), ids, n, &r, .window = 32, .stride = 20),
                     WG_OK);
    free(ids);
    free(all);
    wg_model_free(m);
    expect_success(RUN("--model", base, "--text", text, "--window", "32", "--stride", "20"));
    ck_assert_int_eq((int64_t)said("tokens "), r.tokens);
    ck_assert_double_eq_tol(said("nll "), r.nll, 1e-6);
    ck_assert_double_eq_tol(said("ppl "), r.perplexity, 1e-3);
    expect_mistake(RUN("--model", base, "--text", text, "--window", "65"), 1,
                   "perplexity: a window of 65 is beyond");
    expect_mistake(RUN("--model", base), 2, "neither --text nor --choices");
    expect_mistake(RUN("--text", text), 2, "--model is missing");
    expect_mistake(RUN("--model", base, "--text", "/nowhere"), 1, "/nowhere: No such file");
    pop(s);
    program_variable = "FINETUNE";
}
END_TEST

START_TEST(right_endings_are_preferred_by_a_model_that_learned_them)
{
    const char *base = in_folder("base");
    char lines[8192] = "", questions[8192] = "";
    static const char *const endings[] = { "jumps over the lazy dog", "with five dozen jugs",
                                           "quick brown" };
    for (int i = 0; i < 30; i++) {
        snprintf(lines + strlen(lines), 128, "{\"prompt\": \"item %d\", \"answer\": \" %s\"}\n",
                 i % 3, endings[i % 3]);
        snprintf(questions + strlen(questions), 256,
                 "{\"ctx\": \"item %d\", \"endings\": [\"%s\", \"%s\", \"%s\"], \"label\": %d}\n",
                 i % 3, endings[0], endings[1], endings[2], i % 3);
    }
    put_text(in_folder("items.jsonl"), lines);
    put_text(in_folder("questions"), questions);
    expect_success(RUN("--model", base, "--data", in_folder("items.jsonl"), SMALL, "--lora", "8",
                       "--lora-targets", "*", "--held-out", "0", "--out", in_folder("items"),
                       "--steps", "60"));
    program_variable = "EVALUATE";
    expect_success(RUN("--model", base, "--choices", in_folder("questions")));
    ck_assert_double_lt(said("acc "), 0.9); /* 30 questions of three kinds: 0, 1/3, 2/3, 1 */
    expect_success(RUN("--model", base, "--choices", in_folder("questions"), "--adapter",
                       in_folder("items"), "--limit", "21"));
    ck_assert_double_eq(said("questions "), 21);
    ck_assert_double_eq(said("acc "), 1);
    ck_assert_double_gt(said("acc_norm "), 0.6);
    put_text(in_folder("questions"), "{\"ctx\": \"item\", \"endings\": [\"a\"], \"label\": 0}\n");
    expect_mistake(RUN("--model", base, "--choices", in_folder("questions")), 1,
                   format("%s:1: \"endings\" is no list", in_folder("questions")));
    program_variable = "FINETUNE";
}
END_TEST

int main(void)
{
    folder_make();
    program_variable = "FINETUNE";
    const int failed =
        suite_run("finetune", (const TTest *[]) {
                                  a_model_from_parts_is_written,
                                  help_says_what_there_is,
                                  mistakes_get_one_line_and_a_status,
                                  all_weights_learn_and_both_kinds_of_file_hold_them,
                                  a_merged_adapter_is_the_base_with_the_adapter,
                                  answers_are_learned,
                                  an_interrupt_writes_and_leaves,
                                  a_trained_model_learns_a_text,
                                  perplexity_is_the_librarys,
                                  right_endings_are_preferred_by_a_model_that_learned_them,
                                  NULL,
                              });
    folder_remove();
    return failed;
}
