// overhead PLAN.json loop|telemetry SEED: what the harness adds to a bare loop over the same loaded network, in one process.
//
// Blocks of both kinds run in fours (ABBA or BAAB, drawn anew); each four prints one ratio of medians. Driven by
// benchmarks/harness_overhead.py.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "clock.h"
#include "device.h"
#include "ncnn_session.h"
#include "plan.h"
#include "timing.h"
#include "trace.h"

namespace {

using edgebench::Block;
using edgebench::NcnnSession;

struct Comparison {
    int iterations;
    int fours;
    std::function<void(std::vector<int64_t>&)> first;
    std::function<void(std::vector<int64_t>&)> second;
};

void print_ratios(const Comparison& comparison, unsigned seed) {
    std::mt19937 order(seed);
    for (int four = 0; four < comparison.fours; ++four) {
        std::vector<int64_t> first;
        std::vector<int64_t> second;
        const bool swapped = (order() & 1U) != 0;
        for (const bool which : {swapped, !swapped, !swapped, swapped}) {
            which ? comparison.second(second) : comparison.first(first);
        }
        printf("%.9f\n", static_cast<double>(edgebench::median(first)) / static_cast<double>(edgebench::median(second)));
    }
}

void timed(const edgebench::Run& run, int iterations, std::vector<int64_t>& into) {
    static Block block(4096);
    edgebench::timed_block(run, block, iterations, iterations, 0);
    into.insert(into.end(), block.ns.begin(), block.ns.begin() + static_cast<std::ptrdiff_t>(block.count));
}

// What anybody would write.
void bare(const ncnn::Net& net, const ncnn::Mat& input, int iterations, std::vector<int64_t>& into) {
    for (int i = 0; i < iterations; ++i) {
        const int64_t start = edgebench::now_ns();
        ncnn::Extractor extractor = net.create_extractor();
        extractor.input(net.input_indexes()[0], input);
        ncnn::Mat output;
        extractor.extract(net.output_indexes()[0], output);
        into.push_back(edgebench::now_ns() - start);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: overhead PLAN.json loop|telemetry SEED\n");
        return 2;
    }
    try {
        const edgebench::Plan plan = edgebench::read_plan(argv[1]);
        edgebench::Trace trace(plan.trace_path);
        const auto before = edgebench::pin(plan.cores);
        edgebench::Watch watch(plan, trace, before);
        const edgebench::Sensors sensors(plan.cores, plan.thermal_zones);
        NcnnSession session(plan.artifacts.at(0), plan.options, plan.threads);
        session.feed(plan.artifacts.at(0).batches.at(0));
        const edgebench::Run run = [&] { session.run(); };
        edgebench::warm_up(run, 5, 0.03, 3000);
        const auto seed = static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10));
        if (std::string(argv[2]) == "loop") {
            constexpr int kIterations = 6;
            print_ratios({kIterations, 40, [&](auto& into) { timed(run, kIterations, into); },
                          [&](auto& into) { bare(session.net(), session.input(0), kIterations, into); }},
                         seed);
        } else {
            // Long enough that the watch, here ten times as often as in a launch, falls into each block; not longer, as this
            // machine's own speed moves from one second to the next.
            constexpr int kIterations = 12;
            print_ratios({kIterations, 40,
                          [&](auto& into) {
                              watch.sample(&sensors);
                              timed(run, kIterations, into);
                              watch.sample(nullptr);
                              watch.drain();
                          },
                          [&](auto& into) { timed(run, kIterations, into); }},
                         seed);
        }
        return 0;
    } catch (const std::exception& problem) {
        fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
}
