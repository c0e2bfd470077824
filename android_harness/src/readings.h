// What one file of the kernel's says now: a number, a temperature, the cores' times. Read while a launch runs, so each is cheap.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace edgebench {

// A short file's first number, without allocating; nothing where it cannot be read or holds none.
std::optional<double> read_number(const char* path);

// The same as a whole number, cut; nothing, too, where it fits in none.
std::optional<int64_t> read_whole(const char* path);

// A thermal zone's temperature; nothing, too, where what it holds is no plausible one.
std::optional<double> read_celsius(const char* path);

// A thermal zone's number in °C: the kernel promises m°C, phones also give d°C and °C.
double celsius(double value);

struct CoreTimes {
    double busy_ms;
    double steal_ms;
};

// The lines of `cores` in /proc/stat (man 5 proc): steal is what a hypervisor gave to others, busy what anybody's work ran.
// Nothing where it cannot be read: some phones keep it from the shell.
std::optional<CoreTimes> read_core_times(const char* path, const std::vector<int>& cores);

}  // namespace edgebench
