#include <doctest/doctest.h>
#include <linux/perf_event.h>

#include <thread>

#include "clock.h"
#include "counters.h"

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
    const Counters counters(kTaskClock, kNothing);
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
    const Counters counters(kNothing, kNothing);
    CHECK_FALSE(counters.read().cycles.has_value());
    CHECK(between(counters.read().instructions, 5).is_null());
    CHECK(between(3, 5) == 2);
}
