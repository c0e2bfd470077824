#include "program.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "clock.h"
#include "device.h"
#include "error.h"

namespace edgebench {
namespace {

constexpr int64_t kStopNs = 1000000000;
constexpr useconds_t kLookUs = 10000;

int64_t nanoseconds(const timeval& time) { return static_cast<int64_t>(time.tv_sec) * 1000000000 + static_cast<int64_t>(time.tv_usec) * 1000; }

// In the child, where only async-signal-safe calls are allowed: between the fork and the other program.
[[noreturn]] void become(char* const* argv, int output, int problem_pipe, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    // The watch's signals are blocked here, and a new program inherits that.
    bool sound = sigprocmask(SIG_SETMASK, &none, nullptr) == 0 && signal(SIGPIPE, SIG_DFL) != SIG_ERR;
    // It must not go on heating the device when this process is killed; who was killed already sends no signal.
    sound = sound && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
    sound = sound && dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0;
    if (sound) execv(argv[0], argv);
    const int reason = errno;
    if (write(problem_pipe, &reason, sizeof reason) < 0) _exit(126);
    _exit(127);
}

}  // namespace

Program::Program(const Command& command, const std::vector<int>& cores) : command_(command) {
    std::vector<char*> argv;
    for (auto& word : command_.argv) argv.push_back(word.data());
    argv.push_back(nullptr);
    const auto failed = [&](const std::string& what, int reason) {
        throw unwritten("program_failed", command_.argv[0] + " cannot be started: " + what, reason);
    };
    const int output = open(command_.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (output < 0) failed(command_.output, errno);
    int problem[2];
    if (pipe2(problem, O_CLOEXEC) != 0) {
        const int reason = errno;
        close(output);
        failed("pipe", reason);
    }
    const pid_t self = getpid();
    start_ns_ = now_ns();
    // It inherits the cores of the thread that starts it.
    const std::vector<int> before = cores.empty() ? cores : pin(cores);
    pid_ = fork();
    if (pid_ == 0) become(argv.data(), output, problem[1], self);
    const int fork_reason = errno;
    if (!before.empty()) pin(before);
    close(output);
    close(problem[1]);
    int reason = 0;
    const bool refused = pid_ > 0 && read(problem[0], &reason, sizeof reason) == static_cast<ssize_t>(sizeof reason);
    close(problem[0]);
    if (pid_ < 0) failed("fork", fork_reason);
    if (refused) {
        ended(0);
        failed("exec", reason);
    }
}

Program::~Program() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    ended(0);
}

Json Program::wait() {
    ended(0);
    return described();
}

Json Program::stop() {
    if (pid_ > 0) kill(pid_, SIGTERM);
    for (const int64_t until = now_ns() + kStopNs; !ended(WNOHANG) && now_ns() < until;) usleep(kLookUs);
    if (pid_ > 0) kill(pid_, SIGKILL);
    ended(0);
    return described();
}

bool Program::ended(int options) {
    rusage usage{};
    while (pid_ > 0) {
        const pid_t found = wait4(pid_, &status_, options, &usage);
        if (found < 0 && errno == EINTR) continue;
        if (found == 0) return false;
        end_ns_ = now_ns();
        pid_ = -1;
        cpu_ns_ = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
        peak_bytes_ = static_cast<int64_t>(usage.ru_maxrss) * 1024;
    }
    return true;
}

Json Program::described() const {
    return {
        {"name", command_.name},
        {"t_ns", start_ns_},
        {"end_ns", end_ns_},
        {"status", WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_)},
        {"cpu_time_ns", cpu_ns_},
        {"memory_peak_bytes", peak_bytes_},
        {"files", command_.files},
    };
}

}  // namespace edgebench
