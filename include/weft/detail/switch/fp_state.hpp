// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>

#include <cfenv>
#include <cstdint>

namespace weft::detail {

/// Does the switch keep them with each stack already? Boost.Context's does on these processors.
#if !WEFT_SWITCH_NATIVE && (defined(__x86_64__) || defined(__i386__))
inline constexpr bool switch_keeps_fp = true;
#else
inline constexpr bool switch_keeps_fp = false;
#endif

/// The control words of floating point of one flow of control.
struct fp_state {
#if defined(__x86_64__)
    std::uint32_t mxcsr;
    std::uint16_t x87_control;

    static fp_state read() noexcept {
        std::uint32_t sse; // two variables: read as one word, what two stores have written would have to reach the cache first
        std::uint16_t x87;
        asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
        return {sse, x87};
    }
    void write() const noexcept { asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87_control)); }
    bool operator==(const fp_state&) const noexcept = default;
#elif defined(__aarch64__)
    std::uint64_t fpcr;

    static fp_state read() noexcept {
        fp_state now;
        asm volatile("mrs %0, fpcr" : "=r"(now.fpcr));
        return now;
    }
    void write() const noexcept { asm volatile("msr fpcr, %0" : : "r"(fpcr)); }
    bool operator==(const fp_state&) const noexcept = default;
#else
    std::fenv_t environment;

    static fp_state read() noexcept {
        fp_state now;
        std::fegetenv(&now.environment);
        return now;
    }
    void write() const noexcept { std::fesetenv(&environment); }
    bool operator==(const fp_state&) const noexcept { return false; } // it is not known what it is made of
#endif

    /// Goes over to `next`, and says what was before. Writing is what is slow: it waits for all that calculates.
    static fp_state exchange(const fp_state& next) noexcept {
        const fp_state before = read();
        if (next != before) next.write();
        return before;
    }
};

} // namespace weft::detail
