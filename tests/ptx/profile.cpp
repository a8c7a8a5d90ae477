/* WG_PTX_PROFILE=1: what each kernel asked of the device, printed when the program ends. A line a kernel:
 *   launches, warps' instructions, bytes that were touched, bytes of the 32-byte sectors that they lie in, what shared memory
 *   was asked for and how often it would have taken (banks: 1 is best).
 * `each`: instructions of a lane for 4 bytes touched. An H200 issues 132 x 4 a cycle, 30e12 lanes' instructions a second, and
 * copies 4.3e12 bytes: a kernel above 28 is bound by its instructions and not by memory. PTX is not what runs, but near. */
#include "profile.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace ptx
{

const bool profiles = std::getenv("WG_PTX_PROFILE") != nullptr;

namespace
{

std::map<const kernel *, counts> all;

struct printer {
    ~printer()
    {
        std::vector<std::pair<const kernel *, counts>> rows(all.begin(), all.end());
        std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
            return a.second.instructions > b.second.instructions;
        });
        if (!rows.empty())
            std::fprintf(stderr, "%8s %12s %12s %7s %6s %6s  kernel\n", "launches", "instructions",
                         "bytes", "sectors", "banks", "each");
        for (const auto &[k, c] : rows)
            std::fprintf(stderr, "%8llu %12llu %12llu %7.2f %6.2f %6.1f  %s\n", c.launches,
                         c.instructions, c.bytes, c.bytes ? 32.0 * c.sectors / c.bytes : 0,
                         c.shared ? double(c.passes) / c.shared : 0,
                         c.bytes ? 128.0 * c.instructions / c.bytes : 0, k->shown.c_str());
    }
} at_the_end;

} // namespace

counts &counts_of(const kernel &k)
{
    return all[&k];
}

/* Lanes' addresses of one instruction, `bytes` each. */
void count_global(counts &c, const uint64_t *address, uint32_t lanes, size_t bytes)
{
    uint64_t sectors[LANES * 2];
    size_t n = 0;
    for (unsigned l = 0; l < LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        c.bytes += bytes;
        sectors[n++] = address[l] / 32;
        if ((address[l] + bytes - 1) / 32 != address[l] / 32) sectors[n++] = address[l] / 32 + 1;
    }
    std::sort(sectors, sectors + n);
    c.sectors += uint64_t(std::unique(sectors, sectors + n) - sectors);
}

/* 32 banks of 4 bytes; lanes go together as many as 128 bytes hold. One word for several lanes is read once. */
void count_shared(counts &c, const uint64_t *address, uint32_t lanes, size_t bytes)
{
    const unsigned together = bytes <= 4 ? 32 : unsigned(128 / bytes);
    for (unsigned first = 0; first < LANES; first += together) {
        std::vector<uint64_t> words[32];
        size_t most = 0;
        for (unsigned l = first; l < first + together; l++) {
            if (!(lanes >> l & 1)) continue;
            for (uint64_t w = address[l] / 4; w <= (address[l] + bytes - 1) / 4; w++) {
                std::vector<uint64_t> &bank = words[w % 32];
                if (std::find(bank.begin(), bank.end(), w) == bank.end()) bank.push_back(w);
                most = std::max(most, bank.size());
            }
        }
        c.shared += most > 0;
        c.passes += most;
    }
}

} // namespace ptx
