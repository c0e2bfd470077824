// edgebench_harness PLAN.json: one launch. Exit status 0 with an end row, 1 with an error row, 2 for wrong usage.
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>

#include "canaries.h"
#include "clock.h"
#include "counters.h"
#include "device.h"
#include "error.h"
#include "modes.h"
#include "plan.h"
#include "trace.h"

namespace edgebench {
namespace {

constexpr int kTraceSchema = 1;

void launch(const std::string& plan_path, Trace& trace) {
    const Plan plan = read_plan(plan_path);
    // No orphan keeps the device hot: when the shell that started this dies, so does this.
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) perror("prctl");
    // Nor does it die without a word because nobody reads its standard error any more.
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) perror("signal");
    const std::vector<int> before = pin(plan.cores);
    Watch watch(plan, trace, before);
    // The watch is there already, the runtime's threads are not yet: these are counted.
    const Counters counters;
    const Sensors sensors(plan.cores, plan.thermal_zones);
    std::optional<Canaries> canaries;
    if (plan.mode != Mode::verify) canaries.emplace();
    const auto slept_ns = boot_minus_monotonic_ns();
    trace.row("header", {
                            {"schema", kTraceSchema},
                            {"plan_id", plan.plan_id},
                            {"mode", plan.mode_name},
                            {"agent", "native"},
                            {"agent_version", EDGEBENCH_HARNESS_VERSION},
                            {"clock", "CLOCK_MONOTONIC"},
                            {"boot_minus_monotonic_ns", slept_ns ? Json(*slept_ns) : Json(nullptr)},
                            {"pid", getpid()},
                            {"host", host_facts()},
                            {"cores_requested", plan.cores},
                            {"cores_allowed", allowed_cores(watch.thread_id())},
                            {"canary_source", canaries ? Json("library") : Json(nullptr)},
                        });
    if (canaries) trace.row("sensors", sensors.described(kSamplePeriodMs, watch.cores()));
    const int64_t iterations = run_mode({plan, trace, watch, sensors, counters, canaries ? &*canaries : nullptr});
    auto peak = memory_peak_bytes();
    // The canary's buffer is resident from before the load until the end, so it is in the peak exactly once.
    if (peak && canaries) *peak -= canaries->memory_bytes();
    const auto slept_after_ns = boot_minus_monotonic_ns();
    trace.row("end", {
                         {"boot_minus_monotonic_ns", slept_after_ns ? Json(*slept_after_ns) : Json(nullptr)},
                         {"rows", trace.rows()},
                         {"iterations", iterations},
                         {"memory_peak_bytes", peak ? Json(*peak) : Json(nullptr)},
                     });
}

int run(const std::string& plan_path) {
    std::optional<Trace> trace;
    try {
        trace.emplace(trace_path_of(plan_path));
    } catch (const std::exception& problem) {
        fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
    try {
        launch(plan_path, *trace);
        return 0;
    } catch (const AgentError& problem) {
        trace->error(problem.code, problem.what());
    } catch (const std::exception& problem) {
        trace->error("internal", problem.what());
    }
    return 1;
}

}  // namespace
}  // namespace edgebench

int main(int argc, char** argv) {
    if (argc == 2 && std::string(argv[1]) == "--version") {
        printf("edgebench_harness %s, ncnn %s, %s\n", EDGEBENCH_HARNESS_VERSION, edgebench::NcnnSession::version().c_str(), EDGEBENCH_COMPILER);
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: edgebench_harness PLAN.json | --version\n");
        return 2;
    }
    return edgebench::run(argv[1]);
}
