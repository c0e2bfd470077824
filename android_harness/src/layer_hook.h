// ncnn's per-layer hook, switched at run time: one binary times whole networks (hook off) and layers (hook on).
//
// With NCNN_BENCHMARK=ON every layer calls ncnn::benchmark(). This object defines all four symbols of libncnn's benchmark.cpp,
// so that the linker never pulls that archive member.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ncnn {
class Layer;
}

namespace edgebench {

struct LayerRecord {
    const ncnn::Layer* layer;
    int64_t ns;
    // Of the activations that were read and written; below 0 where ncnn does not say.
    int64_t bytes;
};

// Makes room for that many records; recording stops where it is full, and overflowed() says so.
void reserve_layer_records(size_t count);
void record_layers(bool on);
bool layer_records_overflowed();
const std::vector<LayerRecord>& layer_records();

}  // namespace edgebench
