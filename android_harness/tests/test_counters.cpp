#include <doctest/doctest.h>
#include <linux/perf_event.h>

#include <thread>

#include "clock.h"
#include "counters.h"
#include "temporary.h"

using namespace edgebench;

namespace {

// The kernel's own counters: they count alike on machines whose processor lends none.
constexpr Event kTaskClock{PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK};
constexpr Event kNothing{PERF_TYPE_SOFTWARE, 10000};

void work(int64_t ns) {
    const int64_t until = now_ns() + ns;
    while (now_ns() < until) {
    }
}

}  // namespace

TEST_CASE("what this thread and those that it starts do is counted, and nothing from before") {
    const Counters counters({kNothing, kTaskClock}, {kNothing});
    const auto before = counters.read();
    if (!before.cycles) {
        WARN_MESSAGE(before.cycles, "this kernel lends no counters: perf_event_paranoid, or seccomp");
        return;
    }
    work(20000000);
    const auto alone = counters.read();
    std::thread([] { work(20000000); }).join();
    const auto both = counters.read();
    // Another process may have had the core for a while; it cannot have run for longer than it did.
    const auto first = between(before.cycles, alone.cycles).get<int64_t>();
    const auto second = between(alone.cycles, both.cycles).get<int64_t>();
    CHECK(first > 1000000);
    CHECK(second > 1000000);
    CHECK(*before.cycles < 20000000);
}

TEST_CASE("a counter that there is not is told as nothing, not as none") {
    const Counters counters({kNothing}, {});
    CHECK_FALSE(counters.read().cycles.has_value());
    CHECK(between(counters.read().instructions, 5).is_null());
    CHECK(between(3, 5) == 2);
}

TEST_CASE("each kind of core is counted by its own unit, in the numbers that it takes") {
    const Temporary units;
    const auto add = [&](const char* unit, const char* type, const char* cores) {
        units.write(std::string(unit) + "/type", std::string(type) + "\n");
        units.write(std::string(unit) + "/" + cores, "0-3\n");
    };
    CHECK(on_every_unit(PERF_COUNT_HW_INSTRUCTIONS, units.root / "none").size() == 1);
    // A unit of memory counts for no core.
    add("uncore_imc", "20", "cpumask");
    const auto alike = on_every_unit(PERF_COUNT_HW_INSTRUCTIONS, units.root);
    REQUIRE(alike.size() == 1);
    CHECK((alike[0].type == PERF_TYPE_HARDWARE && alike[0].config == PERF_COUNT_HW_INSTRUCTIONS));
    add("armv8_cortex_a55", "8", "cpus");
    const auto arm = on_every_unit(PERF_COUNT_HW_INSTRUCTIONS, units.root);
    REQUIRE(arm.size() == 1);
    CHECK((arm[0].type == 8 && arm[0].config == 0x08));
    CHECK(on_every_unit(PERF_COUNT_HW_CPU_CYCLES, units.root)[0].config == 0x11);
    add("cpu_atom", "10", "cpus");
    const auto both = on_every_unit(PERF_COUNT_HW_CPU_CYCLES, units.root);
    REQUIRE(both.size() == 2);
    const Event& atom = both[0].type == PERF_TYPE_HARDWARE ? both[0] : both[1];
    CHECK(atom.config == (uint64_t{10} << 32 | PERF_COUNT_HW_CPU_CYCLES));
}
