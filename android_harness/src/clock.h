// Time as the trace states it: integer nanoseconds.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>

namespace edgebench {

inline int64_t read_clock_ns(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

// CLOCK_MONOTONIC, the clock of every time in a trace.
inline int64_t now_ns() { return read_clock_ns(CLOCK_MONOTONIC); }

// CLOCK_BOOTTIME - CLOCK_MONOTONIC: it grows by the time that the device slept.
inline std::optional<int64_t> boot_minus_monotonic_ns() {
    timespec boot{};
    if (clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return std::nullopt;
    return static_cast<int64_t>(boot.tv_sec) * 1000000000 + boot.tv_nsec - now_ns();
}

}  // namespace edgebench
