#include "trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "clock.h"
#include "error.h"

namespace edgebench {

Trace::Trace(const std::string& path) : descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
}

Trace::~Trace() { close(descriptor_); }

void Trace::row(const char* type, Json fields) { append(type, std::move(fields)); }

bool Trace::append(const char* type, Json fields) {
    const bool last = std::strcmp(type, "end") == 0 || std::strcmp(type, "error") == 0;
    if (std::strcmp(type, "output") != 0 && !fields.contains("t_ns")) fields["t_ns"] = now_ns();
    fields["type"] = type;
    // A runtime's text may hold any bytes: what is not UTF-8 is replaced, never a reason to lose the row.
    const std::string line = fields.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    const std::lock_guard<std::mutex> held(mutex_);
    if (closed_) return false;
    write_locked(line);
    ++rows_;
    if (!last) return true;
    closed_ = true;
    // Some file systems find only now that there is no room for what was written.
    if (fsync(descriptor_) != 0 && errno != EINVAL) throw unwritten("internal", "cannot keep the trace", errno);
    return true;
}

void Trace::error(const std::string& code, const std::string& message) noexcept {
    std::string text = message;
    try {
        if (append("error", {{"code", code}, {"message", message}})) return;
    } catch (const std::exception& problem) {
        // Last: where no row says how a launch ended, the controller goes by the last line.
        text += std::string("\ncannot write the error row: ") + problem.what();
    }
    dprintf(STDERR_FILENO, "%s\n", text.c_str());
}

int64_t Trace::rows() const {
    const std::lock_guard<std::mutex> held(mutex_);
    return rows_;
}

void Trace::write_locked(const std::string& line) {
    size_t written = 0;
    while (written < line.size()) {
        const ssize_t count = write(descriptor_, line.data() + written, line.size() - written);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            const int reason = errno;
            // Where even that fails the reader finds a torn last line, and says so.
            if (ftruncate(descriptor_, bytes_) != 0) perror("cannot shorten the trace");
            throw unwritten("internal", "cannot write the trace", reason);
        }
        written += static_cast<size_t>(count);
    }
    bytes_ += static_cast<off_t>(line.size());
}

}  // namespace edgebench
