#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "device.h"
#include "temporary.h"

using edgebench::Json;
using edgebench::Plan;
using edgebench::Sensors;
using edgebench::Trace;
using edgebench::Watch;

namespace {

Plan plan_with(double deadline_s) {
    Plan plan{};
    plan.cores = {0};
    plan.deadline_s = deadline_s;
    return plan;
}

// Runs `work` in a process of its own under a watch; its exit status and the trace's last row.
template <typename Work>
std::pair<int, Json> watched(const Plan& plan, const Work& work) {
    const Temporary folder;
    const auto path = (folder.root / "trace.jsonl").string();
    const pid_t child = fork();
    if (child == 0) {
        Trace trace(path);
        const Watch watch(plan, trace, {0, 1});
        work();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    const std::string text = Temporary::read(path);
    return {status, text.empty() ? Json() : Json::parse(text)};
}

}  // namespace

TEST_CASE("sensors report what can be read and name what cannot") {
    const Temporary root;
    root.write("sys/devices/system/cpu/cpu4/cpufreq/scaling_cur_freq", "2850000\n");
    root.write("sys/class/power_supply/battery/current_now", "-412000\n");
    root.write("proc/stat", "cpu  9 9 9 9 9 9 9 900 0 0\ncpu4 1 2 3 4 5 6 7 50 0 0\ncpu5 1 2 3 4 5 6 7 70 0 0\n");
    const auto zone = root.write("zone", "45123\n");
    const auto nonsense = root.write("nonsense", "not a number\n");
    const Sensors sensors({4}, {{"cpu", zone}, {"modem", nonsense}, {"gone", "/nowhere/temp"}}, root.root.string());
    const Json row = sensors.read();
    CHECK(row.at("frequency_khz") == Json{{"4", 2850000}});
    CHECK(row.at("temperature_c").size() == 1);
    CHECK(row.at("temperature_c").at("cpu").get<double>() == doctest::Approx(45.123));
    CHECK(row.at("battery_current_ua") == -412000);
    CHECK(row.at("battery_voltage_uv").is_null());
    CHECK(row.at("steal_ms").get<double>() == doctest::Approx(50 * 1000.0 / static_cast<double>(sysconf(_SC_CLK_TCK))));
    CHECK(row.at("cores_busy_ms").get<double>() == doctest::Approx((1 + 2 + 3 + 6 + 7) * 1000.0 / static_cast<double>(sysconf(_SC_CLK_TCK))));
    const Json described = sensors.described(500, {0});
    CHECK(described.at("read_cost_ns").contains("temperature cpu"));
    CHECK(described.at("read_cost_ns").contains("core times"));
    CHECK(described.at("left_out") == Json{"temperature gone", "temperature modem", "battery voltage_now"});
}

TEST_CASE("a kernel that tells nothing gives nulls, and everything it does not tell is named") {
    const Temporary root;
    const Sensors sensors({0}, {{"cpu", (root.root / "zone").string()}}, root.root.string());
    const Json row = sensors.read();
    CHECK(row.at("frequency_khz") == Json::object());
    CHECK(row.at("temperature_c") == Json::object());
    for (const char* key : {"steal_ms", "cores_busy_ms", "battery_current_ua", "battery_voltage_uv"}) CHECK(row.at(key).is_null());
    const Json described = sensors.described(500, {});
    CHECK(described.at("read_cost_ns") == Json::object());
    CHECK(described.at("left_out") == Json{"frequency 0", "temperature cpu", "battery current_now", "battery voltage_now", "core times"});
}

TEST_CASE("a reading that no sensor can mean is left out of the row like one that cannot be read") {
    const Temporary root;
    root.write("sys/devices/system/cpu/cpu4/cpufreq/scaling_cur_freq", "1e300\n");
    root.write("sys/class/power_supply/battery/current_now", "nan\n");
    root.write("sys/class/power_supply/battery/voltage_now", "9e18\n");
    const auto battery = root.write("battery", "31000\n");
    const auto missing = root.write("missing", "-273150\n");
    const Sensors sensors({4}, {{"battery", battery}, {"missing", missing}}, root.root.string());
    Json row = sensors.read();
    CHECK(row.at("frequency_khz") == Json::object());
    CHECK(row.at("temperature_c") == Json{{"battery", 31.0}});
    CHECK(row.at("battery_current_ua").is_null());
    CHECK(row.at("battery_voltage_uv") == 9000000000000000000);
    // One that goes wrong, and comes right, while the launch runs.
    for (const char* text : {"1250000\n", "-1e30\n"}) {
        root.write("battery", text);
        root.write("sys/class/power_supply/battery/voltage_now", "-1e30\n");
        row = sensors.read();
        CHECK(row.at("temperature_c") == Json::object());
        CHECK(row.at("battery_voltage_uv").is_null());
    }
    root.write("battery", "32000\n");
    CHECK(sensors.read().at("temperature_c") == Json{{"battery", 32.0}});
}

TEST_CASE("no more than four zones are read while a launch runs, and the others are named") {
    const Temporary root;
    std::map<std::string, std::string> zones;
    for (int i = 0; i < 6; ++i) zones["zone" + std::to_string(i)] = root.write("zone" + std::to_string(i), "40000");
    const Sensors sensors({0}, zones, root.root.string());
    CHECK(sensors.read().at("temperature_c").size() == 4);
    const Json left_out = sensors.described(500, {}).at("left_out");
    for (const char* zone : {"temperature zone4", "temperature zone5"}) CHECK(std::count(left_out.begin(), left_out.end(), zone) == 1);
}

TEST_CASE("the deadline ends a launch that hangs, with an error row") {
    const auto [status, row] = watched(plan_with(0.2), [] { pause(); });
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(row.at("code") == "deadline");
    CHECK(row.at("message") == "the plan's deadline of 0.2 s passed");
}

TEST_CASE("a signal that ends a launch is written down, also when the main thread never returns") {
    const auto [status, row] = watched(plan_with(30), [] {
        kill(getpid(), SIGHUP);
        pause();
    });
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(row.at("code") == "terminated");
}

TEST_CASE("a sustained launch ends itself once its heartbeat is stale or gone") {
    const Temporary folder;
    Plan plan = plan_with(30);
    plan.heartbeat_path = (folder.root / "never written").string();
    plan.heartbeat_max_age_s = 5;
    const auto [status, row] = watched(plan, [] { pause(); });
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(row.at("code") == "heartbeat");
}

TEST_CASE("a heartbeat that is not renewed goes stale, whatever the wall clock says") {
    const Temporary folder;
    Plan plan = plan_with(30);
    plan.heartbeat_path = folder.write("heartbeat", "");
    // A day ahead, as after the clock was set back.
    std::filesystem::last_write_time(*plan.heartbeat_path, std::filesystem::file_time_type::clock::now() + std::chrono::hours(24));
    plan.heartbeat_max_age_s = 0.2;
    const auto [status, row] = watched(plan, [] { pause(); });
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(row.at("code") == "heartbeat");
}

TEST_CASE("a watch that hangs in a sensor is ended by the alarm, also where its parent ignored and blocked it") {
    const Temporary folder;
    const auto pipe = (folder.root / "sensor").string();
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const pid_t child = fork();
    if (child == 0) {
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        sigprocmask(SIG_BLOCK, &alarm, nullptr);
        signal(SIGALRM, SIG_IGN);
        Trace trace((folder.root / "trace.jsonl").string());
        // A reader that opens the pipe waits for a writer for ever: here, before the deadline is looked at again.
        Plan plan = plan_with(0.6);
        Watch watch(plan, trace, {0, 1});
        Sensors sensors({0}, {{"slow", folder.write("zone", "1")}});
        std::filesystem::remove(folder.root / "zone");
        std::filesystem::rename(pipe, folder.root / "zone");
        watch.sample(&sensors);
        while (true) pause();
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGALRM);
}

TEST_CASE("a fresh heartbeat does not keep a launch alive past its deadline") {
    const Temporary folder;
    Plan plan = plan_with(0.2);
    plan.heartbeat_path = folder.write("heartbeat", "");
    plan.heartbeat_max_age_s = 60;
    const auto [status, row] = watched(plan, [] { pause(); });
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(row.at("code") == "deadline");
}

TEST_CASE("the threads of this process are pinned where asked, the watch apart") {
    const Temporary folder;
    const pid_t child = fork();
    if (child == 0) {
        const auto before = edgebench::pin({0});
        Plan plan = plan_with(30);
        Trace trace((folder.root / "trace.jsonl").string());
        const Watch watch(plan, trace, before);
        const bool pinned = edgebench::allowed_cores(watch.thread_id()) == std::vector<int>{0};
        const bool apart = before.size() < 2 || edgebench::allowed_cores(0).size() == before.size();
        _exit(pinned && apart ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
}
