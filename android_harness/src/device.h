// What the harness asks of the kernel: where it may run, how the device feels, and a watch over the launch.
#pragma once

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "plan.h"
#include "trace.h"

namespace edgebench {

// How often the watch looks at the device, the deadline and the heartbeat.
#ifndef EDGEBENCH_SAMPLE_PERIOD_MS
#define EDGEBENCH_SAMPLE_PERIOD_MS 500
#endif
constexpr int64_t kSamplePeriodMs = EDGEBENCH_SAMPLE_PERIOD_MS;

// Binds the calling thread, and so every thread that it starts later, to `cores`; the cores it was allowed before.
// What became of it is read back by allowed_cores, not thrown: the controller judges it.
std::vector<int> pin(const std::vector<int>& cores);

// The cores that any thread of this process but `except` may run on, read back from the kernel.
std::vector<int> allowed_cores(pid_t except);

std::string joined(const std::vector<int>& cores);

// machine, system, kernel, and what was compiled: for the header.
Json host_facts();

std::optional<int64_t> memory_peak_bytes();

// One file that is read while a launch runs, and what a read of it costs.
struct Source {
    std::string name;
    std::string path;
    int64_t cost_ns;
    bool used;
};

// Reads the device's sensors.
class Sensors {
   public:
    // Reads each source a few times and leaves out those that cost more than 0.5 % of a core at 2 Hz.
    Sensors(const std::vector<int>& cores, const std::map<std::string, std::string>& thermal_zones, const std::string& root = "");

    // The fields of a telemetry row.
    Json read() const;
    const std::vector<Source>& frequencies() const { return frequencies_; }
    const std::vector<Source>& temperatures() const { return temperatures_; }
    const std::vector<Source>& battery() const { return battery_; }
    // The fields of a sensors row: what is read, how often, at what cost.
    Json described(int64_t period_ms, const std::vector<int>& cores) const;

   private:
    std::vector<int> cores_;
    std::vector<Source> frequencies_;
    std::vector<Source> temperatures_;
    std::vector<Source> battery_;
    Source core_times_;
};

// A thread on a core that is not measured. It samples the sensors twice a second, ends the process at its deadline, when the
// controller's heartbeat goes stale, and on SIGTERM, SIGHUP and SIGINT, each with an error row; should the watch itself hang,
// in a sensor that never answers, an alarm ends the process soon after. Make it before anything else starts a thread: it
// blocks those signals for all.
class Watch {
   public:
    Watch(const Plan& plan, Trace& trace, const std::vector<int>& allowed_before);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    pid_t thread_id() const { return thread_id_; }
    // The cores that the watch runs on; empty where all are measured: then it does not sample.
    const std::vector<int>& cores() const { return cores_; }
    // From here on it samples with `sensors`, on its own core; with none it stops.
    void sample(const Sensors* sensors);
    // Writes what was sampled since the last call. Only between timed blocks.
    void drain();

   private:
    void watch();
    void set_alarm(double after_s) const;
    bool stale();
    [[noreturn]] void end(const char* code, const std::string& message);

    const Plan& plan_;
    Trace& trace_;
    std::vector<int> cores_;
    std::atomic<pid_t> thread_id_{0};
    std::atomic<const Sensors*> sensors_{nullptr};
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    std::vector<Json> samples_;
    // When the heartbeat was last seen to change, by the monotonic clock: the wall clock may be set while a launch runs.
    std::optional<timespec> beat_;
    int64_t beat_ns_ = 0;
    std::thread thread_;
};

}  // namespace edgebench
