// A failure with a stable code; it becomes the trace's error row. The codes are those of the Python agent.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace edgebench {

class AgentError : public std::runtime_error {
   public:
    AgentError(std::string error_code, const std::string& message) : std::runtime_error(message), code(std::move(error_code)) {}
    const std::string code;
};

// For a file that cannot be written, of which `reason` is the errno. A full disk or a used-up quota has a code of its own,
// whatever was being done: nothing but free space mends it.
inline AgentError unwritten(const char* code, const std::string& what, int reason) {
    const bool full = reason == ENOSPC || reason == EDQUOT;
    return {full ? "disk_full" : code, what + ": " + std::strerror(reason)};
}

}  // namespace edgebench
