/* The program gpt2_train as its users meet it: options, mistakes, logs, resuming, signals. GPT2_TRAIN is its path. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>

#include "folder.h"
#include "program.h"
#include "suite.h"

/* Small enough for a few milliseconds a step. */
#define TINY                                                                                       \
    "--layers", "1", "--heads", "2", "--width", "16", "--block", "8", "--batch", "4", "--warmup",  \
        "2", "--sample-length", "8", "--decay-steps", "40"

static const char *text_file(void)
{
    static const char words[] =
        "the quick brown fox jumps over the lazy dog; pack my box with five dozen jugs. #1\n";
    char text[4001];
    for (int i = 0; i < 4000; i++) text[i] = words[(i * 7 / 5) % (int)(sizeof words - 1)];
    text[4000] = '\0';
    put_text(in_folder("text.txt"), text);
    return in_folder("text.txt");
}

/* ---- its log --------------------------------------------------------------------------------- */
typedef struct {
    int n;
    int64_t step[400];
    double loss[400], val_loss[400]; /* NaN: none */
    double peak[400];
} log_lines;

static log_lines read_log(const char *path)
{
    log_lines l = { 0 };
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "no log %s", path);
    char line[1024];
    while (fgets(line, sizeof line, f)) {
        json_error_t error;
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(o != NULL, "no JSON: %s", line);
        static const char *const keys[] = { "step", "loss", "seconds", "tokens_per_second",
                                            "peak_bytes" };
        for (int i = 0; i < 5; i++)
            ck_assert_msg(json_is_number(json_object_get(o, keys[i])), "no %s: %s", keys[i], line);
        json_t *val = json_object_get(o, "val_loss");
        l.step[l.n] = json_integer_value(json_object_get(o, "step"));
        l.loss[l.n] = json_number_value(json_object_get(o, "loss"));
        l.peak[l.n] = json_number_value(json_object_get(o, "peak_bytes"));
        l.val_loss[l.n] = val ? json_number_value(val) : NAN;
        json_decref(o);
        ck_assert_int_lt(++l.n, 400);
    }
    fclose(f);
    return l;
}

static void expect_same_files(const char *a, const char *b)
{
    size_t n, m;
    char *x = get_file(a, &n), *y = get_file(b, &m);
    ck_assert_msg(n == m && memcmp(x, y, n) == 0, "%s and %s differ", a, b);
    free(x);
    free(y);
}

static void expect_same_runs(const char *a, const char *b)
{
    expect_same_files(format("%s/checkpoint.safetensors", a),
                      format("%s/checkpoint.safetensors", b));
    const log_lines p = read_log(format("%s/log.jsonl", a)),
                    q = read_log(format("%s/log.jsonl", b));
    ck_assert_int_eq(p.n, q.n);
    for (int i = 0; i < p.n; i++) {
        ck_assert_int_eq(p.step[i], i + 1);
        ck_assert_int_eq(q.step[i], i + 1);
        ck_assert_msg(p.loss[i] == q.loss[i], "step %d: losses %.17g and %.17g", i + 1, p.loss[i],
                      q.loss[i]);
    }
}

/* ---- options --------------------------------------------------------------------------------- */
START_TEST(help_lists_the_options_with_their_defaults)
{
    ck_assert_int_eq(RUN("--help"), 0);
    const char *text = output("stdout");
    static const char *const wanted[] = { "--layers", "--eval-every", "[1337]", "gpt2-xl",
                                          "adamw, adam, sgd, lion, muon [adamw]" };
    for (int i = 0; i < 5; i++)
        ck_assert_msg(strstr(text, wanted[i]) != NULL, "--help lacks %s", wanted[i]);
    ck_assert_int_eq(RUN("--preset", "gpt2", "--help"), 0);
    ck_assert_ptr_nonnull(strstr(output("stdout"), "blocks [12]"));
}
END_TEST

START_TEST(mistakes_get_one_line_and_a_status)
{
    const char *text = text_file();
    expect_mistake(RUN("--foo", "1"), 2, "no option '--foo'");
    expect_mistake(RUN("foo"), 2, "no option 'foo'");
    expect_mistake(RUN("--steps"), 2, "--steps: a value is missing");
    expect_mistake(RUN("--steps", "many"), 2, "--steps: 'many' is no integer");
    expect_mistake(RUN("--steps=-1"), 2, "--steps: -1 is not between");
    expect_mistake(RUN("--lr", "nan"), 2, "--lr: nan is not between");
    expect_mistake(RUN("--lr", "1e-3x"), 2, "--lr: '1e-3x' is no number");
    expect_mistake(RUN("--optimizer", "adma"), 2,
                   "--optimizer: 'adma' is none of adamw, adam, sgd, lion, muon");
    expect_mistake(RUN("--preset", "gpt5"), 2, "no preset 'gpt5'");
    expect_mistake(RUN("--config", "/nowhere"), 2, "/nowhere: No such file");
    expect_mistake(RUN("--data", text, "--device", "tpu"), 1, "--device: 'tpu' is none of");
    expect_mistake(RUN("--data", text, "--graph"), 1,
                   "--graph: cpu has no graphs, only CUDA devices do");
    if (wg_cuda_device_count() == 0)
        expect_mistake(RUN("--data", text, "--device", "cuda", "--graph"), 1, "");
    expect_mistake(
        RUN("--data", text, "--heads", "3", TINY, "--heads", "3", "--out", in_folder("o")), 1, "");
    expect_mistake(RUN("--data", text, "--vocab-size", "3"), 1,
                   "--vocab-size: 3 is below the data's");
    expect_mistake(RUN("--data", text, "--prompt", "QQ", "--out", in_folder("o")), 1,
                   "tokens_encode: the vocabulary lacks the character 'Q'");
    put_text(in_folder("config"), "# sizes\nlayers = 2\nwidht = 3\n");
    expect_mistake(RUN("--config", in_folder("config")), 2,
                   format("%s:3: no option 'widht'", in_folder("config")));
    put_text(in_folder("config"), "layers 2\n");
    expect_mistake(RUN("--config", in_folder("config")), 2,
                   format("%s:1: no `name = value`: layers 2", in_folder("config")));
}
END_TEST

START_TEST(files_that_cannot_be_trained_on_get_one_line_and_a_status)
{
    static const struct {
        const char *name, *text, *message; /* text NULL: no file */
    } bad[] = { { "none", NULL, "No such file or directory" },
                { "empty", "", "the file is empty" },
                { "short", "too short by far for a block of sixty-four characters", "too short: " },
                { "latin1", "caf\xE9 caf\xE9", "malformed UTF-8 at byte 3" },
                { "shard.bin", "this is no shard", "16 bytes are too few for a token shard" } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *path = in_folder(bad[i].name);
        if (bad[i].text) put_text(path, bad[i].text);
        expect_mistake(RUN("--data", path, "--out", in_folder("o")), 1,
                       format("%s: %s", path, bad[i].message));
    }
    expect_mistake(RUN("--data", folder_path, "--out", in_folder("o")), 1,
                   format("%s: not a regular file", folder_path));
    put_text(in_folder("in_the_way"), "x");
    const int status =
        RUN("--data", text_file(), TINY, "--steps", "1", "--out", in_folder("in_the_way"));
    expect_mistake(status, 1, format("%s/log.jsonl: Not a directory", in_folder("in_the_way")));
}
END_TEST

START_TEST(a_config_file_says_what_flags_say_and_flags_go_over_it)
{
    put_text(in_folder("config"),
             "layers = 1   # one\nheads = 2\nwidth=16\n  block = 8\nbatch = 4\nsteps = 3\n"
             "sample_length = 8\nprompt = \"the # \"\neval-every = 0\n");
    expect_success(RUN("--config", in_folder("config"), "--data", text_file(), "--steps", "2",
                       "--out", in_folder("c")));
    const char *text = output("stdout");
    ck_assert_ptr_nonnull(strstr(text, "\nwidth = 16\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nsteps = 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nprompt = \"the # \"\n"));
    ck_assert_int_eq(read_log(in_folder("c/log.jsonl")).n, 2);
}
END_TEST

/* ---- runs ------------------------------------------------------------------------------------ */
START_TEST(every_step_is_logged_and_the_last_one_is_evaluated)
{
    expect_success(RUN("--data", text_file(), TINY, "--steps", "25", "--eval-every", "10", "--out",
                       in_folder("l"), "--log", in_folder("own.jsonl"), "--sample-every", "20"));
    const log_lines l = read_log(in_folder("own.jsonl"));
    ck_assert_int_eq(l.n, 25);
    for (int i = 0; i < l.n; i++) {
        ck_assert_int_eq(l.step[i], i + 1);
        ck_assert_int_eq(!isnan(l.val_loss[i]), i == 9 || i == 19 || i == 24);
    }
    ck_assert_double_lt(l.val_loss[24], l.val_loss[9]);
    ck_assert_msg(l.peak[24] == l.peak[12], "memory grew from %.0f to %.0f bytes", l.peak[12],
                  l.peak[24]);
    const char *text = output("stdout");
    ck_assert_ptr_nonnull(strstr(text, "--- sample at step 20 ---"));
    ck_assert_ptr_nonnull(strstr(text, "--- sample at step 25 ---"));
    ck_assert_ptr_nonnull(strstr(text, "step 25/25  loss "));
    ck_assert_ptr_null(strchr(text, '\r'));
}
END_TEST

static void same_log(const char *a, const char *b)
{
    const log_lines x = read_log(a), y = read_log(b);
    ck_assert_int_eq(x.n, y.n);
    for (int i = 0; i < x.n; i++) {
        ck_assert_int_eq(x.step[i], y.step[i]);
        ck_assert_msg(x.loss[i] == y.loss[i], "step %d: %.17g and %.17g", i + 1, x.loss[i],
                      y.loss[i]);
        ck_assert(x.val_loss[i] == y.val_loss[i] || (isnan(x.val_loss[i]) && isnan(y.val_loss[i])));
    }
}

/* Read one by one, and in groups that evaluations, checkpoints and the end cut short. */
START_TEST(losses_read_together_are_the_same)
{
#define LOGGED                                                                                     \
    "--data", text_file(), TINY, "--steps", "23", "--accumulate", "3", "--eval-every", "10",       \
        "--checkpoint-every", "4", "--sample-every", "-1"
    expect_success(RUN(LOGGED, "--out", in_folder("each"), "--log", in_folder("each.jsonl")));
    expect_success(RUN(LOGGED, "--out", in_folder("some"), "--log", in_folder("some.jsonl"),
                       "--log-every", "7"));
    same_log(in_folder("each.jsonl"), in_folder("some.jsonl"));
}
END_TEST

/* GPT2_TRAIN_DEVICE: a CUDA device that the program has; a resumed run has a new graph. */
START_TEST(graphs_change_no_bit)
{
#define ON_DEVICE                                                                                  \
    "--data", text_file(), TINY, "--device", getenv("GPT2_TRAIN_DEVICE"), "--dropout", "0.1",      \
        "--accumulate", "2", "--eval-every", "4", "--checkpoint-every", "4", "--sample-every",     \
        "-1", "--dtype", "bf16"
    expect_success(RUN(ON_DEVICE, "--steps", "12", "--out", in_folder("eager")));
    expect_success(RUN(ON_DEVICE, "--steps", "8", "--out", in_folder("graph"), "--graph"));
    expect_success(
        RUN(ON_DEVICE, "--steps", "12", "--out", in_folder("graph"), "--graph", "--resume"));
    same_log(in_folder("eager/log.jsonl"), in_folder("graph/log.jsonl"));
}
END_TEST

START_TEST(stopping_and_resuming_gives_the_same_bits)
{
    const char *text = text_file();
#define BOTH "--data", text, TINY, "--dropout", "0.1", "--eval-every", "5", "--sample-every", "7"
    expect_success(RUN(BOTH, "--steps", "20", "--out", in_folder("whole")));
    expect_success(RUN(BOTH, "--steps", "10", "--out", in_folder("parts")));
    expect_success(RUN(BOTH, "--steps", "20", "--out", in_folder("parts"), "--resume"));
    ck_assert_ptr_nonnull(strstr(output("stdout"), "at step 10\n"));
    expect_same_runs(in_folder("whole"), in_folder("parts"));
    expect_success(
        RUN(BOTH, "--steps", "20", "--out", in_folder("fresh"), "--resume", "--threads", "1"));
    ck_assert_ptr_nonnull(strstr(output("stdout"), "starting at step 0\n"));
    expect_same_runs(in_folder("whole"), in_folder("fresh"));
    expect_success(
        RUN(BOTH, "--steps", "20", "--out", in_folder("again"), "--recompute", "--threads", "2"));
    expect_same_runs(in_folder("whole"), in_folder("again"));
    const int status =
        RUN(BOTH, "--steps", "20", "--out", in_folder("whole"), "--resume", "--width", "32");
    expect_mistake(status, 1, format("%s/checkpoint.safetensors: \"model.", in_folder("whole")));
}
END_TEST

/* f16's loss scale is part of the run. */
START_TEST(resuming_in_f16_gives_the_same_bits)
{
    const char *text = text_file();
#define HALF "--data", text, TINY, "--dtype", "f16", "--eval-every", "5"
    expect_success(RUN(HALF, "--steps", "20", "--out", in_folder("half")));
    expect_success(RUN(HALF, "--steps", "10", "--out", in_folder("halves")));
    expect_success(RUN(HALF, "--steps", "20", "--out", in_folder("halves"), "--resume"));
    expect_same_runs(in_folder("half"), in_folder("halves"));
    const int status =
        RUN("--data", text, TINY, "--steps", "20", "--out", in_folder("half"), "--resume");
    expect_mistake(status, 1, format("%s/checkpoint.safetensors: 2 tensors", in_folder("half")));
}
END_TEST

START_TEST(an_interrupt_saves_and_leaves)
{
    const char *text = text_file();
    const pid_t pid = START("--data", text, TINY, "--steps", "100000", "--eval-every", "0", "--out",
                            in_folder("int"));
    wait_for_lines(in_folder("int/log.jsonl"), 3);
    kill(pid, SIGINT);
    ck_assert_int_eq(wait_program(pid), 130);
    ck_assert_ptr_nonnull(strstr(output("stdout"), "stopped at step "));
    const int done = read_log(in_folder("int/log.jsonl")).n;
    const char *steps = format("%d", done + 2);
    expect_success(RUN("--data", text, TINY, "--steps", steps, "--eval-every", "0", "--out",
                       in_folder("int"), "--resume"));
    expect_success(RUN("--data", text, TINY, "--steps", steps, "--eval-every", "0", "--out",
                       in_folder("int2")));
    expect_same_runs(in_folder("int"), in_folder("int2"));
}
END_TEST

START_TEST(a_killed_run_always_resumes_from_a_whole_checkpoint)
{
    const char *full = getenv("WG_TEST_FULL"), *text = text_file();
    const int kills = full && *full ? 20 : 4;
#define ALL "--data", text, TINY, "--eval-every", "0", "--checkpoint-every", "1", "--steps", "390"
    uint64_t random = 99;
    int killed = 0;
    for (int i = 0; i < kills; i++) {
        const pid_t pid = START(ALL, "--out", in_folder("kill"), "--resume");
        wait_for_lines(in_folder("kill/log.jsonl"), (i + 1) * 390 / (kills + 1));
        random = random * 6364136223846793005u + 1442695040888963407u;
        nanosleep(&(struct timespec) { 0, (long)(random >> 40) % 3000 * 1000 }, NULL);
        kill(pid, SIGKILL);
        const int status = wait_program(pid);
        ck_assert_msg(status == -SIGKILL || status == 0, "status %d: %s", status, output("stderr"));
        killed += status != 0;
    }
    expect_success(RUN(ALL, "--out", in_folder("kill"), "--resume"));
    expect_success(RUN(ALL, "--out", in_folder("never_killed")));
    expect_same_runs(in_folder("kill"), in_folder("never_killed"));
    ck_assert_int_eq(folder_files(in_folder("kill"), false), 2); /* the checkpoint and the log */
    printf("%d runs of %d killed\n", killed, kills);
}
END_TEST

START_TEST(every_choice_trains)
{
    static const char *const choices[][8] = {
        { "--norm", "rms", "--position", "rope", "--mlp", "gated", "--activation", "silu" },
        { "--position", "none", "--no-tied", "--bias", "--activation", "relu" },
        { "--kv-heads", "1", "--window", "4", "--activation", "gelu_tanh" },
        { "--optimizer", "adam", "--schedule", "linear" },
        { "--optimizer", "sgd", "--schedule", "constant" },
        { "--optimizer", "lion", "--schedule", "wsd", "--lr", "1e-4" },
        { "--optimizer", "muon", "--clip", "0" },
        { "--order", "shuffled", "--accumulate", "3" },
        { "--order", "sequential", "--vocabulary", "bytes" },
        { "--dtype", "bf16", "--temperature", "0" },
        { "--dtype", "f16", "--top-k", "2", "--prompt", "the quick brown" },
    };
    const char *text = text_file();
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const char *arguments[64] = { "--data",       text, TINY,    "--steps",     "30",
                                      "--eval-every", "0",  "--out", in_folder("x") };
        int n = 0;
        while (arguments[n]) n++;
        for (int k = 0; k < 8 && choices[i][k]; k++) arguments[n++] = choices[i][k];
        const int status = run_program(arguments);
        ck_assert_msg(status == 0, "%s %s: status %d: %s", choices[i][0], choices[i][1], status,
                      output("stderr"));
        const log_lines l = read_log(in_folder("x/log.jsonl"));
        ck_assert_msg(l.loss[29] < l.loss[0], "%s %s: from %g to %g", choices[i][0], choices[i][1],
                      l.loss[0], l.loss[29]);
    }
}
END_TEST

START_TEST(token_shards_train)
{
    enum { COUNT = 2000 };
    static char file[1024 + 2 * COUNT];
    memcpy(file, (int32_t[]) { 20240520, 1, COUNT }, 12);
    for (int i = 0; i < COUNT; i++)
        memcpy(file + 1024 + 2 * i, &(uint16_t) { (uint16_t)(i % 7 * 1000) }, 2);
    put_file(in_folder("train.bin"), file, sizeof file);
    put_file(in_folder("val"), file, sizeof file); /* known by its first bytes */
    expect_success(RUN("--data", in_folder("train.bin"), "--val-data", in_folder("val"), TINY,
                       "--steps", "10", "--out", in_folder("s")));
    const log_lines l = read_log(in_folder("s/log.jsonl"));
    ck_assert_double_lt(l.loss[9], l.loss[0]);
    ck_assert(!isnan(l.val_loss[9]));
}
END_TEST

int main(void)
{
    folder_make();
    program_variable = "GPT2_TRAIN";
    if (getenv("GPT2_TRAIN_DEVICE")) {
        const int wrong = suite_run("gpt2_train", (const TTest *[]) { graphs_change_no_bit, NULL });
        folder_remove();
        return wrong;
    }
    const int failed =
        suite_run("gpt2_train", (const TTest *[]) {
                                    help_lists_the_options_with_their_defaults,
                                    mistakes_get_one_line_and_a_status,
                                    files_that_cannot_be_trained_on_get_one_line_and_a_status,
                                    a_config_file_says_what_flags_say_and_flags_go_over_it,
                                    losses_read_together_are_the_same,
                                    every_step_is_logged_and_the_last_one_is_evaluated,
                                    stopping_and_resuming_gives_the_same_bits,
                                    resuming_in_f16_gives_the_same_bits,
                                    an_interrupt_saves_and_leaves,
                                    a_killed_run_always_resumes_from_a_whole_checkpoint,
                                    every_choice_trains,
                                    token_shards_train,
                                    NULL,
                                });
    folder_remove();
    return failed;
}
