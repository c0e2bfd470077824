#include "counters.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <system_error>

namespace edgebench {
namespace {

// As units of Armv8 and later number them (Arm Architecture Reference Manual, "Common event numbers"): their driver takes the
// general numbers for one unit of several only since Linux 6.5.
constexpr uint64_t kArmCycles = 0x11;
constexpr uint64_t kArmInstructions = 0x08;
// linux/perf_event.h PERF_PMU_TYPE_SHIFT, which older headers lack.
constexpr int kUnitShift = 32;

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

std::vector<int> open_counters(const std::vector<Event>& events) {
    std::vector<int> descriptors;
    for (const Event& event : events) {
        if (const int descriptor = open_counter(event); descriptor >= 0) descriptors.push_back(descriptor);
    }
    return descriptors;
}

std::optional<int64_t> read_counter(int descriptor) {
    // As read_format orders it: the count, for how long it was wanted, for how long it counted.
    std::array<uint64_t, 3> values{};
    if (::read(descriptor, values.data(), sizeof values) != sizeof values) return std::nullopt;
    if (values[2] == 0 || values[1] != values[2]) return std::nullopt;
    return static_cast<int64_t>(values[0]);
}

// Of the one unit that counted all the time.
std::optional<int64_t> read_counters(const std::vector<int>& descriptors) {
    for (const int descriptor : descriptors) {
        if (const auto count = read_counter(descriptor)) return count;
    }
    return std::nullopt;
}

}  // namespace

std::vector<Event> on_every_unit(uint64_t what, const std::filesystem::path& units) {
    std::vector<Event> events;
    std::error_code none;
    for (const auto& unit : std::filesystem::directory_iterator(units, none)) {
        uint32_t type = 0;
        // Units of memory and buses name no cores.
        if (!std::filesystem::exists(unit.path() / "cpus", none) || !(std::ifstream(unit.path() / "type") >> type)) continue;
        const std::string name = unit.path().filename();
        if (name.rfind("armv8", 0) == 0 || name.rfind("armv9", 0) == 0) {
            events.push_back({type, what == PERF_COUNT_HW_CPU_CYCLES ? kArmCycles : kArmInstructions});
        } else {
            events.push_back({PERF_TYPE_HARDWARE, uint64_t{type} << kUnitShift | what});
        }
    }
    // Cores that are alike need no unit to be named.
    if (events.empty()) events.push_back({PERF_TYPE_HARDWARE, what});
    return events;
}

Counters::Counters() : Counters(on_every_unit(PERF_COUNT_HW_CPU_CYCLES), on_every_unit(PERF_COUNT_HW_INSTRUCTIONS)) {}

Counters::Counters(const std::vector<Event>& cycles, const std::vector<Event>& instructions)
    : cycles_(open_counters(cycles)), instructions_(open_counters(instructions)) {}

Counters::~Counters() {
    for (const auto& descriptors : {cycles_, instructions_}) {
        for (const int descriptor : descriptors) close(descriptor);
    }
}

Counters::Counts Counters::read() const { return {read_counters(cycles_), read_counters(instructions_)}; }

Json between(const std::optional<int64_t>& from, const std::optional<int64_t>& to) { return from && to ? Json(*to - *from) : Json(nullptr); }

}  // namespace edgebench
