// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cfenv>
#include <cstdint>

namespace weft::detail {

/// The control words of floating point of one flow of control.
struct fp_state {
#if defined(__x86_64__)
    std::uint32_t mxcsr;
    std::uint16_t x87_control;

    static fp_state read() noexcept {
        fp_state now;
        asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(now.mxcsr), "=m"(now.x87_control));
        return now;
    }
    void write() const noexcept { asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87_control)); }
#elif defined(__aarch64__)
    std::uint64_t fpcr;

    static fp_state read() noexcept {
        fp_state now;
        asm volatile("mrs %0, fpcr" : "=r"(now.fpcr));
        return now;
    }
    void write() const noexcept { asm volatile("msr fpcr, %0" : : "r"(fpcr)); }
#else
    std::fenv_t environment;

    static fp_state read() noexcept {
        fp_state now;
        std::fegetenv(&now.environment);
        return now;
    }
    void write() const noexcept { std::fesetenv(&environment); }
#endif
};

} // namespace weft::detail
