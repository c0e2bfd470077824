// The processor's own counters of this process, where the kernel lets it have them (perf_event_open(2)).
#pragma once

#include <cstdint>
#include <optional>

#include "trace.h"

namespace edgebench {

// What a counter counts: perf_event_attr's type and config.
struct Event {
    uint32_t type;
    uint64_t config;
};

// Cycles and instructions in user space, of the calling thread and of every thread that it starts later.
class Counters {
   public:
    Counters();
    Counters(Event cycles, Event instructions);
    ~Counters();
    Counters(const Counters&) = delete;
    Counters& operator=(const Counters&) = delete;

    struct Counts {
        std::optional<int64_t> cycles;
        std::optional<int64_t> instructions;
    };
    // So far; empty for one that cannot be had, or that shared the processor's counter with others: it would be an estimate.
    Counts read() const;

   private:
    int cycles_ = -1;
    int instructions_ = -1;
};

// What was counted from one reading to a later one; empty where either is.
Json between(const std::optional<int64_t>& from, const std::optional<int64_t>& to);

}  // namespace edgebench
