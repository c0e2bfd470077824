#include "layer_hook.h"

#include <unistd.h>

#include "benchmark.h"
#include "clock.h"
#include "layer.h"
#include "mat.h"

namespace edgebench {
namespace {

bool g_on = false;
bool g_overflowed = false;
std::vector<LayerRecord> g_records;

// ncnn hands milliseconds as double: at an uptime of years they still resolve a few nanoseconds.
void record(const ncnn::Layer* layer, double start_ms, double end_ms, int64_t bytes) {
    if (g_records.size() == g_records.capacity()) {
        g_overflowed = true;
        return;
    }
    g_records.push_back({layer, static_cast<int64_t>((end_ms - start_ms) * 1e6 + 0.5), bytes});
}

int64_t bytes_of(const ncnn::Mat& mat) {
    return static_cast<int64_t>(mat.w) * mat.h * mat.d * mat.c * static_cast<int64_t>(mat.elemsize);
}

}  // namespace

void reserve_layer_records(size_t count) {
    g_records.clear();
    g_records.reserve(count);
    g_overflowed = false;
}

void record_layers(bool on) { g_on = on; }
bool layer_records_overflowed() { return g_overflowed; }
const std::vector<LayerRecord>& layer_records() { return g_records; }

}  // namespace edgebench

namespace ncnn {

double get_current_time() { return edgebench::g_on ? static_cast<double>(edgebench::now_ns()) * 1e-6 : 0.0; }

void sleep(unsigned long long int milliseconds) { usleep(static_cast<useconds_t>(milliseconds * 1000)); }

void benchmark(const Layer* layer, double start, double end) {
    if (edgebench::g_on) edgebench::record(layer, start, end, -1);
}

void benchmark(const Layer* layer, const Mat& bottom, Mat& top, double start, double end) {
    if (edgebench::g_on) edgebench::record(layer, start, end, edgebench::bytes_of(bottom) + edgebench::bytes_of(top));
}

}  // namespace ncnn
