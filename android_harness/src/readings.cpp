#include "readings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace edgebench {
namespace {

// Below and above, a thermal zone reports no temperature: the limits of edgebench/agent/host.py, which every reader shares.
constexpr double kPlausibleMinC = -20.0;
constexpr double kPlausibleMaxC = 150.0;
// The first double beyond an int64_t, whose own limit no double is.
constexpr double kWholeLimit = 9223372036854775808.0;

}  // namespace

std::optional<double> read_number(const char* path) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    char text[64];
    const ssize_t count = ::read(file, text, sizeof text - 1);
    close(file);
    if (count <= 0) return std::nullopt;
    text[count] = '\0';
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    if (end == text || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::optional<int64_t> read_whole(const char* path) {
    const auto value = read_number(path);
    // Beyond these limits the cast is undefined.
    if (!value || *value < -kWholeLimit || *value >= kWholeLimit) return std::nullopt;
    return static_cast<int64_t>(*value);
}

std::optional<double> read_celsius(const char* path) {
    const auto value = read_number(path);
    if (!value) return std::nullopt;
    const double degrees_c = celsius(*value);
    if (degrees_c < kPlausibleMinC || degrees_c > kPlausibleMaxC) return std::nullopt;
    return degrees_c;
}

double celsius(double value) {
    if (std::abs(value) >= 2000) return value / 1000;
    return std::abs(value) >= 200 ? value / 10 : value;
}

std::optional<CoreTimes> read_core_times(const char* path, const std::vector<int>& cores) {
    FILE* file = fopen(path, "re");
    if (file == nullptr) return std::nullopt;
    char line[512];
    bool found = false;
    long long busy = 0;
    long long stolen = 0;
    while (fgets(line, sizeof line, file) != nullptr) {
        int core = -1;
        long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
        if (sscanf(line, "cpu%d %lld %lld %lld %*d %*d %lld %lld %lld", &core, &user, &nice, &system, &irq, &softirq, &steal) != 7) continue;
        if (std::find(cores.begin(), cores.end(), core) == cores.end()) continue;
        found = true;
        busy += user + nice + system + irq + softirq;
        stolen += steal;
    }
    fclose(file);
    if (!found) return std::nullopt;
    const double tick_ms = 1000.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
    return CoreTimes{static_cast<double>(busy) * tick_ms, static_cast<double>(stolen) * tick_ms};
}

}  // namespace edgebench
