// A loaded ncnn network whose options are exactly the plan's.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "net.h"
#include "plan.h"
#include "trace.h"

namespace edgebench {

class NcnnSession {
   public:
    // Throws AgentError: bad_plan for an option that this harness does not know, load_failed, unsupported_operator.
    NcnnSession(const PlannedArtifact& artifact, const std::map<std::string, Option>& options, int threads);

    // Options as read back.
    Json resolved() const;
    // What the arithmetic runs in on this core: fp16 where asked for and there, else fp32.
    std::string precision_computed() const;
    static std::string version();

    // Copies a full set of inputs in. Throws AgentError bad_input.
    void feed(const std::vector<TensorFile>& batch);
    // One inference: a fresh extractor, the inputs, every output. Throws AgentError run_failed.
    void run();
    // The outputs of the last run, in the network's order.
    const std::vector<ncnn::Mat>& outputs() const { return outputs_; }
    const ncnn::Mat& input(size_t place) const { return inputs_.at(place); }
    const ncnn::Net& net() const { return net_; }

   private:
    ncnn::Net net_;
    std::vector<std::string> options_;
    std::vector<int> input_blobs_;
    std::vector<int> output_blobs_;
    std::vector<ncnn::Mat> inputs_;
    std::vector<ncnn::Mat> outputs_;
};

// pnnx's in0, in1, … by their numbers, as ncnn lists blobs in the graph's order; other names stay as they are.
std::vector<size_t> order_by_number(const std::vector<std::string>& names);

}  // namespace edgebench
