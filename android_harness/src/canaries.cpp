#include "canaries.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "clock.h"

extern "C" {
void edgebench_canary_prepare(void);
int64_t edgebench_canary_memory_bytes(void);
int64_t edgebench_canary_clock_cycles(void);
void edgebench_canary_clock(int blocks, int64_t* ns);
void edgebench_canary_throughput(int blocks, int64_t* ns);
void edgebench_canary_memory(int blocks, int64_t* ns);
}

namespace edgebench {
namespace {

// The same as in edgebench/agent/canary.py; tests/android_harness hold the two against each other.
constexpr int kClockBlocks = 7;
constexpr int kThroughputBlocks = 7;
constexpr int kMemoryBlocks = 9;
constexpr double kSettleRatio = 0.995;
constexpr int kSettleBlocks = 8;

std::vector<int64_t> blocks(void (*canary)(int, int64_t*), int count) {
    std::vector<int64_t> ns(static_cast<size_t>(count));
    canary(count, ns.data());
    return ns;
}

int64_t sum(const std::vector<int64_t>& ns) { return std::accumulate(ns.begin(), ns.end(), int64_t{0}); }

}  // namespace

Canaries::Canaries() { edgebench_canary_prepare(); }

int64_t Canaries::settle(int64_t limit_ms) const {
    const int64_t start = now_ns();
    int64_t best = blocks(edgebench_canary_clock, 1)[0];
    int steady = 0;
    while (steady < kSettleBlocks && now_ns() - start < limit_ms * 1000000) {
        const int64_t block = blocks(edgebench_canary_clock, 1)[0];
        steady = static_cast<double>(block) < static_cast<double>(best) * kSettleRatio ? 0 : steady + 1;
        best = std::min(best, block);
    }
    return now_ns() - start;
}

Json Canaries::read(const char* when, int64_t settle_ns) const {
    const auto clock = blocks(edgebench_canary_clock, kClockBlocks);
    auto throughput = blocks(edgebench_canary_throughput, kThroughputBlocks);
    const auto memory = blocks(edgebench_canary_memory, kMemoryBlocks);
    std::nth_element(throughput.begin(), throughput.begin() + kThroughputBlocks / 2, throughput.end());
    const int64_t clock_ns = *std::min_element(clock.begin(), clock.end());
    const int64_t throughput_ns = throughput[kThroughputBlocks / 2];
    const auto uninterrupted_ns = static_cast<double>(clock_ns * kClockBlocks + throughput_ns * kThroughputBlocks);
    const auto computed_ns = static_cast<double>(sum(clock) + sum(throughput));
    const int64_t cycles = edgebench_canary_clock_cycles();
    return {
        {"when", when},
        {"settle_ns", settle_ns},
        {"clock_ns", clock_ns},
        {"clock_ghz", cycles > 0 ? Json(static_cast<double>(cycles) / static_cast<double>(clock_ns)) : Json(nullptr)},
        {"throughput_ns", throughput_ns},
        {"memory_ns", sum(memory) / kMemoryBlocks},
        {"interrupted_share", std::max(1.0 - uninterrupted_ns / computed_ns, 0.0)},
    };
}

int64_t Canaries::memory_bytes() const { return edgebench_canary_memory_bytes(); }

}  // namespace edgebench
