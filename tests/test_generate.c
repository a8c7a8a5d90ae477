/* The programs generate, quantize and tokenize as their users meet them. GENERATE, QUANTIZE and TOKENIZE are their
 * paths. */
#include "data_file.h"
#include "program.h"
#include "suite.h"

static const char words[] =
    "the quick brown fox jumps over the lazy dog; pack my box with five dozen jugs.\n";

/* The others' model: random weights in a folder "base". */
START_TEST(a_model_from_parts_writes)
{
    const wg_scope s = wg_scope_push();
    wg_seed(11);
    wg_tokenizer *t = wg_tokenizer_train(words, sizeof words - 1, 280);
    wg_transformer_config c = wg_llama_config(2, 4, 2, 32, 64, wg_tokenizer_size(t), 64);
    wg_model *m = wg_model_wrap(wg_transformer_new(&c), t);
    ck_assert_int_eq(wg_model_save(m, in_folder("base")), WG_OK);
    wg_model_free(m);
    pop(s);
    program_variable = "GENERATE";
    expect_success(RUN("--model", in_folder("base"), "--prompt", "the lazy", "--tokens", "12",
                       "--seed", "5", "--ignore-end"));
    char first[4096];
    snprintf(first, sizeof first, "%s", output("stdout"));
    ck_assert_msg(strncmp(first, "the lazy", 8) == 0, "%s", first);
    ck_assert_ptr_nonnull(strstr(output("stderr"), "text: 12 tokens"));
    expect_success(RUN("--model", in_folder("base"), "--prompt", "the lazy", "--tokens", "12",
                       "--seed", "5", "--ignore-end", "--threads", "1"));
    ck_assert_str_eq(output("stdout"), first); /* a seed is a text, whatever the threads */
    expect_success(RUN("--model", in_folder("base"), "--prompt", "the lazy", "--tokens", "12",
                       "--seed", "6", "--ignore-end", "--no-echo"));
    ck_assert_str_ne(output("stdout"), first);
}
END_TEST

START_TEST(quantised_files_write_too)
{
    program_variable = "QUANTIZE";
    put_text(in_folder("text.txt"), words);
    expect_success(RUN("--model", in_folder("base"), "--out", in_folder("q.gguf"), "--dtype",
                       "q8_0", "--text", in_folder("text.txt")));
    double before = 0, after = 0;
    const char *text = output("stdout"), *second = strchr(text, '\n');
    ck_assert_ptr_nonnull(second);
    ck_assert_int_eq(sscanf(strstr(text, "perplexity"), "perplexity %lf", &before), 1);
    ck_assert_int_eq(sscanf(strstr(second, "perplexity"), "perplexity %lf", &after), 1);
    ck_assert_double_eq_tol(after, before, 0.02 * before);
    program_variable = "GENERATE";
    expect_success(RUN("--model", in_folder("q.gguf"), "--draft", in_folder("base"), "--prompt",
                       "the", "--tokens", "9", "--temperature", "0", "--ignore-end"));
    ck_assert_ptr_nonnull(strstr(output("stderr"), "drafted: "));
    expect_success(
        RUN("--model", in_folder("q.gguf"), "--beams", "3", "--prompt", "the", "--tokens", "9"));
}
END_TEST

START_TEST(mistakes_are_one_line)
{
    program_variable = "GENERATE";
    expect_mistake(RUN("--prompt", "x"), 2, "no --model");
    expect_mistake(RUN("--model", in_folder("none")), 1, "");
    expect_mistake(RUN("--model", in_folder("text.txt")), 1, "");
    expect_mistake(RUN("--model", in_folder("base"), "--top-p", "2"), 2,
                   "--top-p: 2 is not between 0 and 1");
    expect_mistake(RUN("--model", in_folder("base"), "--tokens", "many"), 2,
                   "--tokens: 'many' is no integer");
    expect_mistake(RUN("--model", in_folder("base"), "--chat", "--prompt", "x"), 1,
                   format("%s has no chat template", in_folder("base")));
    expect_mistake(
        RUN("--model", in_folder("base"), "--prompt", "the", "--tokens", "100", "--ignore-end"), 1,
        "the context of 64 tokens is full");
    expect_mistake(RUN("--model", in_folder("base"), "--beams", "2", "--tokens", "0"), 2,
                   "--beams goes with");
    if (!getenv("PROGRAM_DEVICE"))
        expect_mistake(RUN("--model", in_folder("base"), "--device", "tpu"), 1,
                       "--device: 'tpu' is none of cpu, cuda, cuda:N");
    program_variable = "QUANTIZE";
    expect_mistake(RUN("--model", in_folder("base")), 2, "--model and --out are needed");
    expect_mistake(RUN("--model", in_folder("base"), "--out", in_folder("x.gguf"), "--dtype", "q3"),
                   2, "--dtype: 'q3' is none of");
    ck_assert_int_ne(access(in_folder("x.gguf"), F_OK), 0);
}
END_TEST

START_TEST(stories260K_from_every_file)
{
    const char *const files[] = { "stories260K.bin", "stories260K.gguf", "stories260K-f16.gguf",
                                  "stories260K-q8_0.gguf", "stories260K-q4_0.gguf" };
    const char *want = data_file("stories260K/greedy200.txt");
    if (!want) return;
    size_t n;
    char *story = get_file(want, &n),
         sentence[] = "Once upon a time, there was a little girl named Lily.";
    program_variable = "GENERATE";
    for (int i = 0; i < 5; i++) {
        expect_success(RUN("--model", data_file(format("stories260K/%s", files[i])), "--tokens",
                           "200", "--temperature", "0", "--prompt", ""));
        if (i < 3)
            ck_assert_str_eq(output("stdout"), story);
        else
            ck_assert_msg(strncmp(output("stdout"), sentence, sizeof sentence - 1) == 0, "%s",
                          output("stdout"));
    }
    free(story);
}
END_TEST

START_TEST(tokenize_there_and_back)
{
    program_variable = "TOKENIZE";
    put_text(in_folder("text.txt"), words);
    expect_success(RUN("--train", "270", "--out", in_folder("own.json"), in_folder("text.txt")));
    expect_success(RUN("--tokenizer", in_folder("own.json"), in_folder("text.txt")));
    put_text(in_folder("ids.txt"), output("stdout"));
    expect_success(RUN("--tokenizer", in_folder("own.json"), "--decode", in_folder("ids.txt")));
    ck_assert_str_eq(output("stdout"), words);
    put_text(in_folder("ids.txt"), "1 2 99999");
    ck_assert_int_eq(RUN("--tokenizer", in_folder("own.json"), "--decode", in_folder("ids.txt")),
                     1);
    ck_assert_ptr_nonnull(strstr(output("stderr"), "id 99999 is out of range"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_model_from_parts_writes,   quantised_files_write_too, mistakes_are_one_line,
        stories260K_from_every_file, tokenize_there_and_back,   NULL,
    };
    folder_make();
    const int status = suite_run("generate", tests);
    folder_remove();
    return status;
}
