// What a launch does, by the plan's mode. Each writes its rows and returns how many iterations counted.
#pragma once

#include "canaries.h"
#include "counters.h"
#include "device.h"
#include "ncnn_session.h"
#include "plan.h"
#include "timing.h"
#include "trace.h"

namespace edgebench {

struct Launch {
    const Plan& plan;
    Trace& trace;
    Watch& watch;
    const Sensors& sensors;
    const Counters& counters;
    // None in verify launches, which time nothing.
    const Canaries* canaries;
};

int64_t run_mode(const Launch& launch);

}  // namespace edgebench
