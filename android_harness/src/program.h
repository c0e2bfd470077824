// Programs of others that run in a launch: in place of a network (TensorRT's trtexec), or beside one (a board's monitor).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "plan.h"
#include "trace.h"

namespace edgebench {

// One program under way, a child of this process that does not outlive it.
class Program {
   public:
    // Starts it, its standard output and error into `command.output`, on `cores` where any are given, else on this thread's.
    // Throws AgentError program_failed where that is not possible.
    Program(const Command& command, const std::vector<int>& cores);
    // Kills it where it still runs.
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    // Waits for its end; the fields of a program row.
    Json wait();
    // Asks it to end, kills it where it does not within a second; the fields of a program row.
    Json stop();

   private:
    bool ended(int options);
    Json described() const;

    Command command_;
    int64_t start_ns_ = 0;
    int64_t end_ns_ = 0;
    pid_t pid_ = -1;
    int status_ = 0;
    int64_t cpu_ns_ = 0;
    int64_t peak_bytes_ = 0;
};

}  // namespace edgebench
