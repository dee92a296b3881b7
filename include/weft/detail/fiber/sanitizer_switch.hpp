// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/base/stack_bounds.hpp>

#include <cstddef>

#if WEFT_ASAN
#    include <sanitizer/common_interface_defs.h>
#endif
#if WEFT_TSAN
#    include <sanitizer/tsan_interface.h>
#endif
#if WEFT_TELLS_VALGRIND
#    include <valgrind/valgrind.h>
#endif

// What AddressSanitizer, ThreadSanitizer and Valgrind must be told when control changes stacks. Every switch is
//     sanitizer_switch d;  d.to_...(...);  switch_to_...(block);  d.back_in_...(...);
// Without a sanitizer all of it is empty; the data below are there in every build, so that the layout never differs.

namespace weft::detail {

/// What the sanitizers know of one fiber. Not initialized as a whole: the stores would be a tenth of making a fiber.
struct WEFT_ABI_TAG sanitizer_fiber {
    stack_bounds own;     // its stack; set by create()
    stack_bounds resumer; // the stack it will be suspended to; set by every resume
    void* thread_sanitizer;
    void* resumer_thread_sanitizer;
    unsigned valgrind_stack;

    void create(const void* lowest, std::size_t size) noexcept {
        own = {lowest, size};
#if WEFT_TSAN
        thread_sanitizer = __tsan_create_fiber(0);
#endif
#if WEFT_TELLS_VALGRIND
        valgrind_stack = VALGRIND_STACK_REGISTER(lowest, static_cast<const char*>(lowest) + size);
#endif
    }

    /// The stack is about to be given back, and what it is used for next need not be a fiber.
    void destroy() noexcept {
        begin_stack(own.lowest, own.size);
#if WEFT_TSAN
        __tsan_destroy_fiber(thread_sanitizer);
#endif
#if WEFT_TELLS_VALGRIND
        VALGRIND_STACK_DEREGISTER(valgrind_stack);
#endif
    }
};

/// Is anybody told of a switch before it happens? Then it must be certain that it will.
inline constexpr bool annotates_switches = WEFT_ASAN || WEFT_TSAN;

/// The annotations of one switch, which lie on the stack that it leaves until control comes back.
///
/// Always inlined: ThreadSanitizer counts the entry and the exit of every function, and between those of one of these
/// it would be told to count for another fiber.
class sanitizer_switch {
public:
    /// Just before a resume of `fiber`, which continues on the stack of `innermost`.
    WEFT_ALWAYS_INLINE void to_fiber([[maybe_unused]] sanitizer_fiber& fiber,
                                     [[maybe_unused]] sanitizer_fiber& innermost) noexcept {
#if WEFT_ASAN
        __sanitizer_start_switch_fiber(&fake_stack_, innermost.own.lowest, innermost.own.size);
#endif
#if WEFT_TSAN
        fiber.resumer_thread_sanitizer = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(innermost.thread_sanitizer, 0);
#endif
    }

    /// Just before `fiber` suspends to its resumer; `last`: its stack will not run again.
    WEFT_ALWAYS_INLINE void to_resumer([[maybe_unused]] sanitizer_fiber& fiber, [[maybe_unused]] bool last) noexcept {
#if WEFT_ASAN
        __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, fiber.resumer.lowest, fiber.resumer.size);
#endif
#if WEFT_TSAN
        __tsan_switch_to_fiber(fiber.resumer_thread_sanitizer, 0);
#endif
    }

    /// Control is back in the resumer.
    WEFT_ALWAYS_INLINE void back_in_resumer() noexcept {
#if WEFT_ASAN
        __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
    }

    /// Control is (back) in `fiber`, on whatever stack it was left on.
    WEFT_ALWAYS_INLINE void back_in_fiber([[maybe_unused]] sanitizer_fiber& fiber) noexcept {
#if WEFT_ASAN
        __sanitizer_finish_switch_fiber(fake_stack_, &fiber.resumer.lowest, &fiber.resumer.size);
#endif
    }

private:
#if WEFT_ASAN
    void* fake_stack_ = nullptr;
#endif
};

} // namespace weft::detail
