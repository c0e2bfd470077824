#include "ncnn_session.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <regex>

#include "cpu.h"
#include "error.h"
#include "platform.h"

namespace edgebench {
namespace {

using Flag = bool ncnn::Option::*;

// Every switch a plan may set, under ncnn's own name.
const std::map<std::string, Flag>& flags() {
    static const std::map<std::string, Flag> known{
        {"lightmode", &ncnn::Option::lightmode},
        {"use_winograd_convolution", &ncnn::Option::use_winograd_convolution},
        {"use_sgemm_convolution", &ncnn::Option::use_sgemm_convolution},
        {"use_int8_inference", &ncnn::Option::use_int8_inference},
        {"use_vulkan_compute", &ncnn::Option::use_vulkan_compute},
        {"use_bf16_storage", &ncnn::Option::use_bf16_storage},
        {"use_fp16_packed", &ncnn::Option::use_fp16_packed},
        {"use_fp16_storage", &ncnn::Option::use_fp16_storage},
        {"use_fp16_arithmetic", &ncnn::Option::use_fp16_arithmetic},
        {"use_int8_packed", &ncnn::Option::use_int8_packed},
        {"use_int8_storage", &ncnn::Option::use_int8_storage},
        {"use_int8_arithmetic", &ncnn::Option::use_int8_arithmetic},
        {"use_packing_layout", &ncnn::Option::use_packing_layout},
        {"use_bf16_packed", &ncnn::Option::use_bf16_packed},
        {"use_local_pool_allocator", &ncnn::Option::use_local_pool_allocator},
        {"use_winograd23_convolution", &ncnn::Option::use_winograd23_convolution},
        {"use_winograd43_convolution", &ncnn::Option::use_winograd43_convolution},
        {"use_winograd63_convolution", &ncnn::Option::use_winograd63_convolution},
        {"use_a53_a55_optimized_kernel", &ncnn::Option::use_a53_a55_optimized_kernel},
    };
    return known;
}

void set_option(ncnn::Option& target, const std::string& name, const Option& value) {
    const auto flag = flags().find(name);
    if (flag == flags().end()) throw AgentError("bad_plan", "this ncnn has no option " + name);
    const bool* wanted = std::get_if<bool>(&value);
    if (wanted == nullptr) throw AgentError("bad_plan", "the option " + name + " is true or false");
    target.*(flag->second) = *wanted;
}

// What a function writes to stderr, which is all that ncnn says of why it refuses a graph. It is passed on as well.
std::string stderr_of(const std::function<void()>& work) {
    fflush(stderr);
    // In memory: a phone has no /tmp.
    // By its number: Android's headers declare it from version 11 on only.
    const int memory = static_cast<int>(syscall(SYS_memfd_create, "stderr", MFD_CLOEXEC));
    FILE* said = memory < 0 ? nullptr : fdopen(memory, "r+");
    const int kept = dup(STDERR_FILENO);
    // An old kernel may refuse: then the text goes where it always goes.
    if (said == nullptr || kept < 0 || dup2(fileno(said), STDERR_FILENO) < 0) {
        if (said != nullptr) fclose(said);
        if (kept >= 0) close(kept);
        work();
        return "";
    }
    work();
    fflush(stderr);
    const bool restored = dup2(kept, STDERR_FILENO) >= 0;
    close(kept);
    if (!restored) {
        fclose(said);
        throw std::runtime_error("cannot restore stderr");
    }
    std::string text;
    char piece[512];
    rewind(said);
    for (size_t count = 0; (count = fread(piece, 1, sizeof piece, said)) > 0;) text.append(piece, count);
    fclose(said);
    fwrite(text.data(), 1, text.size(), stderr);
    return text;
}

std::vector<int> ordered(const std::vector<const char*>& names, const std::vector<int>& blobs) {
    std::vector<int> sorted;
    for (const size_t place : order_by_number({names.begin(), names.end()})) sorted.push_back(blobs[place]);
    return sorted;
}

ncnn::Mat empty_mat(const TensorFile& file) {
    const auto& shape = file.shape;
    if (shape.size() < 2 || shape.size() > 5 || shape[0] != 1) {
        throw AgentError("bad_input", "ncnn takes batch 1 and up to four dimensions; the input " + file.name + " does not fit");
    }
    const auto side = [&](size_t from_last) { return static_cast<int>(shape[shape.size() - from_last]); };
    switch (shape.size()) {
        case 2: return ncnn::Mat(side(1));
        case 3: return ncnn::Mat(side(1), side(2));
        case 4: return ncnn::Mat(side(1), side(2), side(3));
        default: return ncnn::Mat(side(1), side(2), side(3), side(4));
    }
}

ncnn::Mat read_mat(const TensorFile& file) {
    if (file.dtype != "float32") throw AgentError("bad_input", "the input " + file.name + " is " + file.dtype + ", not float32");
    ncnn::Mat mat = empty_mat(file);
    if (mat.empty()) throw AgentError("bad_input", "no memory for the input " + file.name);
    const auto values = static_cast<size_t>(mat.w) * static_cast<size_t>(mat.h) * static_cast<size_t>(mat.d);
    struct stat status {};
    const auto expected = static_cast<int64_t>(values * static_cast<size_t>(mat.c) * sizeof(float));
    if (stat(file.path.c_str(), &status) != 0 || status.st_size != expected) {
        throw AgentError("bad_input", file.path + ": not the " + std::to_string(expected) + " bytes that its shape takes");
    }
    FILE* raw = fopen(file.path.c_str(), "rb");
    if (raw == nullptr) throw AgentError("bad_input", file.path + ": " + std::strerror(errno));
    bool whole = true;
    // Channel by channel: ncnn pads each to its own alignment.
    for (int channel = 0; channel < mat.c; ++channel) {
        whole = fread(mat.channel(channel).data, sizeof(float), values, raw) == values && whole;
    }
    fclose(raw);
    if (!whole) throw AgentError("bad_input", file.path + ": ends too early");
    return mat;
}

}  // namespace

NcnnSession::NcnnSession(const PlannedArtifact& artifact, const std::map<std::string, Option>& options, int threads) {
    net_.opt.num_threads = threads;
    for (const auto& [name, value] : options) {
        set_option(net_.opt, name, value);
        options_.push_back(name);
    }
    const std::string& param = artifact.file("param");
    const std::string& weights = artifact.file("bin");
    int code = 0;
    const std::string said = stderr_of([&] { code = net_.load_param(param.c_str()); });
    if (code != 0) {
        std::smatch unknown;
        if (std::regex_search(said, unknown, std::regex("layer (\\S+) not exists or registered"))) {
            throw AgentError("unsupported_operator", "ncnn has no layer " + unknown[1].str());
        }
        throw AgentError("load_failed", "ncnn cannot read the graph " + param + ": " + (said.empty() ? std::to_string(code) : said));
    }
    if (net_.load_model(weights.c_str()) != 0) throw AgentError("load_failed", "ncnn cannot read the weights " + weights);
    input_blobs_ = ordered(net_.input_names(), net_.input_indexes());
    output_blobs_ = ordered(net_.output_names(), net_.output_indexes());
    outputs_.resize(output_blobs_.size());
}

Json NcnnSession::resolved() const {
    Json values = {{"num_threads", net_.opt.num_threads}};
    for (const auto& name : options_) values[name] = net_.opt.*(flags().at(name));
    return values;
}

std::string NcnnSession::precision_computed() const {
    const bool half = net_.opt.use_fp16_arithmetic && ncnn::cpu_support_arm_asimdhp() != 0;
    return half ? "fp16" : "fp32";
}

std::string NcnnSession::version() { return NCNN_VERSION_STRING; }

void NcnnSession::feed(const std::vector<TensorFile>& batch) {
    if (batch.size() != input_blobs_.size()) {
        throw AgentError("bad_input", std::to_string(batch.size()) + " inputs where the network has " + std::to_string(input_blobs_.size()));
    }
    inputs_.clear();
    for (const auto& file : batch) inputs_.push_back(read_mat(file));
}

void NcnnSession::run() {
    ncnn::Extractor extractor = net_.create_extractor();
    for (size_t i = 0; i < inputs_.size(); ++i) {
        if (extractor.input(input_blobs_[i], inputs_[i]) != 0) throw AgentError("run_failed", "ncnn refuses input " + std::to_string(i));
    }
    for (size_t i = 0; i < output_blobs_.size(); ++i) {
        const int code = extractor.extract(output_blobs_[i], outputs_[i]);
        if (code != 0) throw AgentError("run_failed", "ncnn cannot compute output " + std::to_string(i) + ": " + std::to_string(code));
    }
}

std::vector<size_t> order_by_number(const std::vector<std::string>& names) {
    std::vector<size_t> order(names.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::vector<long> numbers;
    std::string stem;
    for (const auto& name : names) {
        const size_t digits = name.find_last_not_of("0123456789") + 1;
        if (digits == name.size() || (!numbers.empty() && name.substr(0, digits) != stem)) return order;
        stem = name.substr(0, digits);
        numbers.push_back(std::atol(name.c_str() + digits));
    }
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
    return order;
}

}  // namespace edgebench
