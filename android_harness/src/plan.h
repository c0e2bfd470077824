// plan.json, strictly: edgebench/records/plan.py is the one definition, this reads what a launch needs of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace edgebench {

using Option = std::variant<bool, int64_t, double, std::string>;

struct TensorFile {
    std::string name;
    std::vector<int64_t> shape;
    std::string dtype;
    std::string path;
};

struct PlannedArtifact {
    std::string key;
    std::map<std::string, std::string> files;
    std::vector<std::vector<TensorFile>> batches;
    std::vector<std::string> outputs;

    // The path of the file with that role; AgentError bad_plan where there is none.
    const std::string& file(const std::string& role) const;
};

struct Schedule {
    int warmup_window;
    double warmup_tolerance;
    int64_t warmup_max_ms;
    int64_t measure_ms;
    int64_t iterations_min;
    int64_t iterations_max;
    int64_t canary_every_ms;
    int64_t drop_after_canary;
    int64_t settle_max_ms;
};

// A program of others. What it prints goes to `output`; `files` names what it writes, by role, for whoever reads the trace.
struct Command {
    std::string name;
    std::vector<std::string> argv;
    std::string output;
    std::map<std::string, std::string> files;
};

enum class Mode { measure, profile, verify, canary, pair };

struct Plan {
    std::string plan_id;
    Mode mode;
    std::string mode_name;
    std::string runtime;
    std::vector<PlannedArtifact> artifacts;
    std::map<std::string, Option> options;
    int threads;
    std::vector<int> cores;
    Schedule schedule;
    double deadline_s;
    std::map<std::string, std::string> thermal_zones;
    // Run one after the other in place of a network, and, `beside` it, while it is timed.
    std::vector<Command> commands;
    std::vector<Command> beside;
    std::string work_dir;
    std::string trace_path;
    // Sustained runs: the controller renews this file; once it is older than the limit nobody waits for the result.
    std::optional<std::string> heartbeat_path;
    double heartbeat_max_age_s;
};

// Where the trace belongs, read before anything else so that every later error has a place. Throws std::runtime_error.
std::string trace_path_of(const std::string& plan_path);

// The plan in that file. Throws AgentError bad_plan with the key that is missing or of another kind.
Plan read_plan(const std::string& plan_path);

}  // namespace edgebench
