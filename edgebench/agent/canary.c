/* Three fixed pieces of work that reveal what the machine can give right now. Lower is faster.
 *
 *   clock       a chain of dependent operations of one cycle each: nothing but the core's frequency moves it, and steps by
 *               time is that frequency
 *   throughput  independent multiply-adds on registers: a busy sibling hardware thread takes a share
 *   memory      a stream over a buffer larger than any core's L2: the shared cache and memory bus
 *
 * Every function runs `blocks` blocks, writes the wall time of each to ns[0..blocks-1], and returns nothing:
 * the caller takes the minimum, the median or the mean. The asm statements are volatile and carry the values, so the
 * compiler can neither fold a chain nor drop it; the counts below are the same on every machine, for ever:
 * a stored reference is compared with them.
 */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define X86 1
#elif defined(__aarch64__) || (defined(__arm__) && defined(__ARM_NEON))
#include <arm_neon.h>
#endif

/* Together 10 ms in seven blocks on a core of 5 GHz. */
#define CLOCK_STEPS 8000000
#define CLOCK_UNROLLED 200
#define THROUGHPUT_STEPS 600000
#define LANES 10
/* Larger than the L2 that a core of a phone, a board or a PC can reach (0.1 to 16 MiB). */
#define MEMORY_BYTES (32u << 20)

typedef void (*work)(void);

static void time_blocks(work run, int blocks, int64_t *ns) {
    for (int block = 0; block < blocks; block++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        run();
        clock_gettime(CLOCK_MONOTONIC, &to);
        ns[block] = (int64_t)(to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
    }
}

/* clock: an exclusive or with a register, again and again.
 *
 * Additions will not do: Intel's cores since Golden Cove fold small constants in at no cost, and some cores fuse an addition
 * with the operation after it. Shifts, rotations and multiplies take 1 to 5 cycles, by core. Unrolled so far that the loop's
 * own two instructions are lost even on a core that issues one instruction a cycle.
 */
#if defined(X86)
#define CLOCK_STEP "xor %1, %0\n\t"
#elif defined(__aarch64__) || defined(__arm__)
#define CLOCK_STEP "eor %0, %0, %1\n\t"
#elif defined(__riscv)
#define CLOCK_STEP "xor %0, %0, %1\n\t"
#endif
#define TEXT(x) #x
#define REPEAT(count, step) ".rept " TEXT(count) "\n\t" step ".endr"

static void clock_work(void) {
#if defined(CLOCK_STEP)
    unsigned long x = 3, key = 0x9e3779b9ul;
    for (int i = 0; i < CLOCK_STEPS / CLOCK_UNROLLED; i++) __asm__ volatile(REPEAT(CLOCK_UNROLLED, CLOCK_STEP) : "+r"(x) : "r"(key));
#else
    volatile uint32_t x = 3;
    for (int i = 0; i < CLOCK_STEPS / 4; i++) x = x * x + 1;
#endif
}

/* throughput: LANES independent chains, enough to fill two 4-cycle multiply-add units. */
#if defined(X86)
__attribute__((target("avx2,fma"))) static void throughput_fma(void) {
    __m256 lane[LANES], factor = _mm256_set1_ps(0.999f);
    for (int k = 0; k < LANES; k++) lane[k] = _mm256_set1_ps(1.0f + (float)k);
    for (int i = 0; i < THROUGHPUT_STEPS; i++)
#pragma GCC unroll 10
        for (int k = 0; k < LANES; k++) __asm__ volatile("vfmadd213ps %1, %1, %0" : "+x"(lane[k]) : "x"(factor));
}

__attribute__((target("sse2"))) static void throughput_sse(void) {
    __m128 lane[LANES], factor = _mm_set1_ps(0.999f);
    for (int k = 0; k < LANES; k++) lane[k] = _mm_set1_ps(1.0f + (float)k);
    for (int i = 0; i < THROUGHPUT_STEPS; i++)
#pragma GCC unroll 10
        for (int k = 0; k < LANES; k++) __asm__ volatile("mulps %1, %0" : "+x"(lane[k]) : "x"(factor));
}

static void throughput_work(void) {
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        throughput_fma();
    else
        throughput_sse();
}
#elif defined(__aarch64__)
static void throughput_work(void) {
    float32x4_t lane[LANES], factor = vdupq_n_f32(0.999f);
    for (int k = 0; k < LANES; k++) lane[k] = vdupq_n_f32(1.0f + (float)k);
    for (int i = 0; i < THROUGHPUT_STEPS; i++)
#pragma GCC unroll 10
        for (int k = 0; k < LANES; k++) __asm__ volatile("fmla %0.4s, %1.4s, %1.4s" : "+w"(lane[k]) : "w"(factor));
}
#elif defined(__arm__) && defined(__ARM_NEON)
static void throughput_work(void) {
    float32x4_t lane[LANES], factor = vdupq_n_f32(0.999f);
    for (int k = 0; k < LANES; k++) lane[k] = vdupq_n_f32(1.0f + (float)k);
    for (int i = 0; i < THROUGHPUT_STEPS; i++)
#pragma GCC unroll 10
        for (int k = 0; k < LANES; k++) __asm__ volatile("vmla.f32 %q0, %q1, %q1" : "+w"(lane[k]) : "w"(factor));
}
#else
static void throughput_work(void) {
    volatile float lane[LANES];
    for (int k = 0; k < LANES; k++) lane[k] = 1.0f + (float)k;
    for (int i = 0; i < THROUGHPUT_STEPS; i++)
        for (int k = 0; k < LANES; k++) lane[k] = lane[k] * 0.999f + 0.5f;
}
#endif

/* memory: one pass that reads every word. Four sums keep enough loads in flight; `kept` makes them matter. */
static uint64_t buffer[MEMORY_BYTES / sizeof(uint64_t)];
static volatile uint64_t kept;

static void memory_work(void) {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < MEMORY_BYTES / sizeof(uint64_t); i += 8) {
        a += buffer[i] ^ buffer[i + 4];
        b += buffer[i + 1] ^ buffer[i + 5];
        c += buffer[i + 2] ^ buffer[i + 6];
        d += buffer[i + 3] ^ buffer[i + 7];
    }
    kept = a + b + c + d;
}

/* Touches the whole buffer: untouched pages would all be the kernel's one zero page, which fits in L1. */
void edgebench_canary_prepare(void) {
    for (size_t i = 0; i < MEMORY_BYTES / sizeof(uint64_t); i++) buffer[i] = i * 2654435761u;
}

int64_t edgebench_canary_memory_bytes(void) { return MEMORY_BYTES; }

/* The cycles that one block of the clock takes; 0 where its chain was left to the compiler and nobody knows. */
int64_t edgebench_canary_clock_cycles(void) {
#if defined(CLOCK_STEP)
    return CLOCK_STEPS;
#else
    return 0;
#endif
}

void edgebench_canary_clock(int blocks, int64_t *ns) { time_blocks(clock_work, blocks, ns); }
void edgebench_canary_throughput(int blocks, int64_t *ns) { time_blocks(throughput_work, blocks, ns); }
void edgebench_canary_memory(int blocks, int64_t *ns) { time_blocks(memory_work, blocks, ns); }
