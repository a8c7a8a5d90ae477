/* What every longer program does: messages of one line, and an orderly end on Ctrl-C. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H
#include <stdbool.h>

/* Stands in front of messages; each program defines it. */
extern const char program_name[];

/* Prints "NAME: ..." on stderr; returns false. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
bool complain(const char *fmt, ...);
/* The pending error of the library as such a line, without the program's own file and line, cleared;
 * false. Nothing where none is pending: it has been told. */
bool failed(void);

/* From now on SIGINT and SIGTERM set the flag that this returns; a second one ends the program. */
const volatile int *stop_flag(void);

/* Exit statuses. */
enum { FAILED = 1, MISTAKE = 2, INTERRUPTED = 130 };

/* Makes the folder, with those above it; one that cannot be made shows when a file is opened in it. */
void make_folder(const char *path);
#endif
