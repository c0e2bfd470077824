#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "clock.h"
#include "device.h"
#include "error.h"
#include "program.h"
#include "temporary.h"

using edgebench::AgentError;
using edgebench::Command;
using edgebench::Json;
using edgebench::Program;

namespace {

Command shell(const Temporary& folder, const std::string& script) {
    return {"shell", {"/bin/sh", "-c", script}, (folder.root / "said").string(), {{"times", "times.json"}}};
}

// Whether process `pid` is gone, or a zombie that nobody has collected yet, within two seconds.
bool gone(pid_t pid) {
    for (int look = 0; look < 200; ++look) {
        const std::string status = Temporary::read("/proc/" + std::to_string(pid) + "/stat");
        if (status.empty() || status.find(") Z ") != std::string::npos) return true;
        usleep(10000);
    }
    return false;
}

pid_t waited_pid(const std::string& path) {
    for (int look = 0; look < 200; ++look) {
        if (const std::string text = Temporary::read(path); text.find('\n') != std::string::npos) return std::stoi(text);
        usleep(10000);
    }
    throw std::runtime_error("no pid in " + path);
}

}  // namespace

TEST_CASE("a program's status, its words and what it used are told") {
    const Temporary folder;
    const Json row = Program(shell(folder, "echo out; echo err >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3"), {}).wait();
    CHECK(row["status"] == 3);
    CHECK(Temporary::read((folder.root / "said").string()) == "out\nerr\n");
    CHECK(row["cpu_time_ns"] > 0);
    CHECK(row["end_ns"] >= row["t_ns"]);
    CHECK(row["memory_peak_bytes"] > 100000);
    CHECK(row["files"]["times"] == "times.json");
}

TEST_CASE("a program that a signal ended has 128 more than its number") {
    const Temporary folder;
    CHECK(Program(shell(folder, "kill -SEGV $$"), {}).wait()["status"] == 128 + SIGSEGV);
}

TEST_CASE("a program that is not there is told with the reason") {
    const Temporary folder;
    const Command missing{"none", {"/nowhere/trtexec"}, (folder.root / "said").string(), {}};
    CHECK_THROWS_WITH_AS(Program(missing, {}), "/nowhere/trtexec cannot be started: exec: No such file or directory", AgentError);
    const Command unwritable{"none", {"/bin/true"}, "/nowhere/said", {}};
    CHECK_THROWS_AS(Program(unwritable, {}), AgentError);
}

TEST_CASE("it starts with the signals of a new program, whatever is blocked here") {
    const Temporary folder;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
    Program program(shell(folder, "echo $$ > " + (folder.root / "pid").string() + "; exec sleep 60"), {});
    waited_pid((folder.root / "pid").string());
    const int64_t start = edgebench::now_ns();
    CHECK(program.stop()["status"] == 128 + SIGTERM);
    CHECK(edgebench::now_ns() - start < 900000000);
    REQUIRE(pthread_sigmask(SIG_UNBLOCK, &signals, nullptr) == 0);
}

TEST_CASE("one that does not end when asked is killed") {
    const Temporary folder;
    Program program(shell(folder, "trap '' TERM; echo $$ > " + (folder.root / "pid").string() + "; while true; do sleep 1; done"), {});
    const pid_t pid = waited_pid((folder.root / "pid").string());
    CHECK(program.stop()["status"] == 128 + SIGKILL);
    CHECK(gone(pid));
}

TEST_CASE("no program outlives the process that started it") {
    const Temporary folder;
    const std::string path = (folder.root / "pid").string();
    const pid_t child = fork();
    if (child == 0) {
        Program program(shell(folder, "echo $$ > " + path + "; exec sleep 60"), {});
        waited_pid(path);
        // As when the watch ends a launch at its deadline: no destructor runs.
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(gone(waited_pid(path)));
}

TEST_CASE("it runs on the cores that it is given, and this thread stays on its own") {
    const Temporary folder;
    const auto own = edgebench::pin({0});
    const Json row = Program(shell(folder, "grep Cpus_allowed_list /proc/self/status"), {static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) - 1}).wait();
    REQUIRE(row["status"] == 0);
    const std::string last = std::to_string(sysconf(_SC_NPROCESSORS_ONLN) - 1);
    CHECK(Temporary::read((folder.root / "said").string()) == "Cpus_allowed_list:\t" + last + "\n");
    CHECK(edgebench::allowed_cores(0) == std::vector<int>{0});
    edgebench::pin(own);
}
