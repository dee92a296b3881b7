// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/exception_state.hpp>
#include <weft/detail/throw_or_die.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>

#if defined(_LIBCPPABI_VERSION)
#    include <unwind.h>
#endif
#if WEFT_ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#if WEFT_HWASAN
#    include <sanitizer/hwasan_interface.h>
#endif
#if WEFT_MSAN
#    include <sanitizer/msan_interface.h>
#endif
#if WEFT_TSAN
#    include <sanitizer/tsan_interface.h>
#endif
#if WEFT_VALGRIND
#    include <valgrind/memcheck.h>
#    include <valgrind/valgrind.h>
#endif

// What AddressSanitizer, ThreadSanitizer and Valgrind must be told when control changes stacks. Every switch is
//     departure d;  d.to_...(...);  switch_to_...(block);  d.back_in_...(...);
// Without a sanitizer all of it is empty; the data below are there in every build, so that the layout never differs.

namespace weft::detail {

struct stack_bounds {
    const void* lowest;
    std::size_t size;
};

/// `size` bytes from `lowest` become a stack. Frames that were left there and never returned (of an abandoned context,
/// or of one that was unmapped since) have poisoned AddressSanitizer's shadow of them, and HWAddressSanitizer still
/// tags them. To Valgrind what lies below a stack pointer that has been is nobody's.
WEFT_TAGGED inline void begin_stack([[maybe_unused]] const void* lowest, [[maybe_unused]] std::size_t size) noexcept {
#if WEFT_ASAN
    ASAN_UNPOISON_MEMORY_REGION(lowest, size);
#endif
#if WEFT_HWASAN
    if (reinterpret_cast<std::uintptr_t>(lowest) >> 56 != 0) // its heap's addresses have tags, a stack pointer has none
        fatal("weft: HWAddressSanitizer has tagged this stack: let the stack allocator take memory from mmap, not from malloc");
    const auto from = (reinterpret_cast<std::uintptr_t>(lowest) + 15) & ~std::uintptr_t{15}; // a tag is of 16 bytes
    const auto to = (reinterpret_cast<std::uintptr_t>(lowest) + size) & ~std::uintptr_t{15};
    __hwasan_tag_memory(reinterpret_cast<const void*>(from), 0, to - from);
#endif
#if WEFT_VALGRIND
    VALGRIND_MAKE_MEM_UNDEFINED(lowest, size);
#endif
}

/// What assembly has written MemorySanitizer takes for uninitialized.
WEFT_TAGGED inline void written_by_assembly([[maybe_unused]] const void* first, [[maybe_unused]] std::size_t size) noexcept {
#if WEFT_MSAN
    __msan_unpoison(first, size);
#endif
}

/// As std::current_exception, which is null for what is no C++ exception, and whose result MemorySanitizer takes for
/// uninitialized where the C++ runtime, as usual, is not instrumented.
WEFT_TAGGED inline std::exception_ptr exception_in_hand() noexcept {
    std::exception_ptr e = std::current_exception();
#if WEFT_MSAN
    __msan_unpoison(&e, sizeof e);
#endif
    return e;
}

#if WEFT_EXCEPTIONS
/// `throw;` of what is no C++ exception. Afterwards the thread handles none.
[[noreturn]] inline void throw_foreign_again() {
    struct uncounted { // libstdc++ counts what is thrown again, but does not when that is caught
        unsigned int before = thread_exceptions().uncaught;
        ~uncounted() { thread_exceptions().uncaught = before; }
    } const afterwards;
#    if defined(_LIBCPPABI_VERSION) && defined(__LP64__)
    // LLVM's runtime would raise the end of a thread like an exception, which nobody catches, instead of going on with it.
    constexpr std::size_t header = 96; // of __cxa_exception, up to its unwindHeader
    void* const caught = std::exchange(thread_exceptions().caught, nullptr);
    _Unwind_Resume_or_Rethrow(reinterpret_cast<_Unwind_Exception*>(static_cast<std::byte*>(caught) + header));
    std::terminate(); // nobody catches it
#    else
    throw;
#    endif
}

/// exception_in_hand() in a coroutine's unhandled_exception(). What is no C++ exception cannot be held, neither that of another
/// language nor the end of the thread (pthread_exit, pthread_cancel): it goes on to whoever has resumed the coroutine.
inline std::exception_ptr unhandled_in_hand() {
    if (std::exception_ptr e = exception_in_hand()) return e;
    throw_foreign_again();
}
#else
inline std::exception_ptr unhandled_in_hand() noexcept {
    return nullptr;
}
#endif

/// What the sanitizers know of one fiber. Not initialized as a whole: the stores would be a tenth of making a fiber.
struct WEFT_TAGGED sanitizer_fiber {
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
#if WEFT_VALGRIND
        valgrind_stack = VALGRIND_STACK_REGISTER(lowest, static_cast<const char*>(lowest) + size);
#endif
    }

    /// The stack is about to be given back, and whoever gets it need not be a fiber.
    void destroy() noexcept {
        begin_stack(own.lowest, own.size);
#if WEFT_TSAN
        __tsan_destroy_fiber(thread_sanitizer);
#endif
#if WEFT_VALGRIND
        VALGRIND_STACK_DEREGISTER(valgrind_stack);
#endif
    }
};

/// Is anybody told of a switch before it happens? Then it must be certain that it will.
inline constexpr bool switches_are_told = WEFT_ASAN || WEFT_TSAN;

/// One departure from a stack, kept there until control comes back.
///
/// Always inlined: ThreadSanitizer counts the entry and the exit of every function, and between those of one of these
/// it would be told to count for another fiber.
class departure {
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
