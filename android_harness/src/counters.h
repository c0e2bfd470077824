// The processor's own counters of this process, where the kernel lets it have them (perf_event_open(2)).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "trace.h"

namespace edgebench {

// What a counter counts: perf_event_attr's type and config.
struct Event {
    uint32_t type;
    uint64_t config;
};

// `cycles` or `instructions` (PERF_COUNT_HW_*) as every unit of the processor counts it: where cores are of several kinds each
// kind has a unit of its own, which counts nothing on the others. `units` is where the kernel lists them.
std::vector<Event> on_every_unit(uint64_t what, const std::filesystem::path& units = "/sys/bus/event_source/devices");

// Cycles and instructions in user space, of the calling thread and of every thread that it starts later.
class Counters {
   public:
    Counters();
    Counters(const std::vector<Event>& cycles, const std::vector<Event>& instructions);
    ~Counters();
    Counters(const Counters&) = delete;
    Counters& operator=(const Counters&) = delete;

    struct Counts {
        std::optional<int64_t> cycles;
        std::optional<int64_t> instructions;
    };
    // So far; empty for one that cannot be had, that shared the processor's counter with others (it would be an estimate), or
    // whose threads ran on cores of several kinds.
    Counts read() const;

   private:
    std::vector<int> cycles_;
    std::vector<int> instructions_;
};

// What was counted from one reading to a later one; empty where either is.
Json between(const std::optional<int64_t>& from, const std::optional<int64_t>& to);

}  // namespace edgebench
