// clock_gettime as a processor whose frequency fell would have it: linked into a test harness with -Wl,--wrap=clock_gettime.
//
//   virtual = anchor + (real - real anchor) * slowdown
//
// The same work then takes `slowdown` times as long by every clock, wall and CPU time alike, evenly at any scale. Without the
// variable EDGEBENCH_VIRTUAL_CLOCK the clocks are the machine's. CLOCK_REALTIME always is: file dates are compared with it.
// Waits are the kernel's and real; an absolute deadline of this clock must not be given to it.
#include "virtual_clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>

extern "C" int __real_clock_gettime(clockid_t clock, timespec* now);
extern "C" int __wrap_clock_gettime(clockid_t clock, timespec* now);

namespace {

using virtual_phone::Anchor;
using virtual_phone::ClockPage;

// A writer takes microseconds; one that died half-way is not waited for longer than this.
constexpr int64_t kPatienceNs = 2000000000;

[[noreturn]] void fail(const char* what) {
    fprintf(stderr, "virtual clock: %s\n", what);
    abort();
}

int64_t real_ns(clockid_t clock) {
    timespec now{};
    if (__real_clock_gettime(clock, &now) != 0) fail("this machine lacks a clock");
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

const ClockPage* open_page() {
    const char* path = getenv("EDGEBENCH_VIRTUAL_CLOCK");
    if (path == nullptr || path[0] == '\0') return nullptr;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) fail("the page cannot be opened");
    struct stat status {};
    if (fstat(file, &status) != 0 || status.st_size < static_cast<off_t>(sizeof(ClockPage))) fail("the page is too short");
    void* place = mmap(nullptr, sizeof(ClockPage), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (place == MAP_FAILED) fail("the page cannot be mapped");
    const auto* page = static_cast<const ClockPage*>(place);
    if (page->magic != virtual_phone::kMagic) fail("the file is no clock page");
    return page;
}

// Not a namespace-scope object: other objects' initializers read clocks, too.
const ClockPage* page() {
    static const ClockPage* const opened = open_page();
    return opened;
}

struct Reading {
    int64_t real;
    int64_t shown;
    double slowdown;
};

Reading read_clock(const ClockPage& page, clockid_t clock, const Anchor ClockPage::*which) {
    int64_t gives_up = 0;
    while (true) {
        const uint32_t before = __atomic_load_n(&page.sequence, __ATOMIC_ACQUIRE);
        if (before % 2 == 0) {
            // Compilers may not move these past the fence, and the clock is read between the two looks at the sequence.
            const Anchor anchor = page.*which;
            const double slowdown = page.slowdown;
            const int64_t real = real_ns(clock);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (__atomic_load_n(&page.sequence, __ATOMIC_RELAXED) == before) {
                const auto passed = static_cast<double>(real - anchor.real_ns);
                return {real, anchor.virtual_ns + static_cast<int64_t>(passed * slowdown), slowdown};
            }
        }
        const int64_t now = real_ns(CLOCK_MONOTONIC);
        if (gives_up == 0) gives_up = now + kPatienceNs;
        if (now > gives_up) fail("the writer of the page died half-way");
    }
}

// CPU time of a process or a thread: what was used since the last look, stretched as much as the wall clock was meanwhile.
class CpuClock {
   public:
    int64_t read(const ClockPage& page, clockid_t clock) {
        const Reading wall = read_clock(page, CLOCK_MONOTONIC, &ClockPage::monotonic);
        const int64_t used = real_ns(clock);
        double stretch = wall.slowdown;
        if (known_ && wall.real > wall_.real) {
            stretch = static_cast<double>(wall.shown - wall_.shown) / static_cast<double>(wall.real - wall_.real);
        }
        if (used > used_) shown_ns_ += static_cast<double>(used - used_) * stretch;
        known_ = true;
        wall_ = wall;
        used_ = used;
        return static_cast<int64_t>(shown_ns_);
    }

   private:
    bool known_ = false;
    Reading wall_{};
    int64_t used_ = 0;
    double shown_ns_ = 0;
};

int64_t process_cpu_ns(const ClockPage& page) {
    static CpuClock shared;
    static std::atomic_flag held = ATOMIC_FLAG_INIT;
    while (held.test_and_set(std::memory_order_acquire)) {
    }
    const int64_t shown = shared.read(page, CLOCK_PROCESS_CPUTIME_ID);
    held.clear(std::memory_order_release);
    return shown;
}

int64_t thread_cpu_ns(const ClockPage& page) {
    thread_local CpuClock own;
    return own.read(page, CLOCK_THREAD_CPUTIME_ID);
}

// Of a clock that has a line on the page.
bool shown_ns(const ClockPage& page, clockid_t clock, int64_t& shown) {
    switch (clock) {
        case CLOCK_MONOTONIC:
        // The coarse one is the same clock, a tick late; not late is within its promise.
        case CLOCK_MONOTONIC_COARSE:
            shown = read_clock(page, CLOCK_MONOTONIC, &ClockPage::monotonic).shown;
            return true;
        case CLOCK_MONOTONIC_RAW:
            shown = read_clock(page, CLOCK_MONOTONIC_RAW, &ClockPage::monotonic_raw).shown;
            return true;
        case CLOCK_BOOTTIME:
            shown = read_clock(page, CLOCK_BOOTTIME, &ClockPage::boottime).shown;
            return true;
        case CLOCK_PROCESS_CPUTIME_ID:
            shown = process_cpu_ns(page);
            return true;
        case CLOCK_THREAD_CPUTIME_ID:
            shown = thread_cpu_ns(page);
            return true;
        default:
            return false;
    }
}

}  // namespace

extern "C" int __wrap_clock_gettime(clockid_t clock, timespec* now) {
    const ClockPage* const from = page();
    int64_t shown = 0;
    if (from == nullptr || !shown_ns(*from, clock, shown)) return __real_clock_gettime(clock, now);
    now->tv_sec = static_cast<time_t>(shown / 1000000000);
    now->tv_nsec = static_cast<long>(shown % 1000000000);
    return 0;
}
