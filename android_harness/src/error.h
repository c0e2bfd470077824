// A failure with a stable code; it becomes the trace's error row. The codes are those of the Python agent.
#pragma once

#include <stdexcept>
#include <string>

namespace edgebench {

class AgentError : public std::runtime_error {
   public:
    AgentError(std::string error_code, const std::string& message) : std::runtime_error(message), code(std::move(error_code)) {}
    const std::string code;
};

}  // namespace edgebench
