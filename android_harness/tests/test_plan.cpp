#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "error.h"
#include "plan.h"
#include "temporary.h"

using edgebench::AgentError;
using nlohmann::json;

namespace {

json whole_plan() {
    return json::parse(R"({
        "schema": 1, "plan_id": "p", "mode": "measure", "runtime": "ncnn",
        "artifacts": [{"key": "k", "files": {"param": "a", "bin": "b"}, "outputs": ["y"],
                       "batches": [[{"name": "x", "shape": [1, 3, 8, 8], "dtype": "float32", "path": "x.raw"}]]}],
        "options": {"lightmode": true, "factor": 0.5, "count": 2, "text": "t"},
        "threads": 2, "cores": [4, 5],
        "schedule": {"warmup_window": 5, "warmup_tolerance": 0.03, "warmup_max_ms": 3000, "measure_ms": 1000,
                     "iterations_min": 10, "iterations_max": 5000, "canary_every_ms": 500, "drop_after_canary": 4,
                     "settle_max_ms": 300},
        "deadline_s": 60.0, "canary_library": null, "thermal_zones": {"cpu": "/zone"},
        "work_dir": "w", "trace_path": "w/trace.jsonl"})");
}

std::string code_of(const json& plan) {
    const Temporary folder;
    try {
        edgebench::read_plan(folder.write("plan.json", plan.dump()));
    } catch (const AgentError& problem) {
        return problem.code + ": " + problem.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a whole plan is read field by field") {
    const Temporary folder;
    const auto plan = edgebench::read_plan(folder.write("plan.json", whole_plan().dump()));
    CHECK(plan.mode == edgebench::Mode::measure);
    CHECK(plan.cores == std::vector<int>{4, 5});
    CHECK(plan.artifacts.at(0).batches.at(0).at(0).shape == std::vector<int64_t>{1, 3, 8, 8});
    CHECK(std::get<bool>(plan.options.at("lightmode")));
    CHECK(std::get<double>(plan.options.at("factor")) == 0.5);
    CHECK(std::get<int64_t>(plan.options.at("count")) == 2);
    CHECK(plan.schedule.drop_after_canary == 4);
    CHECK_FALSE(plan.heartbeat_path.has_value());
}

TEST_CASE("every key that a launch needs is named when it is missing") {
    for (const char* key : {"schema", "plan_id", "mode", "runtime", "artifacts", "options", "threads", "cores", "schedule",
                            "deadline_s", "thermal_zones", "work_dir", "trace_path"}) {
        json plan = whole_plan();
        plan.erase(key);
        CHECK(code_of(plan) == std::string("bad_plan: the plan has no ") + key);
    }
}

TEST_CASE("values that would hang or crash a launch are refused") {
    json plan = whole_plan();
    plan["schedule"]["canary_every_ms"] = 0;
    CHECK(code_of(plan).find("canary_every_ms is below 1") != std::string::npos);
    plan = whole_plan();
    plan["threads"] = 0;
    CHECK(code_of(plan).find("threads is below 1") != std::string::npos);
    plan = whole_plan();
    plan["deadline_s"] = -1;
    CHECK(code_of(plan).find("deadline_s") != std::string::npos);
    plan = whole_plan();
    plan["cores"] = "all";
    CHECK(code_of(plan).find("cores") != std::string::npos);
    plan = whole_plan();
    plan["artifacts"][0]["batches"] = json::array();
    CHECK(code_of(plan).find("no batch") != std::string::npos);
    plan = whole_plan();
    plan["schedule"]["measure_ms"] = int64_t{1} << 60;
    CHECK(code_of(plan).find("measure_ms is above") != std::string::npos);
    plan = whole_plan();
    plan["schedule"]["drop_after_canary"] = 1000000000;
    CHECK(code_of(plan).find("drop_after_canary is above") != std::string::npos);
    plan = whole_plan();
    plan["deadline_s"] = 1e300;
    CHECK(code_of(plan).find("deadline_s is not within") != std::string::npos);
    plan = whole_plan();
    plan["heartbeat_path"] = "h";
    plan["heartbeat_max_age_s"] = 0;
    CHECK(code_of(plan).find("heartbeat_max_age_s is not within") != std::string::npos);
}

TEST_CASE("a plan of another schema, mode or number of artifacts is refused") {
    json plan = whole_plan();
    plan["schema"] = 2;
    CHECK(code_of(plan) == "bad_plan: plan schema 2; this harness reads 1");
    plan = whole_plan();
    plan["mode"] = "dance";
    CHECK(code_of(plan) == "bad_plan: this harness knows no mode dance");
    plan = whole_plan();
    plan["mode"] = "pair";
    CHECK(code_of(plan) == "bad_plan: 1 artifacts do not fit mode pair");
    plan["mode"] = "verify";
    plan["artifacts"] = json::array();
    CHECK(code_of(plan) == "bad_plan: 0 artifacts do not fit mode verify");
}

TEST_CASE("what is no plan at all is said with its path, since there is no trace to say it in") {
    const Temporary folder;
    CHECK_THROWS_WITH(edgebench::trace_path_of("/nowhere/plan.json"), "/nowhere/plan.json: cannot be read");
    CHECK_THROWS_AS(edgebench::trace_path_of(folder.write("list.json", "[1]")), std::runtime_error);
    CHECK_THROWS_AS(edgebench::trace_path_of(folder.write("torn.json", "{\"trace_path\": ")), std::runtime_error);
    CHECK_THROWS_AS(edgebench::trace_path_of(folder.write("other.json", "{}")), std::runtime_error);
}
