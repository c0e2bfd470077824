#include <doctest/doctest.h>

#include "clock.h"
#include "timing.h"

using edgebench::Block;
using edgebench::Progress;
using edgebench::Schedule;

namespace {

Schedule schedule() { return {5, 0.03, 3000, 1000, 10, 100, 500, 4, 300}; }

void spin_ns(int64_t ns) {
    const int64_t stop = edgebench::now_ns() + ns;
    while (edgebench::now_ns() < stop) {
    }
}

}  // namespace

TEST_CASE("a block ends at its time, but not before the least, and never goes past the most") {
    int calls = 0;
    Block block(50);
    edgebench::timed_block([&] { ++calls; }, block, 50, 3, 0);
    CHECK(calls == 3);
    CHECK(block.count == 3);
    edgebench::timed_block([] {}, block, 20, 1, 1000000000);
    CHECK(block.count == 20);
    edgebench::timed_block([] {}, block, 1000, 1, 1000000000);
    CHECK(block.count == 50);
}

TEST_CASE("an iteration's time is its own, and the core is recorded") {
    Block block(4);
    edgebench::timed_block([] { spin_ns(200000); }, block, 4, 4, 0);
    for (const int64_t ns : block.ns) CHECK(ns >= 200000);
    for (const int core : block.cores) CHECK(core >= 0);
}

TEST_CASE("warm-up ends when two windows agree") {
    int calls = 0;
    // Three slow windows that halve each time, then steady.
    const auto run = [&] { spin_ns(calls++ < 15 ? 4000000 >> (calls / 5) : 300000); };
    const auto [durations, settled] = edgebench::warm_up(run, 5, 0.1, 5000);
    CHECK(settled);
    CHECK(durations.size() >= 20);
}

TEST_CASE("warm-up that never settles ends at its bound and says so") {
    int64_t ns = 20000;
    const auto [durations, settled] = edgebench::warm_up([&] { spin_ns(ns += ns / 10); }, 5, 0.0, 1);
    CHECK_FALSE(settled);
    CHECK(durations.size() >= 10);
}

TEST_CASE("progress books blocks until the time is over with enough iterations") {
    Progress progress(schedule());
    CHECK(progress.drop() == 0);
    CHECK(progress.limit_ns() == 500000000);
    progress.take(6, 500000000);
    CHECK_FALSE(progress.done());
    CHECK(progress.drop() == 4);
    CHECK(progress.least() == 5);
    progress.take(6, 500000000);  // 4 of them dropped
    CHECK(progress.kept() == 8);
    CHECK_FALSE(progress.done());  // the time is over, but 10 iterations are asked for
    progress.take(6, 500000000);
    CHECK(progress.kept() == 10);
    CHECK(progress.done());
}

TEST_CASE("a plan without a bound to speak of takes little room, and room is never less than what is dropped") {
    Schedule wide = schedule();
    wide.iterations_max = 1000000000;
    CHECK(edgebench::block_room(wide) < 100000);
    Schedule narrow = schedule();
    narrow.iterations_max = 1;
    narrow.drop_after_canary = 50;
    Progress progress(narrow);
    // From here on a block follows a canary.
    progress.take(1, 1000);
    CHECK(edgebench::block_room(narrow) > static_cast<size_t>(progress.least()));
    CHECK(edgebench::block_room(narrow) >= static_cast<size_t>(progress.most()));
}

TEST_CASE("progress ends at the most iterations, whatever time is left") {
    Progress progress(schedule());
    progress.take(100, 1000);
    CHECK(progress.done());
}

TEST_CASE("the median of an even number is the middle of the two") {
    CHECK(edgebench::median({4, 1, 3, 2}) == 2);
    CHECK(edgebench::median({9, 1, 5}) == 5);
    CHECK(edgebench::median({10, 20}) == 15);
}
