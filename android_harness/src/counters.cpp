#include "counters.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace edgebench {
namespace {

int open_counter(const Event& event) {
    perf_event_attr wanted{};
    wanted.size = sizeof wanted;
    wanted.type = event.type;
    wanted.config = event.config;
    wanted.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
    // A process may count what it does itself; the kernel's part takes more rights.
    wanted.exclude_kernel = 1;
    wanted.exclude_hv = 1;
    wanted.inherit = 1;
    return static_cast<int>(syscall(SYS_perf_event_open, &wanted, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

std::optional<int64_t> read_counter(int descriptor) {
    // As read_format orders it: the count, for how long it was wanted, for how long it counted.
    std::array<uint64_t, 3> values{};
    if (descriptor < 0 || ::read(descriptor, values.data(), sizeof values) != sizeof values) return std::nullopt;
    if (values[2] == 0 || values[1] != values[2]) return std::nullopt;
    return static_cast<int64_t>(values[0]);
}

}  // namespace

Counters::Counters() : Counters({PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES}, {PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS}) {}

Counters::Counters(Event cycles, Event instructions) : cycles_(open_counter(cycles)), instructions_(open_counter(instructions)) {}

Counters::~Counters() {
    for (const int descriptor : {cycles_, instructions_}) {
        if (descriptor >= 0) close(descriptor);
    }
}

Counters::Counts Counters::read() const { return {read_counter(cycles_), read_counter(instructions_)}; }

Json between(const std::optional<int64_t>& from, const std::optional<int64_t>& to) { return from && to ? Json(*to - *from) : Json(nullptr); }

}  // namespace edgebench
