/* What the emulated runtime knows of streams: a launched graph, or a copy out of pinned memory, runs as late as it may, when
 * something waits for its stream or comes behind it; a capture is spoilt by whatever CUDA forbids, and stays so until it ends. */
#ifndef WENGERT_TESTS_EMULATION_STREAMS_H
#define WENGERT_TESTS_EMULATION_STREAMS_H
#include "emulation.h"

#include <atomic>

namespace emulation
{

extern std::atomic<int64_t>
    alive; /* driver's things that are not given back: memory, streams, events, graphs */

/* Notes e for cudaGetLastError, and returns it. */
cudaError_t fail(cudaError_t e);
/* This thread captures, and not in the relaxed mode: the capture is spoilt. */
bool unsafe();
/* Runs all that was launched. */
void finish_all();

} // namespace emulation
#endif
