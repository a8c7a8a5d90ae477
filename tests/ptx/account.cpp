/* The device's memory, word by word: whether it was ever written, and which block of which launch touched it last. So reads of
 * what nobody has written are found, and blocks of one launch that meet. */
#include <unordered_map>

#include "emulation.h"
#include "lanes.h"

namespace ptx
{

namespace
{

struct touched_by {
    uint32_t launch = 0, block = 0;
    uint8_t bytes = 0; /* of the word, a bit each */
};
struct word {
    touched_by writer, reader;
    uint8_t written = 0; /* ever */
};
enum : uint32_t {
    APART = 0xffffffff, /* blocks that touch different bytes: no more is known */
    MANY_BLOCKS = 0xfffffffe
};

using words_of = std::vector<word>;
std::unordered_map<const void *, words_of> all; /* by where an allocation begins */
uint32_t launch;

words_of &account_of(const emulation::range &r)
{
    words_of &w = all[r.begin];
    if (w.empty()) w.resize(size_t(r.end - r.begin + 3) / 4);
    return w;
}

template <class F> void each_word(const emulation::range &r, const void *p, size_t bytes, F fn)
{
    words_of &w = account_of(r);
    const size_t at = size_t(static_cast<const char *>(p) - r.begin);
    for (size_t k = at / 4; k <= (at + bytes - 1) / 4; k++) {
        const size_t first = k == at / 4 ? at % 4 : 0,
                     end = std::min<size_t>(at + bytes - 4 * k, 4);
        fn(w[k], uint8_t((1 << end) - (1 << first)));
    }
}

void written(const void *p, size_t bytes)
{
    const emulation::range r = emulation::allocation_of(p);
    if (bytes == 0 || !r.begin || r.pinned || static_cast<const char *>(p) + bytes > r.end) return;
    each_word(r, p, bytes, [](word &w, uint8_t mask) { w.written |= mask; });
}

void freed(const void *p)
{
    all.erase(p);
}

} // namespace

void keep_account()
{
    emulation::when_written = written;
    emulation::when_freed = freed;
}

void account_of_launch(uint32_t number)
{
    launch = number;
}

static bool is_of_another(const touched_by &t, uint32_t block, uint8_t bytes)
{
    return t.launch == launch && t.block != block && t.block != APART && (t.bytes & bytes);
}

static void note(touched_by &t, uint32_t block, uint8_t bytes)
{
    const bool now = t.launch == launch;
    if (!now)
        t.block = block;
    else if (t.block != block)
        t.block =
            t.block == MANY_BLOCKS || (t.bytes & bytes) ? uint32_t(MANY_BLOCKS) : uint32_t(APART);
    t.bytes = uint8_t(now ? t.bytes | bytes : bytes);
    t.launch = launch;
}

const char *account(const emulation::range &r, const void *p, size_t bytes, uint32_t block,
                    bool writes, bool atomic)
{
    const char *wrong = nullptr;
    if (r.pinned) return wrong;
    each_word(r, p, bytes, [&](word &w, uint8_t mask) {
        if ((!writes || atomic) && (w.written & mask) != mask)
            wrong = "is read, and nobody has written it";
        if (!atomic && is_of_another(w.writer, block, mask))
            wrong = writes ? "is written by two blocks"
                           : "is read, and another block of this launch writes it";
        if (!atomic && writes && is_of_another(w.reader, block, mask))
            wrong = "is written, and another block of this launch reads it";
        if (writes) w.written |= mask;
        if (!atomic) note(writes ? w.writer : w.reader, block, mask);
    });
    return wrong;
}

} // namespace ptx
