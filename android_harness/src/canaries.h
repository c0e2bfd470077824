// The three canaries of edgebench/agent/canary.c: both agents run the very same work.
#pragma once

#include <cstdint>

#include "trace.h"

namespace edgebench {

class Canaries {
   public:
    // Touches the memory canary's buffer; from here until the end it is resident.
    Canaries();

    // Spins until the clock's blocks stop getting faster, at most limit_ms; returns the ns it took.
    int64_t settle(int64_t limit_ms) const;
    // The fields of a canaries row. Source of the choices (minimum, median, mean, share): edgebench/agent/canary.py.
    Json read(const char* when, int64_t settle_ns) const;
    int64_t memory_bytes() const;
};

}  // namespace edgebench
