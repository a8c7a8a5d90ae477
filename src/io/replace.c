#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapping.h"

static char *temporary_name(const char *path)
{
    const size_t n = strlen(path) + sizeof ".tmp";
    char *name = malloc(n);
    if (name) snprintf(name, n, "%s.tmp", path);
    return name;
}

static void release(wgi_replace *r)
{
    if (r->fd >= 0) close(r->fd);
    free(r->path);
    free(r->temporary);
    *r = (wgi_replace) { .fd = -1 };
}

void wgi_replace_abort(wgi_replace *r)
{
    if (r->fd < 0) return;
    unlink(r->temporary); /* before close: the lock still keeps other writers off this name */
    release(r);
}

/* True if fd is still the file that has this name. */
static bool names(const char *name, int fd)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && lstat(name, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

/* Opens and locks the file called name; -1 with errno. A file renamed or removed between the two
 * steps is let go. */
static int open_locked(const char *name, int flags)
{
    for (;;) {
        const int fd = open(name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0666);
        if (fd < 0) return -1;
        /* A file system without locks is used without. */
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(fd);
            errno = EBUSY;
            return -1;
        }
        if (names(name, fd)) return fd;
        close(fd);
    }
}

wg_status wgi_replace_begin(wgi_replace *r, const char *path)
{
    *r = (wgi_replace) { .fd = -1, .path = strdup(path), .temporary = temporary_name(path) };
    if (!r->path || !r->temporary) {
        release(r);
        return wg_raise(WG_EMEM, "%s: out of memory", path);
    }
    r->fd = open_locked(r->temporary, O_CREAT);
    if (r->fd < 0) {
        const wg_status st = errno == EBUSY
                                 ? wg_raise(WG_EIO, "%s: another process is writing it", path)
                                 : wgi_raise_errno(r->temporary);
        release(r);
        return st;
    }
    if (ftruncate(r->fd, 0) != 0) {
        wgi_raise_errno(r->temporary);
        wgi_replace_abort(r);
        return wg_error_code();
    }
    return WG_OK;
}

wg_status wgi_replace_write(wgi_replace *r, const void *data, size_t bytes)
{
    const char *p = data;
    while (bytes > 0) {
        const ssize_t n = write(r->fd, p, bytes < (1u << 30) ? bytes : 1u << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const wg_status st = wgi_raise_errno(r->temporary);
            wgi_replace_abort(r);
            return st;
        }
        p += n;
        bytes -= (size_t)n;
    }
    return WG_OK;
}

/* The rename itself is durable only when the folder is. path is changed (dirname writes into it).
 */
static int sync_folder(char *path)
{
    const int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int failed = fsync(fd);
    if (failed && (errno == EINVAL || errno == ENOTSUP))
        failed = 0; /* folders cannot be synced here */
    const int e = errno;
    close(fd);
    errno = e;
    return failed;
}

wg_status wgi_replace_commit(wgi_replace *r)
{
    if (fsync(r->fd) != 0 || rename(r->temporary, r->path) != 0) {
        const wg_status st = wgi_raise_errno(r->path);
        wgi_replace_abort(r);
        return st;
    }
    const wg_status st = sync_folder(r->path) == 0 ? WG_OK : wgi_raise_errno(r->path);
    release(r);
    return st;
}

void wgi_replace_clean(const char *path)
{
    char *name = temporary_name(path);
    const int fd = name ? open_locked(name, 0) : -1;
    if (fd >= 0) {
        unlink(name);
        close(fd);
    }
    free(name);
}

wg_status wgi_make_folder(const char *path)
{
    char *p = strdup(path);
    if (!p) return wg_raise(WG_EMEM, "%s: out of memory", path);
    wg_status st = WG_OK;
    for (char *end = p + 1; st == WG_OK; end++) {
        const char c = *end;
        if (c != '/' && c != '\0') continue;
        *end = '\0';
        struct stat s;
        if (mkdir(p, 0777) != 0 && (errno != EEXIST || stat(p, &s) != 0 || !S_ISDIR(s.st_mode))) {
            if (errno == EEXIST) errno = ENOTDIR;
            st = wg_raise(WG_EIO, "%s: %s", p, strerror(errno));
        }
        *end = c;
        if (c == '\0') break;
    }
    free(p);
    return st;
}
