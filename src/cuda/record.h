/* Graphs by stream capture: what a thread asks of a device between wgi_recorder_begin and
 * wgi_recorder_launch goes to a stream of the recorder's own, where CUDA writes it down instead of running
 * it; the graph is then launched into the device's stream. Every run is captured anew, so that its pointers
 * and numbers are its own; the graph that CUDA has prepared is brought up to date, not prepared again, where ops and
 * products are the same.
 *
 * Memory needs no pool of the graph's own. A graph runs once for each capture, at once, behind all that the
 * device's stream holds: in the order of the stream the captured kernels stand where they would without a
 * graph, and blocks pass from hand to hand as always. Only other threads could come between capture and
 * launch; what is freed meanwhile is parked (src/cuda/pool.h). */
#ifndef WGI_CUDA_RECORD_H
#define WGI_CUDA_RECORD_H
#include "cuda/device.h"

/* Graphs are wanted: neither WG_CUDA_SYNC nor WG_NO_CACHE is set. */
bool wgi_cuda_records(void);
/* wgi_backend's functions. */
void *wgi_recorder_new(int index);
wg_status wgi_recorder_begin(void *recorder);
wg_status wgi_recorder_launch(void *recorder, int64_t *nodes, bool *anew);
void wgi_recorder_free(void *recorder);

/* More of what the graph being captured is made of: two graphs whose notes differ are not brought up to date, one from the
 * other (record.c says why). Nothing where this thread does not capture. */
void wgi_recorder_note(const void *bytes, size_t n);
/* This thread captures, on any device. */
bool wgi_cuda_captures(void);
/* This thread captures, on d. */
bool wgi_cuda_recording(const wgi_cuda_device *d);
/* A copy of the bytes that stays until the graph being captured has run; NULL: raised. */
void *wgi_recorder_keep(const void *from, size_t bytes);
/* fn(self), which may ask of CUDA what a capture forbids, and raises nothing: while this thread captures another one runs it, with
 * the device current. Returns when it is done; false: it did not run. */
bool wgi_cuda_apart(int device, void (*fn)(void *), void *self);
/* Raises WG_EDEVICE, "<what>: cuda:N is being captured ...", while this thread captures on any device: CUDA
 * would give the capture up. */
wg_status wgi_cuda_may_wait(const char *what);
/* What this thread may ask of CUDA while it captures: Relaxed around memory for the library's own keeping,
 * which no graph need know of, then what was there before. Returns the mode until now. */
enum cudaStreamCaptureMode wgi_cuda_relax(enum cudaStreamCaptureMode mode);
#endif
