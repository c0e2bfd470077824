// The timed loop and what decides when it may start. Nothing here knows a runtime, nothing in the loop allocates.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "plan.h"

namespace edgebench {

using Run = std::function<void()>;

// ns of each iteration and the core that it ended on; made once, before anything is timed.
struct Block {
    explicit Block(size_t most) : ns(most), cores(most) {}
    std::vector<int64_t> ns;
    std::vector<int> cores;
    size_t count = 0;
};

// The room that a block of that schedule needs: a plan without a bound to speak of must not fill the memory.
size_t block_room(const Schedule& schedule);

// Runs until limit_ns have passed, at least `least` and at most `most` times (bounded by the block's size).
void timed_block(const Run& run, Block& block, int64_t most, int64_t least, int64_t limit_ns);

// Runs windows until the medians of two in a row differ by at most `tolerance`; every call's ns, and false where
// max_ms passed first (at least two windows run all the same).
std::pair<std::vector<int64_t>, bool> warm_up(const Run& run, int window, double tolerance, int64_t max_ms);

// How much of a schedule is done: the next block's limits, until enough was timed.
class Progress {
   public:
    explicit Progress(const Schedule& schedule);
    bool done() const;
    int64_t most() const;
    int64_t least() const;
    int64_t limit_ns() const;
    int64_t drop() const { return drop_; }
    int64_t kept() const { return kept_; }
    // Books a block of `count` iterations that took elapsed_ns in all. The next one follows a canary.
    void take(int64_t count, int64_t elapsed_ns);

   private:
    Schedule schedule_;
    int64_t left_ns_;
    int64_t kept_ = 0;
    int64_t drop_ = 0;
};

int64_t median(std::vector<int64_t> values);

}  // namespace edgebench
