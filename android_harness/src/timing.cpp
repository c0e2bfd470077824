#include "timing.h"

#include <sched.h>

#include <algorithm>
#include <cmath>

#include "clock.h"

namespace edgebench {
namespace {

// More than any network runs between two canaries; a fuller block ends there and the next one follows.
constexpr int64_t kBlockMax = 65536;

}  // namespace

size_t block_room(const Schedule& schedule) {
    const int64_t most = std::min(schedule.iterations_max, kBlockMax);
    // Two more than are dropped: turns come in twos.
    return static_cast<size_t>(std::max(most, int64_t{2}) + schedule.drop_after_canary);
}

void timed_block(const Run& run, Block& block, int64_t most, int64_t least, int64_t limit_ns) {
    const size_t end_at = std::min(block.ns.size(), static_cast<size_t>(std::max<int64_t>(most, 0)));
    const int64_t stop = now_ns() + limit_ns;
    size_t count = 0;
    while (count < end_at) {
        const int64_t start = now_ns();
        run();
        const int64_t end = now_ns();
        block.ns[count] = end - start;
        block.cores[count] = sched_getcpu();
        ++count;
        if (end >= stop && count >= static_cast<size_t>(least)) break;
    }
    block.count = count;
}

std::pair<std::vector<int64_t>, bool> warm_up(const Run& run, int window, double tolerance, int64_t max_ms) {
    const int64_t start = now_ns();
    Block block(static_cast<size_t>(window));
    std::vector<int64_t> all;
    timed_block(run, block, window, window, 0);
    all.insert(all.end(), block.ns.begin(), block.ns.end());
    int64_t before = median(block.ns);
    while (true) {
        timed_block(run, block, window, window, 0);
        all.insert(all.end(), block.ns.begin(), block.ns.end());
        const int64_t now = median(block.ns);
        if (std::abs(static_cast<double>(now - before)) <= tolerance * static_cast<double>(before)) return {all, true};
        if (now_ns() - start >= max_ms * 1000000) return {all, false};
        before = now;
    }
}

Progress::Progress(const Schedule& schedule) : schedule_(schedule), left_ns_(schedule.measure_ms * 1000000) {}

bool Progress::done() const {
    return kept_ >= schedule_.iterations_max || (left_ns_ <= 0 && kept_ >= schedule_.iterations_min);
}

int64_t Progress::most() const { return schedule_.iterations_max - kept_ + drop_; }

// A block keeps at least one iteration, however long one takes.
int64_t Progress::least() const { return drop_ + 1; }

int64_t Progress::limit_ns() const {
    const int64_t block_ns = schedule_.canary_every_ms * 1000000;
    return left_ns_ > 0 ? std::min(block_ns, left_ns_) : block_ns;
}

void Progress::take(int64_t count, int64_t elapsed_ns) {
    kept_ += count - drop_;
    left_ns_ -= elapsed_ns;
    drop_ = schedule_.drop_after_canary;
}

int64_t median(std::vector<int64_t> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) return *middle;
    return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace edgebench
