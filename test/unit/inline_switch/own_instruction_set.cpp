// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A function may have more registers than the file it stands in: by an attribute, by a pragma, as one of several
// clones. What lives in them must survive the switch like anything else. Each computation here runs in such a function,
// with a switch in its middle and without, on both sides of each way to switch; meanwhile the other side fills all of
// these registers with something else. Where the processor has no such registers, the test is skipped.

#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <cstring>

#if defined(__x86_64__)
#    define OWN_SET target("avx512f,avx512bw,avx512dq,avx512vl")
#else
#    include <sys/auxv.h>
#    define OWN_SET target("+sve")
#endif
#define IN_OWN_SET __attribute__((noinline, OWN_SET))

#define EIGHT(X, FROM) X(FROM##0) X(FROM##1) X(FROM##2) X(FROM##3) X(FROM##4) X(FROM##5) X(FROM##6) X(FROM##7)

namespace {

#if defined(__x86_64__)

bool processor_has_it() { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"); }

/// Every register that AVX-512 adds gets other bits.
IN_OWN_SET void fill() {
#    define ONES(N) "vpternlogd $0xff, %%zmm" #N ", %%zmm" #N ", %%zmm" #N "\n\t"
#    define ONE(N) "kxnorq %%k" #N ", %%k" #N ", %%k" #N "\n\t"
    asm volatile(ONES(16) ONES(17) ONES(18) ONES(19) ONES(20) ONES(21) ONES(22) ONES(23) ONES(24) ONES(25) ONES(26)
                     ONES(27) ONES(28) ONES(29) ONES(30) ONES(31) EIGHT(ONE, )
                 :
                 :
                 : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
                   "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7");
}

/// 32 vectors, more than there are other registers for, and 8 masks, born before the switch and used after it.
template <class Switch>
IN_OWN_SET std::uint64_t vectors(std::uint64_t seed) {
    using vector = std::uint64_t __attribute__((vector_size(64)));
#    define VECTOR(N)                                                                                                  \
        vector v##N;                                                                                                   \
        asm volatile("vpbroadcastq %1, %0" : "=v"(v##N) : "r"(seed * (0x9e3779b97f4a7c15u + 2 * 0##N)));
#    define MASK(N)                                                                                                    \
        std::uint64_t k##N;                                                                                            \
        asm volatile("kmovq %1, %0" : "=k"(k##N) : "r"(seed * (0xd1342543de82ef95u + 2 * N)));
#    define ADD(N) sum = (sum << 5 | sum >> 59) ^ v##N;
#    define ADD_MASK(N) result = (result << 5 | result >> 59) ^ k##N;
    EIGHT(VECTOR, 0) EIGHT(VECTOR, 1) EIGHT(VECTOR, 2) EIGHT(VECTOR, 3) EIGHT(MASK, )
    Switch::run();
    vector sum{};
    std::uint64_t result = 0;
    EIGHT(ADD_MASK, ) EIGHT(ADD, 0) EIGHT(ADD, 1) EIGHT(ADD, 2) EIGHT(ADD, 3)
    for (unsigned lane = 0; lane < 8; ++lane) result = result * 31 + sum[lane];
    return result;
}

/// Scalars: 24 of each kind, which the compiler may keep in xmm16 to xmm31.
template <class Switch>
IN_OWN_SET std::uint64_t scalars(std::uint64_t seed) {
#    define DOUBLE(N) double d##N = double(seed % 1000 + 0##N) / 7;
#    define FLOAT(N) float f##N = float(seed % 100 + 0##N) / 3;
#    define DOUBLE_IN_REGISTER(N) asm volatile("" : "+v"(d##N));
#    define FLOAT_IN_REGISTER(N) asm volatile("" : "+v"(f##N));
#    define ADD_SCALARS(N) sum = sum * 1.25 + d##N * double(f##N);
    EIGHT(DOUBLE, 0) EIGHT(DOUBLE, 1) EIGHT(DOUBLE, 2) EIGHT(FLOAT, 0) EIGHT(FLOAT, 1) EIGHT(FLOAT, 2)
    EIGHT(DOUBLE_IN_REGISTER, 0) EIGHT(DOUBLE_IN_REGISTER, 1) EIGHT(DOUBLE_IN_REGISTER, 2)
    EIGHT(FLOAT_IN_REGISTER, 0) EIGHT(FLOAT_IN_REGISTER, 1) EIGHT(FLOAT_IN_REGISTER, 2)
    Switch::run();
    double sum = 0;
    EIGHT(ADD_SCALARS, 0) EIGHT(ADD_SCALARS, 1) EIGHT(ADD_SCALARS, 2)
    std::uint64_t bits = 0;
    std::memcpy(&bits, &sum, sizeof bits);
    return bits;
}

#else

bool processor_has_it() { return getauxval(AT_HWCAP) & HWCAP_SVE; }

/// Every register of SVE gets other bits, the first-fault register too.
IN_OWN_SET void fill() {
#    define ONES(N) "mov z" #N ".b, #-1\n\t"
#    define ONE(N) "ptrue p" #N ".b\n\t"
    asm volatile(EIGHT(ONES, ) ONES(8) ONES(9) ONES(10) ONES(11) ONES(12) ONES(13) ONES(14) ONES(15) ONES(16) ONES(17)
                     ONES(18) ONES(19) ONES(20) ONES(21) ONES(22) ONES(23) ONES(24) ONES(25) ONES(26) ONES(27) ONES(28)
                         ONES(29) ONES(30) ONES(31) EIGHT(ONE, ) ONE(8) ONE(9) ONE(10) ONE(11) ONE(12) ONE(13) ONE(14)
                             ONE(15) "setffr"
                 :
                 :
                 : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                   "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                   "v30", "v31", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14",
                   "p15");
}

/// 16 predicates and 32 vectors, each the whole of its register, born before the switch and used after it. By assembly,
/// as headers with intrinsics may want SVE for the whole file.
template <class Switch>
IN_OWN_SET std::uint64_t vectors(std::uint64_t seed) {
#    define VECTOR(N)                                                                                                  \
        __SVUint64_t v##N;                                                                                             \
        asm volatile("dup %0.d, %1" : "=w"(v##N) : "r"(seed * (0x9e3779b97f4a7c15u + 2 * 0##N)));
#    define PREDICATE(N)                                                                                               \
        __SVBool_t p##N;                                                                                               \
        asm volatile("whilelo %0.b, xzr, %1" : "=Upa"(p##N) : "r"((seed + 0##N) % 16) : "cc");
#    define ADD(N)                                                                                                     \
        asm volatile("uaddv %d0, %2, %1.d" : "=w"(lanes) : "w"(v##N), "Upl"(all));                                     \
        sum = (sum << 5 | sum >> 59) ^ lanes;
#    define ADD_PREDICATE(N)                                                                                           \
        asm volatile("cntp %0, %1, %1.b" : "=r"(lanes) : "Upa"(p##N));                                                 \
        sum = sum * 31 + lanes;
    EIGHT(VECTOR, 0) EIGHT(VECTOR, 1) EIGHT(VECTOR, 2) EIGHT(VECTOR, 3) EIGHT(PREDICATE, 0) EIGHT(PREDICATE, 1)
    Switch::run();
    std::uint64_t sum = 0, lanes = 0;
    EIGHT(ADD_PREDICATE, 0) EIGHT(ADD_PREDICATE, 1)
    __SVBool_t all;
    asm volatile("ptrue %0.d" : "=Upl"(all));
    EIGHT(ADD, 0) EIGHT(ADD, 1) EIGHT(ADD, 2) EIGHT(ADD, 3)
    return sum;
}

#endif

// A loop that is vectorized with what the function has.
template <class Switch>
IN_OWN_SET std::uint64_t loop(std::uint64_t seed) {
    std::uint32_t a[80], b[80], sum = 0;
    for (unsigned k = 0; k < 80; ++k) a[k] = static_cast<std::uint32_t>(seed * (k + 1)), b[k] = a[k] >> 3;
    const std::uint32_t limit = a[7];
    for (unsigned round = 0; round < 4; ++round) {
        for (unsigned k = 0; k < 80; ++k)
            if (a[k] < limit) b[k] += a[k] * round;
        Switch::run();
        for (unsigned k = 0; k < 80; ++k)
            if (a[k] < limit) sum += b[k] ^ a[k];
    }
    return sum;
}

struct nothing {
    static void run() {}
};

template <class Switch>
std::uint64_t computed(std::uint64_t seed) {
#if defined(__x86_64__)
    return vectors<Switch>(seed) * 31 + scalars<Switch>(seed) + 7 * loop<Switch>(seed);
#else
    return vectors<Switch>(seed) * 31 + loop<Switch>(seed);
#endif
}

int failures = 0;
int comparisons = 0;

template <class Switch>
void compare(const char* where) {
    for (std::uint64_t seed = 1; seed < 200; seed += 11) {
        ++comparisons;
        if (computed<Switch>(seed) == computed<nothing>(seed)) continue;
        std::fprintf(stderr, "%s, seed %llu: a value changed across the switch\n", where,
                     static_cast<unsigned long long>(seed));
        ++failures;
    }
}

// ------------------------------------------------------------------------------------------------- the ways to switch

// The fiber fills, the function resumes; then the other way round.
weft::fiber* other;
struct resume {
    static void run() { other->resume(); }
};
struct suspend {
    static void run() { weft::this_fiber::suspend(); }
};
weft::fiber_ref* self_of_fiber;
struct suspend_by_reference {
    static void run() { self_of_fiber->suspend(); }
};

// Through functions that are inlined into the one with the instruction set.
struct resume_below {
    __attribute__((always_inline)) static void third() { other->resume(); }
    __attribute__((always_inline)) static void second() { third(), third(); }
    static void run() { second(); }
};

weft::generator<int>::iterator* element;
struct next_element {
    static void run() { ++*element; }
};
weft::yielder<int>* yielder;
struct yield {
    static void run() { yielder->yield(1); }
};

struct awaiter {
    static bool await_ready() noexcept { return false; }
    static bool await_suspend(std::coroutine_handle<>) noexcept { return fill(), false; }
    static void await_resume() noexcept {}
};
struct await_ambient {
    static void run() { weft::await(awaiter{}); }
};
using co_type = weft::coroutine_ref<weft::detail::task_promise<void>>;
co_type* co_of_body;
struct await_by_co {
    static void run() { co_of_body->await(awaiter{}); }
};

void resumer_side() {
    weft::fiber f{[](weft::fiber_ref self) {
        for (;;) fill(), self.suspend();
    }};
    other = &f;
    compare<resume>("resume()");
    compare<resume_below>("resume(), inlined three times");

    weft::generator<int> g{[](weft::yielder<int>& out) {
        for (;;) fill(), out.yield(1);
    }};
    auto it = g.begin();
    element = &it;
    compare<next_element>("++ of a generator's iterator");
}

void fiber_side() {
    weft::fiber f{[](weft::fiber_ref self) {
        self_of_fiber = &self;
        compare<suspend>("this_fiber::suspend()");
        compare<suspend_by_reference>("suspend()");
        self_of_fiber = nullptr;
    }};
    while (!f.done()) f.resume(), fill();

    for ([[maybe_unused]] const int v : weft::generator<int>{[](weft::yielder<int>& out) {
             yielder = &out;
             compare<yield>("yield()");
             yielder = nullptr;
         }})
        fill();

    weft::sync_wait(weft::stackful<weft::task<void>>([](co_type& co) {
        co_of_body = &co;
        compare<await_ambient>("weft::await()");
        compare<await_by_co>("co.await()");
        co_of_body = nullptr;
    }));
}

#if WEFT_SWITCH_NATIVE
// The switch of a fiber that ends, which is continued with another body.
alignas(64) std::byte memory[256 * 1024];
weft::detail::control_block block;
struct end {
    static void run() { weft::detail::switch_to_resumer_for_good(block); }
};
void end_of_fiber() {
    static bool ended;
    weft::detail::make_control_block(
        block, memory + sizeof memory, sizeof memory,
        [](void*) {
            compare<end>("the end of a body");
            ended = true;
            for (;;) weft::detail::switch_to_resumer(block);
        },
        nullptr);
    for (weft::detail::switch_to_fiber(block); !ended; weft::detail::switch_to_fiber(block)) {
        fill();
        weft::detail::let_resume(block);
    }
}
#else
void end_of_fiber() {}
#endif

// ----------------------------------------------------------------------------------- other ways to an instruction set

#if defined(__x86_64__) && defined(__GLIBC__)
// A loop in several clones, of which the processor takes the best.
__attribute__((target_clones("avx512f", "avx2", "default"))) std::uint32_t clones(weft::fiber* f, std::uint32_t seed) {
    std::uint32_t a[80], b[80], sum = 0;
    for (unsigned k = 0; k < 80; ++k) a[k] = seed * (k + 1), b[k] = a[k] >> 3;
    for (unsigned round = 0; round < 8; ++round) {
        for (unsigned k = 0; k < 80; ++k)
            if (a[k] > seed) sum += b[k] += a[k] * round;
        if (f) f->resume();
    }
    return sum;
}
void in_clones() {
    weft::fiber f{[](weft::fiber_ref self) {
        for (;;) fill(), self.suspend();
    }};
    for (std::uint32_t seed = 1; seed < 100; ++seed) {
        ++comparisons;
        if (clones(&f, seed) == clones(nullptr, seed)) continue;
        std::fprintf(stderr, "in a clone, seed %u: a value changed across the switch\n", seed);
        ++failures;
    }
}
#else
void in_clones() {}
#endif

#if defined(__x86_64__) && !defined(__clang__)
#    pragma GCC push_options
#    pragma GCC target("avx512f,avx512bw,avx512dq")
#    define MORE __attribute__((noinline))
#else
#    define MORE IN_OWN_SET
#endif
// In a region of the file with another instruction set, and in a lambda there.
template <class Switch>
MORE std::uint64_t in_region(std::uint64_t seed) {
    std::uint64_t a[16], sum = 0;
    for (unsigned k = 0; k < 16; ++k) a[k] = seed * (k + 3);
    const auto round = [&](std::uint64_t factor) MORE {
        for (unsigned k = 0; k < 16; ++k)
            if (a[k] % 3 != 0) sum += a[k] *= factor;
        Switch::run();
        for (unsigned k = 0; k < 16; ++k)
            if (a[k] % 3 != 0) sum ^= a[k];
    };
    round(5), round(7);
    return sum;
}
#if defined(__x86_64__) && !defined(__clang__)
#    pragma GCC pop_options
#endif

void in_regions() {
    weft::fiber f{[](weft::fiber_ref self) {
        for (;;) fill(), self.suspend();
    }};
    other = &f;
    for (std::uint64_t seed = 1; seed < 100; ++seed) {
        ++comparisons;
        if (in_region<resume>(seed) == in_region<nothing>(seed)) continue;
        std::fprintf(stderr, "in a region, seed %llu: a value changed across the switch\n",
                     static_cast<unsigned long long>(seed));
        ++failures;
    }
}

} // namespace

int main() {
    if (!processor_has_it()) {
        std::puts("skipped: this processor has no such registers");
        return 77;
    }
    resumer_side();
    fiber_side();
    end_of_fiber();
    in_clones();
    in_regions();
    std::printf("%d comparisons, %d values changed\n", comparisons, failures);
    return failures != 0;
}
