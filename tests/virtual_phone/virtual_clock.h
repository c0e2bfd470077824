// The page that a virtual phone's clock is read from; tests/virtual_phone/clock_page.py writes it.
#pragma once

#include <cstdint>

namespace virtual_phone {

constexpr uint32_t kMagic = 0x31434c56;  // "VLC1"

// One clock's line: at real_ns it showed virtual_ns.
struct Anchor {
    int64_t real_ns;
    int64_t virtual_ns;
};

// A sequence lock: `sequence` is odd while the writer is at it. It takes its anchors in that time, so that nobody reads a
// time by the old line that lies after the new one's beginning.
struct ClockPage {
    uint32_t magic;
    uint32_t sequence;
    double slowdown;
    Anchor monotonic;
    Anchor monotonic_raw;
    Anchor boottime;
};
static_assert(sizeof(ClockPage) == 64, "clock_page.py packs the same");

}  // namespace virtual_phone
