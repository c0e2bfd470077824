// What the virtual clock shows, held against the kernel's own, which a raw system call reads past the linker's --wrap.
//
//   clock_probe ratio MS            JSON: each clock's passed time over the real time, while one thread computes
//   clock_probe order MS THREADS    JSON: how often a clock went back, in one thread and between threads
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>
#include <vector>

namespace {

int64_t read_ns(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

int64_t kernels_ns(clockid_t clock) {
    timespec now{};
    syscall(SYS_clock_gettime, clock, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

int64_t chrono_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Clock {
    const char* name;
    clockid_t id;
    // The machine's clock that it is held against.
    clockid_t real;
};
constexpr Clock kClocks[] = {
    {"monotonic", CLOCK_MONOTONIC, CLOCK_MONOTONIC},
    {"raw", CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_RAW},
    {"boottime", CLOCK_BOOTTIME, CLOCK_BOOTTIME},
    {"coarse", CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC},
    {"realtime", CLOCK_REALTIME, CLOCK_REALTIME},
    {"process_cpu", CLOCK_PROCESS_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID},
    {"thread_cpu", CLOCK_THREAD_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID},
};

void compute_until(int64_t end_ns) {
    volatile uint64_t x = 3;
    while (kernels_ns(CLOCK_MONOTONIC) < end_ns) {
        for (int i = 0; i < 10000; ++i) x = x * x + 1;
    }
}

void ratio(int64_t ms) {
    constexpr size_t count = sizeof kClocks / sizeof kClocks[0];
    int64_t shown[count], real[count];
    for (size_t i = 0; i < count; ++i) {
        real[i] = kernels_ns(kClocks[i].real);
        shown[i] = read_ns(kClocks[i].id);
    }
    const int64_t chrono_from = chrono_ns(), real_from = kernels_ns(CLOCK_MONOTONIC);
    compute_until(real_from + ms * 1000000);
    const int64_t chrono_passed = chrono_ns() - chrono_from;
    printf("{\"chrono\": %.5f", static_cast<double>(chrono_passed) / static_cast<double>(kernels_ns(CLOCK_MONOTONIC) - real_from));
    for (size_t i = 0; i < count; ++i) {
        const int64_t passed = read_ns(kClocks[i].id) - shown[i];
        printf(", \"%s\": %.5f", kClocks[i].name, static_cast<double>(passed) / static_cast<double>(kernels_ns(kClocks[i].real) - real[i]));
    }
    printf("}\n");
}

void order(int64_t ms, int threads) {
    std::atomic<int64_t> latest{0}, backwards{0}, overtaken{0}, reads{0};
    const int64_t end = kernels_ns(CLOCK_MONOTONIC) + ms * 1000000;
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
        all.emplace_back([&] {
            int64_t last[sizeof kClocks / sizeof kClocks[0]] = {};
            while (kernels_ns(CLOCK_MONOTONIC) < end) {
                for (size_t i = 0; i < sizeof kClocks / sizeof kClocks[0]; ++i) {
                    if (kClocks[i].id == CLOCK_REALTIME) continue;
                    const int64_t before = kClocks[i].id == CLOCK_MONOTONIC ? latest.load() : 0;
                    const int64_t now = read_ns(kClocks[i].id);
                    if (now < last[i]) ++backwards;
                    if (now < before) ++overtaken;
                    last[i] = now;
                    if (kClocks[i].id != CLOCK_MONOTONIC) continue;
                    int64_t seen = latest.load();
                    while (seen < now && !latest.compare_exchange_weak(seen, now)) {
                    }
                }
                ++reads;
            }
        });
    }
    for (auto& each : all) each.join();
    printf("{\"reads\": %lld, \"backwards\": %lld, \"overtaken\": %lld}\n", static_cast<long long>(reads), static_cast<long long>(backwards),
           static_cast<long long>(overtaken));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "ratio") == 0) {
        ratio(std::atoll(argv[2]));
    } else if (argc == 4 && std::strcmp(argv[1], "order") == 0) {
        order(std::atoll(argv[2]), std::atoi(argv[3]));
    } else {
        return 2;
    }
    return 0;
}
