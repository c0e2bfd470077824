#include "plan.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "error.h"

namespace edgebench {
namespace {

using nlohmann::json;

constexpr int kPlanSchema = 1;

json parsed(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    json document = json::parse(file, nullptr, false);
    if (!document.is_object()) throw std::runtime_error(path + " is not a plan: it holds no JSON object");
    return document;
}

template <typename T>
T required(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end()) throw AgentError("bad_plan", std::string("the plan has no ") + key);
    try {
        return found->get<T>();
    } catch (const json::exception& problem) {
        throw AgentError("bad_plan", std::string("the plan's ") + key + ": " + problem.what());
    }
}

// A day, and more iterations than one holds: beyond them, sums of nanoseconds would overflow.
constexpr int64_t kMillisecondsMax = 86400000;
constexpr int64_t kIterationsMax = 1000000000;
// Counts that room is made for at once.
constexpr int64_t kRoomMax = 10000;
constexpr int64_t kThreadsMax = 1024;
// Without a heartbeat nothing else ends a launch that hangs.
constexpr double kDeadlineMaxS = 3600;

// Counts and limits that a loop divides or waits by: a plan that sets them otherwise would hang, crash or time nothing.
int64_t within(int64_t lowest, int64_t highest, const json& object, const char* key) {
    const auto value = required<int64_t>(object, key);
    if (value < lowest) throw AgentError("bad_plan", std::string("the plan's ") + key + " is below " + std::to_string(lowest));
    if (value > highest) throw AgentError("bad_plan", std::string("the plan's ") + key + " is above " + std::to_string(highest));
    return value;
}

double seconds(const json& object, const char* key) {
    const auto value = required<double>(object, key);
    if (!(value > 0 && value <= kDeadlineMaxS)) throw AgentError("bad_plan", std::string("the plan's ") + key + " is not within 0 and 3600");
    return value;
}

Option option_of(const std::string& name, const json& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number_integer()) return value.get<int64_t>();
    if (value.is_number()) return value.get<double>();
    if (value.is_string()) return value.get<std::string>();
    throw AgentError("bad_plan", "the option " + name + " is neither a number, a text nor a truth value");
}

PlannedArtifact artifact_of(const json& object) {
    PlannedArtifact artifact{
        required<std::string>(object, "key"),
        required<std::map<std::string, std::string>>(object, "files"),
        {},
        required<std::vector<std::string>>(object, "outputs"),
    };
    for (const auto& batch : required<json>(object, "batches")) {
        auto& files = artifact.batches.emplace_back();
        for (const auto& file : batch) {
            files.push_back({
                required<std::string>(file, "name"),
                required<std::vector<int64_t>>(file, "shape"),
                required<std::string>(file, "dtype"),
                required<std::string>(file, "path"),
            });
        }
    }
    return artifact;
}

Schedule schedule_of(const json& object) {
    return {
        static_cast<int>(within(2, kRoomMax, object, "warmup_window")),
        required<double>(object, "warmup_tolerance"),
        within(0, kMillisecondsMax, object, "warmup_max_ms"),
        within(0, kMillisecondsMax, object, "measure_ms"),
        within(1, kIterationsMax, object, "iterations_min"),
        within(1, kIterationsMax, object, "iterations_max"),
        within(1, kMillisecondsMax, object, "canary_every_ms"),
        within(0, kRoomMax, object, "drop_after_canary"),
        within(0, kMillisecondsMax, object, "settle_max_ms"),
    };
}

std::vector<Command> commands_of(const json& document, const char* key) {
    std::vector<Command> commands;
    const auto found = document.find(key);
    if (found == document.end()) return commands;
    for (const auto& each : *found) {
        commands.push_back({
            required<std::string>(each, "name"),
            required<std::vector<std::string>>(each, "argv"),
            required<std::string>(each, "output"),
            required<std::map<std::string, std::string>>(each, "files"),
        });
        if (commands.back().argv.empty()) throw AgentError("bad_plan", std::string("one of the plan's ") + key + " has no words");
    }
    return commands;
}

Mode mode_of(const std::string& name, size_t artifacts) {
    static const std::map<std::string, std::pair<Mode, size_t>> modes{
        {"measure", {Mode::measure, 1}}, {"profile", {Mode::profile, 1}}, {"verify", {Mode::verify, artifacts}},
        {"canary", {Mode::canary, 0}},   {"pair", {Mode::pair, 2}},
    };
    const auto found = modes.find(name);
    if (found == modes.end()) throw AgentError("bad_plan", "this harness knows no mode " + name);
    if (found->second.second != artifacts || (found->second.first == Mode::verify && artifacts == 0)) {
        throw AgentError("bad_plan", std::to_string(artifacts) + " artifacts do not fit mode " + name);
    }
    return found->second.first;
}

}  // namespace

const std::string& PlannedArtifact::file(const std::string& role) const {
    const auto found = files.find(role);
    if (found == files.end()) throw AgentError("bad_plan", "the plan names no file with role " + role);
    return found->second;
}

std::string trace_path_of(const std::string& plan_path) {
    const json document = parsed(plan_path);
    const auto found = document.find("trace_path");
    if (found == document.end() || !found->is_string()) {
        throw std::runtime_error(plan_path + " is not a plan: it names no trace_path");
    }
    return found->get<std::string>();
}

Plan read_plan(const std::string& plan_path) {
    const json document = parsed(plan_path);
    const auto schema = required<int64_t>(document, "schema");
    if (schema != kPlanSchema) {
        throw AgentError("bad_plan", "plan schema " + std::to_string(schema) + "; this harness reads " + std::to_string(kPlanSchema));
    }
    Plan plan{};
    plan.plan_id = required<std::string>(document, "plan_id");
    plan.mode_name = required<std::string>(document, "mode");
    plan.runtime = required<std::string>(document, "runtime");
    for (const auto& artifact : required<json>(document, "artifacts")) plan.artifacts.push_back(artifact_of(artifact));
    plan.mode = mode_of(plan.mode_name, plan.artifacts.size());
    for (const auto& artifact : plan.artifacts) {
        if (artifact.batches.empty()) throw AgentError("bad_plan", "the artifact " + artifact.key + " has no batch of inputs");
    }
    const json options = required<json>(document, "options");
    for (const auto& [name, value] : options.items()) plan.options.emplace(name, option_of(name, value));
    plan.threads = static_cast<int>(within(1, kThreadsMax, document, "threads"));
    plan.cores = required<std::vector<int>>(document, "cores");
    plan.schedule = schedule_of(required<json>(document, "schedule"));
    plan.deadline_s = seconds(document, "deadline_s");
    plan.thermal_zones = required<std::map<std::string, std::string>>(document, "thermal_zones");
    plan.commands = commands_of(document, "commands");
    plan.beside = commands_of(document, "beside");
    plan.work_dir = required<std::string>(document, "work_dir");
    plan.trace_path = required<std::string>(document, "trace_path");
    if (const auto path = document.find("heartbeat_path"); path != document.end() && path->is_string()) {
        plan.heartbeat_path = path->get<std::string>();
        plan.heartbeat_max_age_s = seconds(document, "heartbeat_max_age_s");
    }
    return plan;
}

}  // namespace edgebench
