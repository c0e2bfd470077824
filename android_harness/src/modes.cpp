#include "modes.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "clock.h"
#include "error.h"
#include "layer.h"
#include "layer_hook.h"
#include "program.h"

namespace edgebench {
namespace {

// Enough for a median of each layer, little enough to stay quick to write: as in edgebench/agent/modes.py.
constexpr int64_t kProfileIterationsMin = 30;
constexpr int64_t kProfileIterationsMax = 200;
// Of a launch of a pair, to time each alone.
constexpr int64_t kSoloPart = 8;
// Two times A B B A of each.
constexpr int64_t kTurnsMin = 4;

void write_canaries(const Launch& launch, const char* when) {
    const bool settles = std::strcmp(when, "before") == 0;
    const int64_t settle_ns = settles ? launch.canaries->settle(launch.plan.schedule.settle_max_ms) : 0;
    const int64_t at_ns = now_ns();
    Json row = launch.canaries->read(when, settle_ns);
    row["t_ns"] = at_ns;
    launch.trace.row("canaries", std::move(row));
}

void write_telemetry(const Launch& launch) {
    launch.watch.drain();
    launch.trace.row("telemetry", launch.sensors.read());
}

using Beside = std::vector<std::unique_ptr<Program>>;

// The plan's monitors, on the watch's cores: what they cost must not be the model's. Where all cores are measured there are none.
Beside start_beside(const Launch& launch) {
    Beside beside;
    if (launch.watch.cores().empty()) return beside;
    for (const auto& command : launch.plan.beside) beside.push_back(std::make_unique<Program>(command, launch.watch.cores()));
    return beside;
}

void stop_beside(const Launch& launch, Beside& beside) {
    for (const auto& program : beside) launch.trace.row("program", program->stop());
    beside.clear();
}

// The first row is the state that everything later is held against: loading, which waits for the disk, lies before it.
void begin(const Launch& launch) {
    write_telemetry(launch);
    launch.watch.sample(&launch.sensors);
    write_canaries(launch, "before");
}

void finish(const Launch& launch) {
    write_canaries(launch, "after");
    launch.watch.sample(nullptr);
    write_telemetry(launch);
}

std::unique_ptr<NcnnSession> load(const Launch& launch, size_t index) {
    if (launch.plan.runtime != "ncnn") throw AgentError("bad_plan", "this harness runs ncnn, not " + launch.plan.runtime);
    const int64_t start = now_ns();
    auto session = std::make_unique<NcnnSession>(launch.plan.artifacts[index], launch.plan.options, launch.plan.threads);
    const int64_t loaded = now_ns();
    session->feed(launch.plan.artifacts[index].batches[0]);
    // One inference starts the runtime's threads, so that where they may run can be read back.
    session->run();
    Json resolved = session->resolved();
    resolved["cores"] = joined(allowed_cores(launch.watch.thread_id()));
    launch.trace.row("load", {
                                 {"artifact", index},
                                 {"t_ns", start},
                                 {"import_ns", 0},
                                 {"load_ns", loaded - start},
                                 {"runtime_version", NcnnSession::version()},
                                 {"precision_computed", session->precision_computed()},
                                 {"resolved", resolved},
                             });
    return session;
}

void write_warm_up(const Launch& launch, size_t index, const Run& run) {
    const Schedule& schedule = launch.plan.schedule;
    const int64_t start = now_ns();
    const auto [durations, settled] = warm_up(run, schedule.warmup_window, schedule.warmup_tolerance, schedule.warmup_max_ms);
    launch.trace.row("warmup", {{"artifact", index}, {"t_ns", start}, {"iterations_ns", durations}, {"settled", settled}});
}

// The counted iterations of a block as a row; what the processor counted is of those that are dropped, too.
void write_block(const Launch& launch, size_t index, int64_t start, const Block& block, int64_t dropped, const Json& cycles, const Json& instructions, bool interleaved = false) {
    const auto from = static_cast<std::ptrdiff_t>(dropped);
    const auto to = static_cast<std::ptrdiff_t>(block.count);
    launch.trace.row("iterations", {
                                       {"artifact", index},
                                       {"t_ns", start},
                                       {"stages", {{"net", std::vector<int64_t>(block.ns.begin() + from, block.ns.begin() + to)}}},
                                       {"cores", std::vector<int>(block.cores.begin() + from, block.cores.begin() + to)},
                                       {"dropped", dropped},
                                       {"interleaved", interleaved},
                                       {"cycles", cycles},
                                       {"instructions", instructions},
                                   });
}

// Blocks between canaries until the schedule is over, each of one artifact.
int64_t time_alone(const Launch& launch, size_t index, const Run& run, const Schedule& schedule) {
    Progress progress(schedule);
    Block block(block_room(schedule));
    while (true) {
        const int64_t dropped = progress.drop();
        const auto before = launch.counters.read();
        const int64_t start = now_ns();
        timed_block(run, block, progress.most(), progress.least(), progress.limit_ns());
        progress.take(static_cast<int64_t>(block.count), now_ns() - start);
        const auto after = launch.counters.read();
        write_block(launch, index, start, block, dropped, between(before.cycles, after.cycles), between(before.instructions, after.instructions));
        write_telemetry(launch);
        if (progress.done()) return progress.kept();
        write_canaries(launch, "between");
    }
}

int64_t measure(const Launch& launch) {
    const auto session = load(launch, 0);
    const Run run = [&] { session->run(); };
    Beside beside = start_beside(launch);
    begin(launch);
    write_warm_up(launch, 0, run);
    const int64_t kept = time_alone(launch, 0, run, launch.plan.schedule);
    finish(launch);
    stop_beside(launch, beside);
    return kept;
}

Json layer_rows(const NcnnSession& session, size_t iterations) {
    const auto& layers = session.net().layers();
    const auto& records = layer_records();
    if (layer_records_overflowed()) throw AgentError("internal", "more layer records than room for them");
    std::map<const ncnn::Layer*, std::pair<std::vector<int64_t>, int64_t>> times;
    for (const auto& record : records) {
        auto& [ns, bytes] = times[record.layer];
        ns.push_back(record.ns);
        bytes = record.bytes;
    }
    Json rows = Json::array();
    for (const ncnn::Layer* layer : layers) {
        const auto found = times.find(layer);
        // Inputs are no work: ncnn never runs them.
        if (found == times.end()) continue;
        const auto& [ns, bytes] = found->second;
        if (ns.size() != iterations) {
            throw AgentError("internal", "the layer " + layer->name + " ran " + std::to_string(ns.size()) + " times in " + std::to_string(iterations) + " iterations");
        }
        rows.push_back({{"name", layer->name}, {"op", layer->type}, {"times_ns", ns}, {"bytes_moved", bytes < 0 ? Json(nullptr) : Json(bytes)}});
    }
    return rows;
}

int64_t profile(const Launch& launch) {
    const auto session = load(launch, 0);
    const Run run = [&] { session->run(); };
    const int64_t least = std::max(kProfileIterationsMin, launch.plan.schedule.iterations_min);
    const int64_t most = std::max(kProfileIterationsMax, least);
    Block block(static_cast<size_t>(most));
    reserve_layer_records(static_cast<size_t>(most) * session->net().layers().size());
    begin(launch);
    write_warm_up(launch, 0, run);
    const int64_t start = now_ns();
    record_layers(true);
    timed_block(run, block, most, least, launch.plan.schedule.measure_ms * 1000000);
    record_layers(false);
    finish(launch);
    const std::vector<int64_t> total(block.ns.begin(), block.ns.begin() + static_cast<std::ptrdiff_t>(block.count));
    launch.trace.row("layers", {
                                   {"artifact", 0},
                                   {"t_ns", start},
                                   {"total_ns", total},
                                   {"layers", layer_rows(*session, block.count)},
                                   {"graph", nullptr},
                               });
    return static_cast<int64_t>(block.count);
}

void write_output(const Launch& launch, size_t index, size_t batch, size_t place, const std::string& name, const ncnn::Mat& mat) {
    const std::string file = "artifact" + std::to_string(index) + "_batch" + std::to_string(batch) + "_output" + std::to_string(place) + ".raw";
    const std::string path = launch.plan.work_dir + "/" + file;
    if (mat.elempack != 1 || mat.elemsize != sizeof(float)) throw AgentError("run_failed", "the output " + name + " is not plain float32");
    FILE* raw = fopen(path.c_str(), "wb");
    if (raw == nullptr) throw unwritten("run_failed", path, errno);
    const auto values = static_cast<size_t>(mat.w) * static_cast<size_t>(mat.h) * static_cast<size_t>(mat.d);
    // The first failure says why: closing may leave another reason behind.
    int reason = 0;
    for (int channel = 0; channel < mat.c && reason == 0; ++channel) {
        if (fwrite(mat.channel(channel).data, sizeof(float), values, raw) != values) reason = errno != 0 ? errno : EIO;
    }
    if (fclose(raw) != 0 && reason == 0) reason = errno;
    if (reason != 0) throw unwritten("run_failed", path, reason);
    std::vector<int> shape{1};
    const std::array<int, 4> sides{mat.c, mat.d, mat.h, mat.w};
    const std::array<bool, 4> there{mat.dims >= 3, mat.dims == 4, mat.dims >= 2, true};
    for (size_t side = 0; side < sides.size(); ++side) {
        if (there[side]) shape.push_back(sides[side]);
    }
    launch.trace.row("output", {{"artifact", index}, {"batch", batch}, {"name", name}, {"shape", shape}, {"dtype", "float32"}, {"path", path}});
}

int64_t verify(const Launch& launch) {
    int64_t runs = 0;
    for (size_t index = 0; index < launch.plan.artifacts.size(); ++index) {
        const auto session = load(launch, index);
        const auto& artifact = launch.plan.artifacts[index];
        for (size_t batch = 0; batch < artifact.batches.size(); ++batch) {
            session->feed(artifact.batches[batch]);
            session->run();
            const auto& outputs = session->outputs();
            if (outputs.size() != artifact.outputs.size()) {
                throw AgentError("bad_plan", std::to_string(outputs.size()) + " outputs where the plan names " + std::to_string(artifact.outputs.size()));
            }
            for (size_t place = 0; place < outputs.size(); ++place) {
                write_output(launch, index, batch, place, artifact.outputs[place], outputs[place]);
            }
            ++runs;
        }
    }
    return runs;
}

// Programs that bring a runtime of their own: this only says how the device was before and after them, and what they did.
int64_t run_programs(const Launch& launch) {
    const bool timed = launch.canaries != nullptr;
    Beside beside = start_beside(launch);
    if (timed) begin(launch);
    for (const auto& command : launch.plan.commands) launch.trace.row("program", Program(command, {}).wait());
    if (timed) finish(launch);
    stop_beside(launch, beside);
    return 0;
}

int64_t canary(const Launch& launch) {
    write_telemetry(launch);
    write_canaries(launch, "before");
    write_telemetry(launch);
    return 0;
}

// A B B A A B B A …: drift that is linear over four iterations falls on both alike.
void time_interleaved(const Launch& launch, const std::array<Run, 2>& runs, const Schedule& schedule) {
    Progress progress(schedule);
    std::array<Block, 2> blocks{Block(block_room(schedule)), Block(block_room(schedule))};
    while (true) {
        const int64_t dropped = progress.drop();
        const int64_t start = now_ns();
        const int64_t stop = start + progress.limit_ns();
        blocks[0].count = blocks[1].count = 0;
        bool first_is_a = true;
        const size_t end_at = std::min(blocks[0].ns.size(), static_cast<size_t>(progress.most()));
        while (blocks[0].count < end_at) {
            for (const size_t which : {size_t{first_is_a ? 0U : 1U}, size_t{first_is_a ? 1U : 0U}}) {
                Block& block = blocks[which];
                const int64_t from = now_ns();
                runs[which]();
                block.ns[block.count] = now_ns() - from;
                block.cores[block.count] = sched_getcpu();
                ++block.count;
            }
            first_is_a = !first_is_a;
            if (now_ns() >= stop && static_cast<int64_t>(blocks[0].count) >= progress.least() && blocks[0].count % 2 == 0) break;
        }
        progress.take(static_cast<int64_t>(blocks[0].count), now_ns() - start);
        // Counted together they tell nothing of either.
        for (size_t which = 0; which < 2; ++which) write_block(launch, which, start, blocks[which], dropped, nullptr, nullptr, true);
        write_telemetry(launch);
        if (progress.done()) return;
        write_canaries(launch, "between");
    }
}

// Two artifacts in one process: interleaved for the ratio, and a solo block of each to see whether they disturb each other.
// Together as long as one launch of one artifact: an eighth alone, for each, and what is left in turns.
int64_t pair(const Launch& launch) {
    const std::array<std::unique_ptr<NcnnSession>, 2> sessions{load(launch, 0), load(launch, 1)};
    const std::array<Run, 2> runs{[&] { sessions[0]->run(); }, [&] { sessions[1]->run(); }};
    // One block alone, however slow; in turns as few as two whole ones: a launch has a minute, also for slow networks.
    Schedule solo = launch.plan.schedule;
    solo.measure_ms = std::max(std::min(solo.measure_ms / kSoloPart, solo.canary_every_ms), int64_t{1});
    solo.iterations_min = 1;
    Schedule turns = launch.plan.schedule;
    turns.measure_ms = std::max(turns.measure_ms - 2 * solo.measure_ms, int64_t{1});
    // Under a second: the canaries before and after see what a third in between would.
    turns.canary_every_ms = std::max(turns.canary_every_ms, turns.measure_ms);
    turns.iterations_min = std::min(turns.iterations_min, kTurnsMin);
    begin(launch);
    int64_t kept = 0;
    for (size_t index = 0; index < 2; ++index) {
        write_warm_up(launch, index, runs[index]);
        kept += time_alone(launch, index, runs[index], solo);
    }
    time_interleaved(launch, runs, turns);
    finish(launch);
    return kept;
}

}  // namespace

int64_t run_mode(const Launch& launch) {
    if (!launch.plan.commands.empty()) return run_programs(launch);
    switch (launch.plan.mode) {
        case Mode::measure: return measure(launch);
        case Mode::profile: return profile(launch);
        case Mode::verify: return verify(launch);
        case Mode::canary: return canary(launch);
        case Mode::pair: return pair(launch);
    }
    throw AgentError("bad_plan", "this harness knows no such mode");
}

}  // namespace edgebench
