// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/base/config.hpp>

#include <benchmark/benchmark.h>

#include <sched.h>

#include <string>

namespace {

/// One processor for the whole run: the one that the scheduler has just found free. Returns its number, or -1.
int pin() {
    const int cpu = sched_getcpu();
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<unsigned>(cpu), &only);
    return sched_setaffinity(0, sizeof only, &only) == 0 ? cpu : -1;
}

#if defined(__clang__)
constexpr char compiler[] = "Clang " __clang_version__;
#else
constexpr char compiler[] = "GCC " __VERSION__;
#endif

} // namespace

int main(int argc, char** argv) {
    benchmark::AddCustomContext("compiler", compiler);
    benchmark::AddCustomContext("pinned_to", std::to_string(pin()));
    benchmark::AddCustomContext("switch", WEFT_SWITCH_NATIVE ? "native" : "fcontext");
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
}
