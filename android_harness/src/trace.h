// trace.jsonl: appends rows, each whole and at once, so that what was written before a crash can be read.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

namespace edgebench {

using Json = nlohmann::json;

class Trace {
   public:
    // Opens the file anew. Throws std::runtime_error with the reason.
    explicit Trace(const std::string& path);
    ~Trace();
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;

    // One row, stamped with the time unless it brings its own (an output row has none). After an error or end row nothing
    // follows; that last row is on the disk when this returns. Throws AgentError, "disk_full" where it is that; what was
    // written of that row is taken back, so that a shorter one can still follow.
    void row(const char* type, Json fields);
    // As row("error"), but it never throws: what the trace does not take is said on standard error, the reason last.
    void error(const std::string& code, const std::string& message) noexcept;
    int64_t rows() const;

   private:
    // Whether the row was still taken.
    bool append(const char* type, Json fields);
    void write_locked(const std::string& line);

    int descriptor_;
    bool closed_ = false;
    int64_t rows_ = 0;
    off_t bytes_ = 0;
    mutable std::mutex mutex_;
};

}  // namespace edgebench
