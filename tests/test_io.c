/* safetensors: what is written comes back; what is malformed is refused before anything is made of it; a failed write leaves
 * nothing. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "folder.h"
#include "suite.h"

/* ---- helpers --------------------------------------------------------------------------------- */
static wg_status write_one(const char *path, const char *name, wg_tensor *t)
{
    const wg_param_ref p = { .name = name, .tensor = t };
    return wg_safetensors_write(path, (wg_params) { 1, &p }, NULL, 0);
}

/* Same dtype, shape and bits. */
static void expect_same(wg_tensor *a, wg_tensor *b, const char *name)
{
    ck_assert_msg(a && b && !wg_is_error(a) && !wg_is_error(b), "%s is missing", name);
    ck_assert_msg(wg_dtype_of(a) == wg_dtype_of(b) && wg_ndim(a) == wg_ndim(b), "%s: dtype or rank",
                  name);
    for (int i = 0; i < wg_ndim(a); i++)
        ck_assert_msg(wg_size(a, i) == wg_size(b, i), "%s: size %d", name, i);
    const size_t bytes = (size_t)wg_numel(a) * wg_dtype_size(wg_dtype_of(a));
    char *x = calloc(bytes + 1, 1), *y = calloc(bytes + 1, 1);
    ck_assert_int_eq(wg_read(a, x, bytes, wg_dtype_of(a)), WG_OK);
    ck_assert_int_eq(wg_read(b, y, bytes, wg_dtype_of(b)), WG_OK);
    ck_assert_msg(memcmp(x, y, bytes) == 0, "%s: bits differ", name);
    free(x);
    free(y);
}

/* Size, header, `bytes` bytes of data that count up. */
static void put_safetensors(const char *path, const char *header, size_t bytes)
{
    const uint64_t n = strlen(header);
    char *file = malloc(8 + n + bytes);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < bytes; i++) file[8 + n + i] = (char)i;
    put_file(path, file, 8 + n + bytes);
    free(file);
}

/* ---- there and back -------------------------------------------------------------------------- */
START_TEST(every_dtype_and_shape_comes_back)
{
    const wg_scope s = wg_scope_push();
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16,
                                       WG_I64, WG_I32, WG_U8,   WG_BOOL };
    const wg_dims shapes[] = { WG_DIMS(), WG_DIMS(3), WG_DIMS(2, 0, 3),
                               WG_DIMS(2, 1, 2, 1, 2, 1, 2, 1), WG_DIMS(5, 7) };
    enum { SHAPES = 5, N = 8 * SHAPES };
    wg_param_ref p[N];
    static char names[N][32];
    for (int i = 0; i < N; i++) {
        const wg_dtype t = dtypes[i / SHAPES];
        wg_tensor *x = wg_cast(wg_affine(wg_randn(shapes[i % SHAPES]), 3, 3), t);
        snprintf(names[i], sizeof names[i], "%s.\"%d\" \xC3\xA4", wg_dtype_name(t), i % SHAPES);
        p[i] = (wg_param_ref) { .name = names[i], .tensor = x };
    }
    const wg_pair metadata[] = { { "format", "pt" }, { "a \"quote\"", "line\nbreak" } };
    ck_assert_int_eq(wg_safetensors_write(in_folder("all"), (wg_params) { N, p }, metadata, 2),
                     WG_OK);
    wg_safetensors *f = wg_safetensors_open(in_folder("all"));
    expect_no_error();
    ck_assert_int_eq(wg_safetensors_count(f), N);
    for (int i = 0; i < N; i++)
        expect_same(p[i].tensor, wg_safetensors_get(f, p[i].name), p[i].name);
    ck_assert_str_eq(wg_safetensors_metadata(f, "format"), "pt");
    ck_assert_str_eq(wg_safetensors_metadata(f, "a \"quote\""), "line\nbreak");
    ck_assert_ptr_null(wg_safetensors_metadata(f, "none"));
    ck_assert_ptr_null(wg_safetensors_get(f, "none"));
    ck_assert_ptr_null(wg_safetensors_name(f, N));
    expect_no_error();
    wg_safetensors_close(f);
    pop(s);
}
END_TEST

START_TEST(any_strides_are_written_in_pieces)
{
    const wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(1100, 1100)); /* 4.8 MB: more than one piece */
    wg_tensor *odd[] = { wg_transpose(x, 0, 1), wg_narrow(x, 1, 5, 1000), wg_flip(x, WG_DIMS(0)),
                         wg_expand(wg_randn(WG_DIMS(1)),
                                   WG_DIMS(2, 1200000)) }; /* a row above a piece */
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(write_one(in_folder("odd"), "x", odd[i]), WG_OK);
        wg_safetensors *f = wg_safetensors_open(in_folder("odd"));
        expect_same(odd[i], wg_safetensors_get(f, "x"), "x");
        wg_safetensors_close(f);
    }
    pop(s);
}
END_TEST

START_TEST(tensors_share_the_file_and_refuse_writes)
{
    const wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(4, 4));
    ck_assert_int_eq(write_one(in_folder("one"), "x", x), WG_OK);
    wg_safetensors *f = wg_safetensors_open(in_folder("one"));
    wg_tensor *a = wg_safetensors_get(f, "x"), *b = wg_safetensors_get(f, "x");
    ck_assert_ptr_eq(wg_data(a), wg_data(b));
    wg_safetensors_close(f);
    unlink(in_folder("one"));
    expect_same(a, x, "x"); /* after the file is closed and gone */
    ck_assert_ptr_null(wg_data_write(a));
    ck_assert_int_ne(wg_error_code(), WG_OK);
    wg_error_clear();
    pop(s);
}
END_TEST

START_TEST(misaligned_data_are_copied)
{
    const wg_scope s = wg_scope_push();
    put_safetensors(in_folder("odd"),
                    "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                    "\"x\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[1,9]}}",
                    9);
    wg_safetensors *f = wg_safetensors_open(in_folder("odd"));
    wg_tensor *x = wg_safetensors_get(f, "x");
    int32_t got[2];
    ck_assert_int_eq(wg_read(x, got, sizeof got, WG_I32), WG_OK);
    ck_assert_int_eq(got[0], 0x04030201);
    ck_assert_int_eq(got[1], 0x08070605);
    ck_assert_uint_eq((uintptr_t)wg_data(x) % 4, 0);
    wg_safetensors_close(f);
    pop(s);
}
END_TEST

START_TEST(published_reference_files_open)
{
    const char *path = format("%s/../shared/reference/gpt2_reference.safetensors", WG_SOURCE_ROOT);
    if (access(path, R_OK) != 0) {
        puts("skipped: no data (published_reference_files_open)");
        return;
    }
    const wg_scope s = wg_scope_push();
    wg_safetensors *f = wg_safetensors_open(path);
    expect_no_error();
    ck_assert_str_eq(wg_safetensors_metadata(f, "n_embd"), "64");
    wg_tensor *t = wg_safetensors_get(f, "init.transformer.wte.weight");
    ck_assert_int_eq(wg_size(t, 0), 97);
    ck_assert_int_eq(wg_size(t, 1), 64);
    wg_safetensors_close(f);
    pop(s);
}
END_TEST

/* ---- what must be refused -------------------------------------------------------------------- */
#define X(dtype, shape, offsets)                                                                   \
    "{\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define Y(shape, offsets)                                                                          \
    "\"y\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
static const struct {
    const char *header;
    size_t data;
    const char *message; /* after "PATH: " */
} malformed[] = {
    { "", 0, "the header does not begin with '{'" },
    { " {}", 0, "the header does not begin with '{'" },
    { "[]", 0, "the header does not begin with '{'" },
    { "{", 0, "the header is no JSON" },
    { "{} x", 0, "the header is no JSON" },
    { "{\"a\":\"\xFF\"}", 0, "the header is no JSON" },
    { "{\"a\\u0000b\":{}}", 0, "the header is no JSON" },
    { "{}", 1, "1 bytes after the last tensor" },
    { "{\"x\":1}", 0, "tensor \"x\": its description is no object" },
    { "{\"x\":{}}", 0, "tensor \"x\": \"dtype\" is missing" },
    { "{\"x\":{\"dtype\":\"F32\"}}", 0, "tensor \"x\": \"shape\" is missing" },
    { "{\"x\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "tensor \"x\": \"data_offsets\" is missing" },
    { X("F8_E4M3", "[4]", "[0,4]"), 4, "tensor \"x\": dtype F8_E4M3 is not supported" },
    { X("f32", "[1]", "[0,4]"), 4, "tensor \"x\": dtype f32 is not supported" },
    { X("F32", "3", "[0,4]"), 4, "tensor \"x\": \"shape\" is missing or no array" },
    { X("F32", "[-1]", "[0,4]"), 4, "tensor \"x\": a size is no integer" },
    { X("F32", "[1.0]", "[0,4]"), 4, "tensor \"x\": a size is no integer" },
    { X("F32", "[\"1\"]", "[0,4]"), 4, "tensor \"x\": a size is no integer" },
    { X("F32", "[99999999999999999999]", "[0,4]"), 4, "the header is no JSON" },
    { X("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "tensor \"x\": more than 8 dimensions" },
    { X("F32", "[4611686018427387904,4]", "[0,4]"), 4, "tensor \"x\": the size overflows" },
    { X("F32", "[4611686018427387905,4]", "[0,16]"), 16, "tensor \"x\": the size overflows" },
    { X("F32", "[4611686018427387904,4611686018427387904,0]", "[0,0]"), 0,
      "tensor \"x\": the size overflows" },
    { X("F32", "[1]", "[0]"), 4, "tensor \"x\": \"data_offsets\" is missing or no pair" },
    { X("F32", "[1]", "[0,4,8]"), 4, "tensor \"x\": \"data_offsets\" is missing or no pair" },
    { X("F32", "[1]", "[-4,0]"), 4, "tensor \"x\": an offset is no integer" },
    { X("F32", "[1]", "[0,4.0]"), 4, "tensor \"x\": an offset is no integer" },
    { X("F32", "[1]", "[4,0]"), 4, "tensor \"x\": its data end before they begin" },
    { X("F32", "[1]", "[0,8]"), 8,
      "tensor \"x\": 8 bytes of data where its shape and dtype need 4" },
    { X("F32", "[2]", "[0,4]"), 4,
      "tensor \"x\": 4 bytes of data where its shape and dtype need 8" },
    { X("F32", "[1]", "[0,4]"), 3, "tensor \"x\": its data reach beyond the end of the file" },
    { X("F32", "[1]", "[9223372036854775803,9223372036854775807]"), 4,
      "tensor \"x\": its data reach beyond" },
    { X("F32", "[1]", "[4,8]"), 8, "a hole of 4 bytes before tensor \"x\"" },
    { X("F32", "[1]", "[0,4]"), 8, "4 bytes after the last tensor" },
    { "{" Y("[1]", "[0,4]") "," Y("[1]", "[0,4]") "}", 4,
      "the header is no JSON: duplicate object key" },
    { "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}," Y("[1]", "[4,8]") "}", 8,
      "tensor \"y\": its data overlap another tensor's" },
    { "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}," Y("[1]", "[8,12]") "}", 12,
      "a hole of 4 bytes before tensor \"y\"" },
    { "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
      "the header is no JSON: duplicate object key" },
    { "{\"__metadata__\":[]}", 0, "\"__metadata__\" is no object" },
    { "{\"__metadata__\":{\"a\":1}}", 0, "\"__metadata__\": the value of \"a\" is no string" },
};

START_TEST(malformed_files_are_refused_with_their_reason)
{
    const char *path = in_folder("bad");
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        put_safetensors(path, malformed[i].header, malformed[i].data);
        ck_assert_msg(wg_safetensors_open(path) == NULL, "accepted: %s", malformed[i].header);
        expect_error(WG_EFORMAT, format("%s: %s", path, malformed[i].message));
    }
}
END_TEST

START_TEST(wrong_header_sizes_are_refused)
{
    static const uint64_t sizes[] = { 3, 100000001, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63 };
    const char *path = in_folder("size");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char file[10];
        memcpy(file, &sizes[i], 8);
        memcpy(file + 8, "{}", 2);
        put_file(path, file, sizeof file);
        ck_assert_ptr_null(wg_safetensors_open(path));
        expect_error(WG_EFORMAT, path);
    }
    ck_assert_ptr_null(wg_safetensors_open(in_folder("none")));
    expect_error(WG_ENOTFOUND, in_folder("none"));
    ck_assert_ptr_null(wg_safetensors_open(folder_path));
    expect_error(WG_EIO, folder_path);
    ck_assert_ptr_null(wg_safetensors_open(NULL));
    expect_error(WG_EARG, "no file name");
}
END_TEST

START_TEST(well_formed_oddities_are_accepted)
{
    const wg_scope s = wg_scope_push();
    put_safetensors(in_folder("a"), "{}", 0);
    put_safetensors(in_folder("b"), "{\"__metadata__\":{}}      ", 0);
    put_safetensors(
        in_folder("c"),
        "{\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[4,4]}," Y(
            "[]", "[0,4]") ",\"f\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        4);
    static const char *const names[] = { "a", "b", "c" };
    for (int i = 0; i < 3; i++) {
        wg_safetensors *f = wg_safetensors_open(in_folder(names[i]));
        expect_no_error();
        for (int64_t j = 0; j < wg_safetensors_count(f); j++)
            ck_assert(!wg_is_error(wg_safetensors_get(f, wg_safetensors_name(f, j))));
        wg_safetensors_close(f);
    }
    put_safetensors(in_folder("d"), X("BOOL", "[3]", "[0,3]"), 3);
    wg_safetensors *f = wg_safetensors_open(in_folder("d"));
    ck_assert(wg_is_error(wg_safetensors_get(f, "x"))); /* its bytes are 0, 1, 2 */
    expect_error(WG_EFORMAT, "safetensors: tensor \"x\": a BOOL is 2");
    wg_safetensors_close(f);
    pop(s);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */
static char *sample_file(size_t *bytes)
{
    const wg_scope s = wg_scope_push();
    const wg_param_ref p[] = { { .name = "a", .tensor = wg_randn(WG_DIMS(3, 2)) },
                               { .name = "b.c", .tensor = wg_arange(0, 5) },
                               { .name = "d", .tensor = wg_cast(wg_ones(WG_DIMS(3)), WG_BOOL) },
                               { .name = "e", .tensor = wg_zeros(WG_DIMS(0, 4)) } };
    const wg_pair metadata = { "format", "pt" };
    ck_assert_int_eq(wg_safetensors_write(in_folder("sample"), (wg_params) { 4, p }, &metadata, 1),
                     WG_OK);
    pop(s);
    return get_file(in_folder("sample"), bytes);
}

/* Opens it and reads all that it holds; whether it opened. */
static bool try_file(const char *path)
{
    const wg_scope s = wg_scope_push();
    wg_safetensors *f = wg_safetensors_open(path);
    for (int64_t i = 0; i < wg_safetensors_count(f); i++) {
        wg_tensor *t = wg_safetensors_get(f, wg_safetensors_name(f, i));
        const size_t bytes = (size_t)wg_numel(t) * wg_dtype_size(wg_dtype_of(t));
        void *data = malloc(bytes + 1);
        if (!wg_is_error(t) && wg_read(t, data, bytes, wg_dtype_of(t)) != WG_OK)
            ck_abort_msg("unreadable");
        free(data);
    }
    const bool opened = f != NULL;
    if (!opened && !wg_error_code()) ck_abort_msg("refused without an error");
    wg_safetensors_close(f);
    wg_scope_return(s, NULL);
    wg_error_clear();
    return opened;
}

START_TEST(a_file_cut_at_any_byte_is_refused)
{
    size_t bytes;
    char *file = sample_file(&bytes);
    const char *path = in_folder("cut");
    for (size_t n = 0; n < bytes; n++) {
        put_file(path, file, n);
        ck_assert_msg(!try_file(path), "accepted when cut at byte %zu of %zu", n, bytes);
    }
    put_file(path, file, bytes);
    ck_assert(try_file(path));
    free(file);
}
END_TEST

static uint64_t random_state = 88172645463325252u;
static uint64_t random_next(void) /* xorshift64: Marsaglia 2003 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

START_TEST(random_damage_neither_crashes_nor_leaks)
{
    enum { ROUNDS = 20000 };
    static const char pieces[] = "{}[],:\"0123456789-.eE \\untrflsFIBUOL";
    size_t bytes;
    char *file = sample_file(&bytes);
    char *copy = malloc(2 * bytes);
    const char *path = in_folder("fuzz");
    int opened = 0;
    wg_memory before = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        size_t n = bytes;
        memcpy(copy, file, bytes);
        for (uint64_t k = random_next() % 4 + 1; k > 0; k--) {
            const size_t at = random_next() % n, span = random_next() % 8;
            switch (random_next() % 4) {
            case 0: copy[at] = (char)random_next(); break;
            case 1: copy[at] = pieces[random_next() % (sizeof pieces - 1)]; break;
            case 2: /* a span twice */
                if (at + span > n || n + span > 2 * bytes) break;
                memmove(copy + at + span, copy + at, n - at);
                n += span;
                break;
            default: /* a span cut out */
                if (at + span >= n) break;
                memmove(copy + at, copy + at + span, n - at - span);
                n -= span;
            }
        }
        /* Every other time the header's size fits again, so that damage behind it is reached. */
        if (i % 2) {
            uint64_t header;
            memcpy(&header, file, 8);
            header += n - bytes;
            memcpy(copy, &header, 8);
        }
        put_file(path, copy, n);
        opened += try_file(path);
        if (i == 100) before = wg_memory_stats(wg_cpu());
    }
    const wg_memory after = wg_memory_stats(wg_cpu());
    ck_assert_int_eq(after.current, before.current);
    ck_assert_int_eq(after.tensors, before.tensors);
    printf("%d damaged files, %d still well-formed\n", ROUNDS, opened);
    free(copy);
    free(file);
}
END_TEST

/* ---- writing that fails ---------------------------------------------------------------------- */
START_TEST(wrong_arguments_write_nothing)
{
    const wg_scope s = wg_scope_push();
    const char *path = in_folder("never");
    wg_tensor *x = wg_ones(WG_DIMS(2));
    const wg_param_ref twice[] = { { .name = "x", .tensor = x }, { .name = "x", .tensor = x } };
    const int before = folder_files(folder_path, false);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 2, twice }, NULL, 0), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(write_one(path, "\xFF", x), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(write_one(path, "__metadata__", x), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(write_one(path, NULL, x), WG_EARG);
    wg_error_clear();
    ck_assert_int_ne(write_one(path, "x", NULL), WG_OK);
    wg_error_clear();
    ck_assert_int_eq(write_one(NULL, "x", x), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(write_one(in_folder("no/such/folder"), "x", x), WG_ENOTFOUND);
    wg_error_clear();
    wg_raise(WG_ENUMERIC, "something before");
    ck_assert_int_eq(write_one(path, "x", x), WG_ENUMERIC);
    wg_error_clear();
    const wg_scope meta = wg_scope_push();
    wg_use_device(wg_meta());
    ck_assert_int_eq(write_one(path, "x", wg_ones(WG_DIMS(2))), WG_EDEVICE);
    wg_error_clear();
    pop(meta);
    ck_assert_int_eq(folder_files(folder_path, false), before);
    pop(s);
}
END_TEST

START_TEST(a_write_that_breaks_off_leaves_the_old_file_alone)
{
    const wg_scope s = wg_scope_push();
    const char *path = in_folder("kept");
    wg_tensor *old = wg_randn(WG_DIMS(8));
    ck_assert_int_eq(write_one(path, "x", old), WG_OK);
    const int before = folder_files(folder_path, false);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit was, tight;
    getrlimit(RLIMIT_FSIZE, &was);
    tight = was;
    tight.rlim_cur = 1 << 16;
    setrlimit(RLIMIT_FSIZE, &tight);
    const wg_status st = write_one(path, "x", wg_randn(WG_DIMS(100000)));
    setrlimit(RLIMIT_FSIZE, &was);
    ck_assert_int_eq(st, WG_EIO);
    wg_error_clear();
    ck_assert_int_eq(folder_files(folder_path, false), before);
    wg_safetensors *f = wg_safetensors_open(path);
    expect_same(old, wg_safetensors_get(f, "x"), "x");
    wg_safetensors_close(f);
    pop(s);
}
END_TEST

START_TEST(a_left_over_temporary_is_overwritten_a_living_writers_is_not)
{
    const wg_scope s = wg_scope_push();
    const char *path = in_folder("busy"), *temporary = in_folder("busy.tmp");
    wg_tensor *x = wg_randn(WG_DIMS(8));
    put_text(
        temporary,
        "left over by a process that was killed, longer than the file that will be written: "
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    ck_assert_int_eq(write_one(path, "x", x), WG_OK);
    ck_assert_int_ne(access(temporary, F_OK), 0);
    wg_safetensors *f = wg_safetensors_open(path);
    expect_same(x, wg_safetensors_get(f, "x"), "x");
    wg_safetensors_close(f);

    const int fd = open(temporary, O_CREAT | O_WRONLY, 0666);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_int_eq(write_one(path, "x", x), WG_EIO);
    expect_error(WG_EIO, format("%s: another process is writing it", path));
    ck_assert_int_eq(access(temporary, F_OK), 0);
    close(fd);
    ck_assert_int_eq(write_one(path, "x", x), WG_OK);
    pop(s);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("io", (const TTest *[]) {
                            every_dtype_and_shape_comes_back,
                            any_strides_are_written_in_pieces,
                            tensors_share_the_file_and_refuse_writes,
                            misaligned_data_are_copied,
                            published_reference_files_open,
                            malformed_files_are_refused_with_their_reason,
                            wrong_header_sizes_are_refused,
                            well_formed_oddities_are_accepted,
                            a_file_cut_at_any_byte_is_refused,
                            random_damage_neither_crashes_nor_leaks,
                            wrong_arguments_write_nothing,
                            a_write_that_breaks_off_leaves_the_old_file_alone,
                            a_left_over_temporary_is_overwritten_a_living_writers_is_not,
                            NULL,
                        });
    folder_remove();
    return failed;
}
