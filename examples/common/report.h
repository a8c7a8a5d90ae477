/* What people and other programs see of a run: a progress line, and a log of JSON objects. */
#ifndef COMMON_REPORT_H
#define COMMON_REPORT_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    int64_t step;    /* steps done, this one included */
    double loss;     /* of this step's training batch, before its update */
    double val_loss; /* NaN: not evaluated */
    double seconds;  /* of the step alone, or the mean of some whose losses are read together */
    double tokens_per_second;
    int64_t peak_bytes;
} step_report;

typedef struct {
    FILE *log;
    bool terminal, line_open; /* line_open: the cursor stands behind a progress line */
    int64_t first, last;      /* steps done before, and in the end */
    int64_t every;
    double started;  /* seconds of the monotonic clock */
    double val_loss; /* the last one; NaN: none yet */
} report;

/* Seconds of the monotonic clock. */
double seconds_now(void);
/* Opens the log (an empty name: none); on a resume its lines after step `first` go. False when it complained. */
bool report_open(report *r, const char *log, bool resume, int64_t first, int64_t last,
                 int64_t every);
bool report_step(report *r, const step_report *s);
/* Ends a progress line, so that other output can follow. */
void report_break(report *r);
void report_close(report *r);
#endif
