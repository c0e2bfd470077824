#include "device.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>

#include "clock.h"
#include "readings.h"

namespace edgebench {
namespace {

// Twice a second at most 0.5 % of a core for one source: dearer ones (some thermal zones ask a modem) are left out.
constexpr int64_t kCostMaxNs = 2500000;
constexpr int kCostReads = 3;
constexpr size_t kZonesMax = 4;
// Two samples a second for the longest plan without a heartbeat, and some; older ones are drained between blocks.
constexpr size_t kSamplesMax = 256;
// The kernel's own bound, should the watch hang: this much later than the watch would have ended the process.
constexpr double kAlarmAfterS = 2.0;

// Reads it a few times: the middle cost, and whether it can be read at a price worth paying.
Source source(std::string name, std::string path, const std::function<bool(const char*)>& read) {
    std::vector<int64_t> costs;
    bool readable = true;
    for (int i = 0; i < kCostReads; ++i) {
        const int64_t start = now_ns();
        readable = read(path.c_str()) && readable;
        costs.push_back(now_ns() - start);
    }
    std::nth_element(costs.begin(), costs.begin() + kCostReads / 2, costs.end());
    const int64_t cost = costs[kCostReads / 2];
    return {std::move(name), std::move(path), cost, readable && cost <= kCostMaxNs};
}

Source source(std::string name, std::string path) {
    return source(std::move(name), std::move(path), [](const char* file) { return read_number(file).has_value(); });
}

cpu_set_t set_of(const std::vector<int>& cores) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int core : cores) {
        if (core >= 0 && core < CPU_SETSIZE) CPU_SET(core, &set);
    }
    return set;
}

std::vector<int> cores_of(const cpu_set_t& set) {
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
    return cores;
}

sigset_t ending_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGHUP, SIGINT}) sigaddset(&signals, number);
    return signals;
}

}  // namespace

std::vector<int> pin(const std::vector<int>& cores) {
    cpu_set_t before;
    CPU_ZERO(&before);
    if (sched_getaffinity(0, sizeof before, &before) != 0) {
        throw std::runtime_error(std::string("sched_getaffinity: ") + std::strerror(errno));
    }
    const cpu_set_t wanted = set_of(cores);
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) {
        fprintf(stderr, "cannot pin to cores %s: %s\n", joined(cores).c_str(), std::strerror(errno));
    }
    return cores_of(before);
}

std::vector<int> allowed_cores(pid_t except) {
    std::set<int> cores;
    DIR* folder = opendir("/proc/self/task");
    if (folder == nullptr) throw std::runtime_error(std::string("/proc/self/task: ") + std::strerror(errno));
    while (const dirent* entry = readdir(folder)) {
        const pid_t task = static_cast<pid_t>(std::atoi(entry->d_name));
        cpu_set_t set;
        CPU_ZERO(&set);
        // A thread that ended since the listing has no affinity any more.
        if (task <= 0 || task == except || sched_getaffinity(task, sizeof set, &set) != 0) continue;
        for (const int core : cores_of(set)) cores.insert(core);
    }
    closedir(folder);
    return {cores.begin(), cores.end()};
}

std::string joined(const std::vector<int>& cores) {
    std::string text;
    for (const int core : cores) text += (text.empty() ? "" : ",") + std::to_string(core);
    return text;
}

Json host_facts() {
    utsname name{};
    if (uname(&name) != 0) throw std::runtime_error(std::string("uname: ") + std::strerror(errno));
    return {{"machine", name.machine}, {"system", name.sysname}, {"kernel", name.release}, {"compiler", EDGEBENCH_COMPILER}};
}

std::optional<int64_t> memory_peak_bytes() {
    FILE* file = fopen("/proc/self/status", "r");
    if (file == nullptr) return std::nullopt;
    char line[256];
    std::optional<int64_t> peak;
    long long kib = 0;
    while (fgets(line, sizeof line, file) != nullptr) {
        if (sscanf(line, "VmHWM: %lld kB", &kib) == 1) peak = kib * 1024;
    }
    fclose(file);
    return peak;
}

Sensors::Sensors(const std::vector<int>& cores, const std::map<std::string, std::string>& thermal_zones, const std::string& root)
    : cores_(cores),
      core_times_(source("times", root + "/proc/stat", [&](const char* file) { return read_core_times(file, cores).has_value(); })) {
    for (const int core : cores) {
        const std::string folder = root + "/sys/devices/system/cpu/cpu" + std::to_string(core) + "/cpufreq/";
        frequencies_.push_back(source(std::to_string(core), folder + "scaling_cur_freq"));
    }
    for (const auto& [name, path] : thermal_zones) {
        temperatures_.push_back(temperatures_.size() < kZonesMax ? source(name, path) : Source{name, path, 0, false});
    }
    for (const char* file : {"current_now", "voltage_now"}) {
        battery_.push_back(source(file, root + "/sys/class/power_supply/battery/" + file));
    }
}

Json Sensors::read() const {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) != 0) throw std::runtime_error(std::string("getrusage: ") + std::strerror(errno));
    Json frequency = Json::object();
    Json temperature = Json::object();
    Json row = {{"t_ns", now_ns()}, {"battery_current_ua", nullptr}, {"battery_voltage_uv", nullptr}};
    for (const auto& each : frequencies_) {
        if (const auto value = each.used ? read_whole(each.path.c_str()) : std::nullopt) frequency[each.name] = *value;
    }
    for (const auto& each : temperatures_) {
        if (const auto value = each.used ? read_celsius(each.path.c_str()) : std::nullopt) temperature[each.name] = *value;
    }
    for (const auto& each : battery_) {
        if (const auto value = each.used ? read_whole(each.path.c_str()) : std::nullopt) {
            row[each.name == "current_now" ? "battery_current_ua" : "battery_voltage_uv"] = *value;
        }
    }
    row["frequency_khz"] = frequency;
    row["temperature_c"] = temperature;
    const auto times = core_times_.used ? read_core_times(core_times_.path.c_str(), cores_) : std::nullopt;
    row["steal_ms"] = times ? Json(times->steal_ms) : Json(nullptr);
    row["cores_busy_ms"] = times ? Json(times->busy_ms) : Json(nullptr);
    row["involuntary_switches"] = usage.ru_nivcsw;
    row["major_faults"] = usage.ru_majflt;
    // The watch, too, is in it: some microseconds twice a second.
    row["cpu_time_ns"] = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    return row;
}

Json Sensors::described(int64_t period_ms, const std::vector<int>& cores) const {
    Json costs = Json::object();
    Json left_out = Json::array();
    const auto add = [&](const char* kind, const std::vector<Source>& sources) {
        for (const auto& each : sources) {
            const std::string name = std::string(kind) + " " + each.name;
            if (each.used) {
                costs[name] = each.cost_ns;
            } else {
                left_out.push_back(name);
            }
        }
    };
    add("frequency", frequencies_);
    add("temperature", temperatures_);
    add("battery", battery_);
    add("core", {core_times_});
    return {{"period_ms", period_ms}, {"cores", cores}, {"read_cost_ns", costs}, {"left_out", left_out}};
}

Watch::Watch(const Plan& plan, Trace& trace, const std::vector<int>& allowed_before) : plan_(plan), trace_(trace) {
    const std::set<int> measured(plan.cores.begin(), plan.cores.end());
    for (const int core : allowed_before) {
        if (measured.count(core) == 0) cores_.push_back(core);
    }
    samples_.reserve(kSamplesMax);
    const sigset_t signals = ending_signals();
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    // Whoever started this may have ignored or blocked the alarm, which a new program inherits.
    if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0 || pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr) != 0 ||
        signal(SIGALRM, SIG_DFL) == SIG_ERR) {
        throw std::runtime_error("cannot set up signals");
    }
    set_alarm(plan.deadline_s);
    thread_ = std::thread([this] {
        try {
            watch();
        } catch (const std::exception& problem) {
            end("internal", problem.what());
        }
    });
    while (thread_id_.load() == 0) std::this_thread::yield();
}

Watch::~Watch() {
    stopped_ = true;
    // Wakes it from its wait at once: a launch must not last half a second longer for it.
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
}

void Watch::sample(const Sensors* sensors) {
    if (!cores_.empty()) sensors_ = sensors;
}

void Watch::drain() {
    const std::lock_guard<std::mutex> held(mutex_);
    for (auto& row : samples_) trace_.row("telemetry", std::move(row));
    samples_.clear();
}

void Watch::watch() {
    if (!cores_.empty()) {
        const cpu_set_t set = set_of(cores_);
        if (sched_setaffinity(0, sizeof set, &set) != 0) cores_.clear();
    }
    thread_id_ = static_cast<pid_t>(syscall(SYS_gettid));
    const sigset_t signals = ending_signals();
    const timespec period{0, kSamplePeriodMs * 1000000};
    const int64_t deadline_ns = now_ns() + static_cast<int64_t>(plan_.deadline_s * 1e9);
    while (true) {
        const int number = sigtimedwait(&signals, nullptr, &period);
        if (stopped_) return;
        if (number > 0) end("terminated", std::string("ended by signal ") + std::to_string(number));
        const double left_s = static_cast<double>(deadline_ns - now_ns()) / 1e9;
        if (left_s <= 0) {
            char text[64];
            snprintf(text, sizeof text, "the plan's deadline of %g s passed", plan_.deadline_s);
            end("deadline", text);
        }
        if (plan_.heartbeat_path) {
            if (stale()) end("heartbeat", "nobody has renewed the heartbeat for too long");
            // A sensor that hangs is found out as soon as a heartbeat would be.
            set_alarm(std::min(plan_.heartbeat_max_age_s, left_s));
        }
        const Sensors* sensors = sensors_;
        if (sensors == nullptr) continue;
        Json row = sensors->read();
        const std::lock_guard<std::mutex> held(mutex_);
        if (samples_.size() < kSamplesMax) samples_.push_back(std::move(row));
    }
}

void Watch::set_alarm(double after_s) const {
    const double seconds = after_s + kAlarmAfterS;
    itimerval timer{};
    timer.it_value.tv_sec = static_cast<time_t>(seconds);
    timer.it_value.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
    if (setitimer(ITIMER_REAL, &timer, nullptr) != 0) throw std::runtime_error("cannot set the alarm");
}

bool Watch::stale() {
    struct stat status {};
    if (stat(plan_.heartbeat_path->c_str(), &status) != 0) return true;
    const timespec& beat = status.st_mtim;
    if (!beat_ || beat_->tv_sec != beat.tv_sec || beat_->tv_nsec != beat.tv_nsec) {
        beat_ = beat;
        beat_ns_ = now_ns();
    }
    return static_cast<double>(now_ns() - beat_ns_) > plan_.heartbeat_max_age_s * 1e9;
}

void Watch::end(const char* code, const std::string& message) {
    trace_.error(code, message);
    _exit(1);
}

}  // namespace edgebench
