// A stand-in for NVIDIA's CUDA runtime, for machines without a GPU: "the GPU's memory" is the process's own, a stream does at
// once what it is given, and an event is the time of day. It checks what the real one checks of its callers.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2 };
struct Event { double milliseconds; int recorded; };

// Every record and wait with its event, a line in the file that STAND_IN_EVENTS names.
static void tell(const char* word, const void* event) {
    const char* path = getenv("STAND_IN_EVENTS");
    FILE* log = path ? fopen(path, "a") : NULL;
    if (!log) return;
    fprintf(log, "%s %p\n", word, event);
    fclose(log);
}

const char* cudaGetErrorString(int status) { return status == kOutOfMemory ? "out of memory" : "invalid argument"; }

int cudaSetDeviceFlags(unsigned flags) { return flags == 4 ? kSuccess : kInvalidValue; }

int cudaStreamCreate(void** stream) { return (*stream = malloc(1)) ? kSuccess : kOutOfMemory; }

int cudaMalloc(void** memory, size_t size) {
    const char* most = getenv("STAND_IN_GPU_BYTES");
    if (most && size > strtoull(most, 0, 10)) return kOutOfMemory;
    return (*memory = malloc(size)) ? kSuccess : kOutOfMemory;
}

int cudaHostAlloc(void** memory, size_t size, unsigned flags) {
    if (flags) return kInvalidValue;
    return (*memory = malloc(size ? size : 1)) ? kSuccess : kOutOfMemory;
}

int cudaMemcpyAsync(void* to, const void* from, size_t size, int kind, void* stream) {
    if (!to || !from || !stream || (kind != 1 && kind != 2)) return kInvalidValue;
    memcpy(to, from, size);
    return kSuccess;
}

int cudaEventCreateWithFlags(struct Event** event, unsigned flags) {
    if (flags != 1) return kInvalidValue;
    return (*event = calloc(1, sizeof **event)) ? kSuccess : kOutOfMemory;
}

int cudaEventRecord(struct Event* event, void* stream) {
    if (!event || !stream) return kInvalidValue;
    tell("record", event);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->milliseconds = now.tv_sec * 1e3 + now.tv_nsec / 1e6;
    event->recorded = 1;
    return kSuccess;
}

int cudaEventSynchronize(struct Event* event) {
    tell("wait", event);
    return event && event->recorded ? kSuccess : kInvalidValue;
}

int cudaEventElapsedTime(float* milliseconds, const struct Event* before, const struct Event* after) {
    if (!before->recorded || !after->recorded) return kInvalidValue;
    *milliseconds = (float)(after->milliseconds - before->milliseconds);
    return kSuccess;
}
