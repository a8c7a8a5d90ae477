/* A folder for a test's files, removed with all that is in it; whole files in and out. */
#ifndef WENGERT_TESTS_FOLDER_H
#define WENGERT_TESTS_FOLDER_H
#include <check.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder_path[256];

/* Formatted text; one of eight buffers in turn. */
__attribute__((format(printf, 1, 2))) static inline const char *format(const char *fmt, ...)
{
    static char buffers[8][1280];
    static int next;
    char *text = buffers[next++ % 8];
    va_list a;
    va_start(a, fmt);
    vsnprintf(text, sizeof buffers[0], fmt, a);
    va_end(a);
    return text;
}

static inline const char *folder_make(void)
{
    const char *tmp = getenv("TMPDIR");
    if (!tmp || !*tmp)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* thousands of small files */
    snprintf(folder_path, sizeof folder_path, "%s/wengert-XXXXXX", tmp);
    if (!mkdtemp(folder_path)) { /* not within a test: no ck_assert */
        perror(folder_path);
        exit(1);
    }
    return folder_path;
}

/* How many files are in it; removes them too if told to. Folders inside are emptied likewise. */
static inline int folder_files(const char *path, bool remove_them)
{
    DIR *d = opendir(path);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char name[1280];
        struct stat s;
        strcpy(name, format("%s/%s", path, e->d_name));
        if (lstat(name, &s) == 0 && S_ISDIR(s.st_mode)) {
            n += folder_files(name, remove_them);
            if (remove_them) rmdir(name);
            continue;
        }
        n++;
        if (remove_them) unlink(name);
    }
    if (d) closedir(d);
    return n;
}

static inline void folder_remove(void)
{
    folder_files(folder_path, true);
    rmdir(folder_path);
}

/* The path of a name inside; lives as long as the program. */
static inline const char *in_folder(const char *name)
{
    static char paths[64][1280];
    const char *path = format("%s/%s", folder_path, name);
    for (int i = 0; i < 64; i++) {
        if (!*paths[i]) strcpy(paths[i], path);
        if (!strcmp(paths[i], path)) return paths[i];
    }
    ck_abort_msg("more than 64 names");
}

static inline void put_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

/* The whole file, to be freed. */
static inline char *get_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(*bytes + 1);
    ck_assert_uint_eq(fread(data, 1, *bytes, f), *bytes);
    data[*bytes] = '\0';
    fclose(f);
    return data;
}
#endif
