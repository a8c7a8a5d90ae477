/* Checkpoints: a resumed run gives the same bits; what does not fit changes nothing; a killed writer leaves a whole one. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

#include "folder.h"
#include "suite.h"

extern char **environ;

/* ---- a small run: everything that a checkpoint binds ------------------------------------------------- */
typedef struct {
    wg_module *model;
    wg_optim *optim;
    wg_tokens *tokens;
    wg_loader *loader;
    wg_checkpoint *checkpoint;
    int64_t step;
    double best;
} run;

enum { WIDTH = 8, VOCAB = 256 };

static void run_open(run *r, uint64_t seed, int64_t width)
{
    *r = (run) { .best = 1e9 };
    wg_seed(seed);
    r->model = wg_sequential_new();
    wg_sequential_add(r->model, wg_embedding_new(VOCAB, width));
    wg_sequential_add(r->model, wg_dropout_new(0.2));
    wg_sequential_add(r->model, wg_linear_new(width, VOCAB));
    r->optim = wg_adamw_new(r->model, .lr = 1e-2, .weight_decay = 0.1);
    put_text(in_folder("text"),
             "The quick brown fox jumps over the lazy dog, again and again and again.");
    r->tokens = wg_tokens_text(in_folder("text"), WG_BYTES);
    r->loader = wg_loader_new(.tokens = r->tokens, .batch = 4, .block = 8, .seed = seed);
    r->checkpoint = wg_checkpoint_new();
    wg_checkpoint_module(r->checkpoint, "model", r->model);
    wg_checkpoint_optim(r->checkpoint, "optimizer", r->optim);
    wg_checkpoint_loader(r->checkpoint, "data", r->loader);
    wg_checkpoint_int(r->checkpoint, "step", &r->step);
    wg_checkpoint_double(r->checkpoint, "best", &r->best);
    expect_no_error();
}

static void run_close(run *r)
{
    wg_checkpoint_free(r->checkpoint);
    wg_loader_free(r->loader);
    wg_tokens_free(r->tokens);
    wg_optim_free(r->optim);
    wg_module_free(r->model);
}

/* Takes n steps; the losses go into losses. */
static void run_steps(run *r, int n, double *losses)
{
    for (int i = 0; i < n; i++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y;
        ck_assert(wg_loader_next(r->loader, &x, &y));
        wg_tensor *loss = wg_cross_entropy(wg_forward(r->model, x), y);
        wg_backward(loss);
        wg_optim_step(r->optim);
        losses[i] = wg_item(loss);
        if (losses[i] < r->best) r->best = losses[i];
        r->step++;
        pop(s);
    }
}

/* All parameters, one after the other; to be freed. */
static float *parameters(wg_module *m, int64_t *n)
{
    const wg_scope s = wg_scope_push();
    const wg_params p = wg_module_params(m);
    float *out = NULL;
    *n = 0;
    for (int64_t i = 0; i < p.n; i++) {
        const int64_t size = wg_numel(p.p[i].tensor);
        out = realloc(out, (size_t)(*n + size) * sizeof *out);
        ck_assert_int_eq(wg_read(p.p[i].tensor, out + *n, (size_t)size * sizeof *out, WG_F32),
                         WG_OK);
        *n += size;
    }
    pop(s);
    return out;
}

static void expect_same_parameters(wg_module *a, wg_module *b)
{
    int64_t n, m;
    float *x = parameters(a, &n), *y = parameters(b, &m);
    ck_assert_int_eq(n, m);
    ck_assert_mem_eq(x, y, (size_t)n * sizeof *x);
    free(x);
    free(y);
}

/* ---- the same bits -------------------------------------------------------------------------------------- */
START_TEST(a_resumed_run_gives_the_same_bits)
{
    double whole[20], parts[20];
    run a, b, c;
    run_open(&a, 1, WIDTH);
    run_steps(&a, 20, whole);
    run_open(&b, 1, WIDTH);
    run_steps(&b, 10, parts);
    ck_assert_int_eq(wg_checkpoint_save(b.checkpoint, in_folder("out/deep")), WG_OK);
    const wg_generator g = wg_generator_get();
    run_open(&c, 999, WIDTH); /* other weights, another seed */
    wg_rand(WG_DIMS(17));
    ck_assert_int_eq(wg_checkpoint_load(c.checkpoint, in_folder("out/deep")), WG_OK);
    ck_assert_int_eq(c.step, 10);
    ck_assert(c.best == b.best);
    ck_assert_int_eq(wg_optim_steps(c.optim), 10);
    const wg_generator now = wg_generator_get();
    ck_assert_mem_eq(&now, &g, sizeof g);
    run_steps(&c, 10, parts + 10);
    ck_assert_mem_eq(whole, parts, sizeof whole);
    expect_same_parameters(a.model, c.model);
    run_close(&a);
    run_close(&b);
    run_close(&c);
}
END_TEST

START_TEST(doubles_and_ints_come_back_to_the_last_bit)
{
    static const uint64_t bits[] = { 0x3FB999999999999Au, 0x0000000000000001u, 0x8000000000000000u,
                                     0x7FF0000000000000u, 0x7FF8000000000123u };
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        double v, got = 5;
        int64_t k = INT64_MIN + (int64_t)i, back = 0;
        memcpy(&v, &bits[i], 8);
        wg_checkpoint *a = wg_checkpoint_new(), *b = wg_checkpoint_new();
        wg_checkpoint_double(a, "v", &v);
        wg_checkpoint_int(a, "k", &k);
        wg_checkpoint_int(b, "k", &back);
        wg_checkpoint_double(b, "v", &got);
        ck_assert_int_eq(wg_checkpoint_save(a, folder_path), WG_OK);
        ck_assert_int_eq(wg_checkpoint_load(b, folder_path), WG_OK);
        ck_assert_mem_eq(&v, &got, 8);
        ck_assert_int_eq(back, k);
        wg_checkpoint_free(a);
        wg_checkpoint_free(b);
    }
}
END_TEST

/* ---- what does not fit ------------------------------------------------------------------------------------ */
START_TEST(what_does_not_fit_changes_nothing)
{
    const char *out = in_folder("other");
    double losses[3];
    run a, b, same;
    run_open(&a, 1, WIDTH);
    run_steps(&a, 3, losses);
    ck_assert_int_eq(wg_checkpoint_save(a.checkpoint, out), WG_OK);

    run_open(&b, 2, WIDTH + 1); /* another shape */
    ck_assert_int_eq(wg_checkpoint_load(b.checkpoint, out), WG_ESHAPE);
    expect_error(
        WG_ESHAPE,
        format(
            "%s/checkpoint.safetensors: \"model.0.weight\" is (256, 8) f32 in the checkpoint, (256, 9) f32 here",
            out));
    run_close(&b);

    run_open(&b, 2, WIDTH); /* the last binding is one too many */
    run_open(&same, 2, WIDTH);
    int64_t extra = 7, at[4], before[4];
    wg_checkpoint_int(b.checkpoint, "extra", &extra);
    wg_loader_position(b.loader, before);
    const wg_generator g = wg_generator_get();
    ck_assert_int_eq(wg_checkpoint_load(b.checkpoint, out), WG_EFORMAT);
    expect_error(WG_EFORMAT,
                 format("%s/checkpoint.safetensors: the checkpoint has no tensor \"extra\"", out));
    expect_same_parameters(b.model, same.model);
    wg_loader_position(b.loader, at);
    ck_assert_mem_eq(at, before, sizeof at);
    ck_assert_int_eq(b.step, 0);
    ck_assert_int_eq(extra, 7);
    ck_assert_int_eq(wg_optim_steps(b.optim), 0);
    ck_assert_uint_eq(wg_generator_get().offset, g.offset);

    wg_checkpoint *less = wg_checkpoint_new(); /* and one too few */
    wg_checkpoint_module(less, "model", b.model);
    ck_assert_int_eq(wg_checkpoint_load(less, out), WG_EFORMAT);
    wg_error_clear();
    expect_same_parameters(b.model, same.model);
    wg_checkpoint_free(less);
    run_close(&a);
    run_close(&b);
    run_close(&same);
}
END_TEST

START_TEST(a_loss_scale_comes_back)
{
    const char *out = in_folder("scale");
    wg_scaler *a = wg_scaler_new(.scale = 2048), *b = wg_scaler_new(.scale = 1);
    wg_checkpoint *c = wg_checkpoint_new(), *d = wg_checkpoint_new(), *e = wg_checkpoint_new();
    wg_checkpoint_scaler(c, "scaler", a);
    ck_assert_int_eq(wg_checkpoint_save(c, out), WG_OK);
    wg_checkpoint_scaler(d, "scaler", b);
    ck_assert_int_eq(wg_checkpoint_load(d, out), WG_OK);
    ck_assert_double_eq(wg_scaler_value(b), 2048);
    wg_checkpoint_scaler(e, "other", b);
    ck_assert_int_eq(wg_checkpoint_load(e, out), WG_EFORMAT);
    expect_error(
        WG_EFORMAT,
        format("%s/checkpoint.safetensors: the checkpoint has no tensor \"other.scale\"", out));
    ck_assert_int_eq(wg_assign(wg_scaler_state(a).p[0].tensor, wg_full(WG_DIMS(), (double)NAN)),
                     WG_OK);
    ck_assert_int_eq(wg_checkpoint_save(c, out), WG_OK);
    ck_assert_int_eq(wg_checkpoint_load(d, out), WG_EFORMAT);
    expect_error(WG_EFORMAT,
                 format("%s/checkpoint.safetensors: \"scaler\" is no loss scale: nan", out));
    ck_assert_double_eq(wg_scaler_value(b), 2048);
    wg_checkpoint_scaler(d, "null", NULL);
    expect_error(WG_EARG, "checkpoint: no checkpoint, no name or nothing to bind given");
    wg_checkpoint_free(c);
    wg_checkpoint_free(d);
    wg_checkpoint_free(e);
    wg_scaler_free(a);
    wg_scaler_free(b);
}
END_TEST

START_TEST(absent_and_foreign_files_are_told_apart)
{
    wg_checkpoint *c = wg_checkpoint_new();
    int64_t v = 1;
    wg_checkpoint_int(c, "v", &v);
    ck_assert_int_eq(wg_checkpoint_load(c, in_folder("nowhere")), WG_ENOTFOUND);
    wg_error_clear();
    mkdir(in_folder("foreign"), 0777);
    put_text(in_folder("foreign/checkpoint.safetensors"), "something else altogether");
    ck_assert_int_eq(wg_checkpoint_load(c, in_folder("foreign")), WG_EFORMAT);
    wg_error_clear();
    const wg_scope s = wg_scope_push();
    const wg_param_ref p = { .name = "v", .tensor = wg_ones(WG_DIMS(2)) };
    ck_assert_int_eq(wg_safetensors_write(in_folder("foreign/checkpoint.safetensors"),
                                          (wg_params) { 1, &p }, NULL, 0),
                     WG_OK);
    pop(s);
    ck_assert_int_eq(wg_checkpoint_load(c, in_folder("foreign")), WG_EFORMAT);
    expect_error(
        WG_EFORMAT,
        format("%s/foreign/checkpoint.safetensors: no checkpoint of this library", folder_path));
    ck_assert_int_eq(v, 1);
    put_text(in_folder("file"), "x");
    ck_assert_int_eq(wg_checkpoint_save(c, in_folder("file")), WG_EIO);
    wg_error_clear();
    wg_raise(WG_ENUMERIC, "something before");
    ck_assert_int_eq(wg_checkpoint_save(c, in_folder("unmade")), WG_ENUMERIC);
    ck_assert_int_ne(access(in_folder("unmade"), F_OK), 0);
    wg_error_clear();
    wg_checkpoint_free(c);
}
END_TEST

START_TEST(names_that_cannot_be_told_apart_are_refused)
{
    static const char *const bad[] = { "model", "model.x", "a", "random", "random.x", "" };
    wg_checkpoint *c = wg_checkpoint_new();
    int64_t v = 0;
    wg_checkpoint_int(c, "model", &v);
    wg_checkpoint_int(c, "a.b", &v);
    wg_checkpoint_int(c, "models", &v);
    expect_no_error();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wg_checkpoint_int(c, bad[i], &v);
        expect_error(WG_EARG, "checkpoint: ");
    }
    wg_checkpoint_module(c, "m", NULL);
    expect_error(WG_EARG, "checkpoint: no checkpoint, no name or nothing to bind given");
    wg_checkpoint_int(NULL, "m", &v);
    expect_error(WG_EARG, "checkpoint: no checkpoint, no name or nothing to bind given");
    wg_checkpoint_free(c);
    wg_checkpoint_free(NULL);
}
END_TEST

START_TEST(a_left_over_temporary_is_ignored_and_cleaned)
{
    wg_checkpoint *c = wg_checkpoint_new();
    int64_t v = 41;
    wg_checkpoint_int(c, "v", &v);
    ck_assert_int_eq(wg_checkpoint_save(c, in_folder("left")), WG_OK);
    put_text(in_folder("left/checkpoint.safetensors.tmp"), "half of a checkp");
    v = 0;
    ck_assert_int_eq(wg_checkpoint_load(c, in_folder("left")), WG_OK);
    ck_assert_int_eq(v, 41);
    ck_assert_int_eq(folder_files(in_folder("left"), false), 1);
    wg_checkpoint_free(c);
}
END_TEST

/* ---- kill -9 ------------------------------------------------------------------------------------------------ */
enum { BIG = 200000 };
/* A parameter whose elements all hold the number of the save: a torn file would mix two. */
static wg_module *uniform_model(wg_checkpoint *c, int64_t *v)
{
    wg_module *m = wg_embedding_new(BIG, 1);
    wg_checkpoint_module(c, "model", m);
    wg_checkpoint_int(c, "v", v);
    return m;
}

/* The program that is killed: saves without end. */
static int writer(const char *folder)
{
    wg_checkpoint *c = wg_checkpoint_new();
    int64_t v = 0;
    wg_module *m = uniform_model(c, &v);
    const wg_status st = wg_checkpoint_load(c, folder);
    if (st == WG_ENOTFOUND) wg_error_clear();
    wg_tensor *p = wg_module_tensor(m, "weight");
    for (;;) {
        const wg_scope s = wg_scope_push();
        wg_use_grad(false);
        v++;
        if (wg_assign(p, wg_full(WG_DIMS(1), (double)v)) || wg_checkpoint_save(c, folder))
            return wg_error_print(stderr);
        if (wg_scope_pop(s)) return wg_error_print(stderr);
    }
}

/* When the checkpoint was written; 0: there is none. */
static int64_t saved_at(const char *folder)
{
    struct stat s;
    if (stat(format("%s/checkpoint.safetensors", folder), &s) != 0) return 0;
    return (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
}

static void wait_for_save(const char *folder, int64_t before)
{
    for (int i = 0; i < 60000 && saved_at(folder) == before; i++)
        nanosleep(&(struct timespec) { 0, 1000000 }, NULL);
    ck_assert_msg(saved_at(folder) != before, "no checkpoint within a minute");
}

START_TEST(a_killed_writer_leaves_a_whole_checkpoint)
{
    const char *full = getenv("WG_TEST_FULL");
    const int kills = full && *full ? 100 : 10;
    char folder[1280], mode[] = "--writer", self[] = "/proc/self/exe";
    strcpy(folder, in_folder("killed"));
    int64_t last = 0;
    uint64_t random = 12345;
    for (int i = 0; i < kills; i++) {
        const int64_t before = saved_at(folder);
        pid_t pid;
        char *arguments[] = { self, mode, folder, NULL };
        ck_assert_int_eq(posix_spawn(&pid, self, NULL, NULL, arguments, environ), 0);
        wait_for_save(folder, before); /* so that every round is a step on */
        random = random * 6364136223846793005u + 1442695040888963407u;
        nanosleep(&(struct timespec) { 0, (long)(random >> 40) % 20000 * 1000 }, NULL);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        ck_assert_msg(WIFSIGNALED(status), "the writer ended by itself");

        wg_checkpoint *c = wg_checkpoint_new();
        int64_t v = 0, n;
        wg_module *m = uniform_model(c, &v);
        const wg_status st = wg_checkpoint_load(c, folder);
        ck_assert_int_eq(st, WG_OK);
        ck_assert_int_gt(v, last);
        last = v;
        float *x = parameters(m, &n);
        for (int64_t k = 0; k < n; k++)
            ck_assert_msg(x[k] == (float)v, "element %lld is %g in checkpoint %lld", (long long)k,
                          (double)x[k], (long long)v);
        free(x);
        wg_checkpoint_free(c);
        wg_module_free(m);
    }
    ck_assert_int_gt(last, 0);
    printf("%d kills, %lld checkpoints\n", kills, (long long)last);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--writer")) return writer(argv[2]);
    folder_make();
    const int failed = suite_run("checkpoint", (const TTest *[]) {
                                                   a_resumed_run_gives_the_same_bits,
                                                   doubles_and_ints_come_back_to_the_last_bit,
                                                   what_does_not_fit_changes_nothing,
                                                   a_loss_scale_comes_back,
                                                   absent_and_foreign_files_are_told_apart,
                                                   names_that_cannot_be_told_apart_are_refused,
                                                   a_left_over_temporary_is_ignored_and_cleaned,
                                                   a_killed_writer_leaves_a_whole_checkpoint,
                                                   NULL,
                                               });
    folder_remove();
    return failed;
}
