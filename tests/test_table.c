/* The table of targets runs: its rows, at tiny sizes; mistakes. Nothing is timed. TABLE is its path, PYTORCH_TABLE that of
 * the same by PyTorch (unset where there is no python3). */
#include "program.h"
#include "suite.h"

/* Check cuts long messages: the table goes to standard error. */
static bool told(bool right, const char *text)
{
    if (!right) fputs(text, stderr);
    return right;
}

START_TEST(every_row_runs_at_tiny_sizes)
{
    expect_success(RUN("--smoke", "--threads", "2"));
    const char *text = output("stdout");
    static const char *const lines[] = {
        "f32 product, 2304 x 768 x 768",
        "bf16 product, 2304 x 768 x 768",
        "memory, 1 GiB read",
        "memory, x + y of 64 Mi floats",
        "GPT-2 124M, B=4 T=64, f32",
        "GPT-2 124M, B=1 T=1024, f32",
        "GPT-2 124M, B=4 T=64, bf16",
        "GPT-2 124M, B=1 T=1024, bf16",
        "nanoGPT 0.8M, B=12 T=64",
        "nanoGPT 10.8M, B=16 T=256",
        "x + b of 4 x 4, forward",
        "x + b of 4 x 4, backward",
        "x + b of 4 x 4, release",
        "peak, GPT-2 B=4 T=64, f32",
        "peak, GPT-2 B=1 T=1024, f32",
        "ten ops over 64 Mi floats",
        "ten ops, fused, forward",
        "ten ops, fused, backward",
        "attention, T=4096, 12 x 64",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(told(strstr(text, format("\n%s ", lines[i])), text), "no line '%s'",
                      lines[i]);
    ck_assert_msg(told(!strstr(text, " nan ") && !strstr(text, " inf "), text), "no numbers");
    ck_assert_msg(told(strstr(text, "outside kernels"), text), "no costs");
}
END_TEST

START_TEST(one_row_runs_alone)
{
    expect_success(RUN("--smoke", "--quick", "--row", "nano", "--costs", "1", "--shapes"));
    const char *text = output("stdout");
    ck_assert(told(strstr(text, "\nnanoGPT 0.8M") && !strstr(text, "\nnanoGPT 10.8M"), text));
}
END_TEST

START_TEST(mistakes_are_named)
{
    expect_mistake(RUN("--row", "nothing"), 2, "no row 'nothing'");
    expect_mistake(RUN("--row"), 2, "--row wants a value");
    expect_mistake(RUN("--speed"), 2, "no option '--speed'");
    expect_mistake(RUN("--threads", "two"), 2, "--threads: 'two' is no number");
    expect_success(RUN("--help"));
}
END_TEST

/* Or figures would stand beside those of other work. The script's list needs no PyTorch. */
START_TEST(the_table_by_pytorch_has_the_same_rows)
{
    expect_success(RUN("--list"));
    char *ours = strdup(output("stdout"));
    ck_assert(told(strstr(ours, "gpt2-256 "), ours));
    if (getenv("PYTORCH_TABLE")) {
        program_variable = "PYTORCH_TABLE";
        expect_success(RUN("--list"));
        program_variable = "TABLE";
        ck_assert_str_eq(output("stdout"), ours);
    }
    free(ours);
}
END_TEST

int main(void)
{
    program_variable = "TABLE";
    folder_make();
    const int failed = suite_run("table", (const TTest *[]) {
                                              every_row_runs_at_tiny_sizes,
                                              one_row_runs_alone,
                                              mistakes_are_named,
                                              the_table_by_pytorch_has_the_same_rows,
                                              NULL,
                                          });
    folder_remove();
    return failed;
}
