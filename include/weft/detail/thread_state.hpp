// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/control_block.hpp>
#include <weft/detail/exception_state.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weft::detail {

struct fiber_record;
struct stack_bounds;

/// What weft knows of a thread.
struct thread_state {
    // What every resume asks, so that it is one question: "does a fiber run here, or is an exception being handled?" A
    // fiber's record if one runs, the innermost; else `at_rest`. See busy().
    const std::byte* asked;
    const std::byte* at_rest;    // the thread's exceptions, see exceptions_of(); until the first resume: always busy
    const stack_bounds* context; // the stack of the running fiber_context, if one runs; lies on that stack
    std::uint64_t number;        // no other thread's, ever; 0 until it is asked for
    std::uintptr_t idle;         // the record of the fiber that is at hand, see take_idle_fiber(), or of idle_place
    std::uintptr_t idle_limit;   // inline code takes one that is above; others write it, see idle_limits
};

/// No fiber is at hand: there is room for one, or not even that. Numbers, as their comparison needs no register.
enum idle_place : std::uintptr_t { room_for_one = 0, not_in_use = 1 };
/// The limits of a thread: above not_in_use are records alone. Above the other there is nothing: the library is asked,
/// as the stacks that the thread keeps may no longer be of the default size.
enum idle_limits : std::uintptr_t { any_record = not_in_use, ask_library = ~std::uintptr_t{0} };

/// Where fiber_record has a pointer that is never null.
inline constexpr std::size_t never_zero_in_record = sizeof(control_block);

/// `at_rest` is so many bytes before the thread's exceptions that exception_state::any() reads at the same distance
/// from it as the pointer lies in a record: then busy() need not know which of the two it reads.
inline constexpr std::size_t exceptions_from_rest = exception_state::is_one_word ? never_zero_in_record - 1 : 0;

inline const std::byte* rest_of(const exception_state& exceptions) noexcept {
    return reinterpret_cast<const std::byte*>(reinterpret_cast<std::uintptr_t>(&exceptions) - exceptions_from_rest);
}
inline exception_state& exceptions_of(const thread_state& thread) noexcept {
    return *reinterpret_cast<exception_state*>(reinterpret_cast<std::uintptr_t>(thread.at_rest) + exceptions_from_rest);
}

/// The innermost running fiber, if one runs.
inline fiber_record* running_fiber(const thread_state& thread) noexcept {
    if (thread.asked == thread.at_rest) return nullptr;
    return reinterpret_cast<fiber_record*>(const_cast<std::byte*>(thread.asked));
}
/// From now on it is `fiber`, or none.
inline void set_running_fiber(thread_state& thread, fiber_record* fiber) noexcept {
    thread.asked = fiber ? reinterpret_cast<const std::byte*>(fiber) : thread.at_rest;
}

} // namespace weft::detail

extern "C" WEFT_EXPORT weft::detail::thread_state* WEFT_THIS_THREAD() noexcept;

// How this code reaches the state of the running thread:
//
//   local-exec     code of a program that has the state in itself (the build defines WEFT_STATIC): the linker knows the
//                  distance to the thread pointer.
//   initial-exec   code of a program that has it in libweft.so: the loader puts the distance into a word.
//   function       code that may become part of a shared object (-fPIC), which may be loaded when the storage that the
//                  first two need is used up: WEFT_THIS_THREAD() asks a TLS descriptor. Also wherever the linker or the
//                  system knows no such storage, and where a program says WEFT_THREAD_STATE_FUNCTION=1: on AArch64 local-exec
//                  ends at 16 MiB of thread-local variables, as it does in compilers without -mtls-size=32, which such a
//                  program needs for its own and for the library's variables, too.
#if !defined(WEFT_THREAD_STATE_FUNCTION)
#    if WEFT_THREAD_STATE_ELF && (defined(__PIE__) || !defined(__PIC__))
#        define WEFT_THREAD_STATE_FUNCTION 0
#    else
#        define WEFT_THREAD_STATE_FUNCTION 1
#    endif
#endif
#if !WEFT_THREAD_STATE_FUNCTION && defined(WEFT_STATIC)
#    define WEFT_THREAD_STATE_LOCAL 1
#else
#    define WEFT_THREAD_STATE_LOCAL 0
#endif

#define WEFT_QUOTE_TOKEN(token) #token
#define WEFT_QUOTE(macro) WEFT_QUOTE_TOKEN(macro)

namespace weft::detail {

/// The state of the thread that runs this very statement. Compilers take the address of a thread_local for constant
/// within a function; but after a switch the thread may be another one, so here it is asked for each time. Inline it is
/// what a compiler emits for the initial-exec model of ELF, which linkers replace by local-exec where they can.
WEFT_ALWAYS_INLINE thread_state& this_thread() noexcept {
#if WEFT_THREAD_STATE_FUNCTION
    return *WEFT_THIS_THREAD();
#elif defined(__x86_64__)
    thread_state* state;
    asm volatile("mov{q  %%fs:0, %0|  %0, QWORD PTR fs:0}\n\t"
                 "add{q  " WEFT_QUOTE(WEFT_THREAD_STATE) "@gottpoff(%%rip), %0"
                 "|  %0, QWORD PTR " WEFT_QUOTE(WEFT_THREAD_STATE) "@gottpoff[rip]}"
                 : "=r"(state)
                 :
                 : "cc");
    return *state;
#else
    thread_state* state;
    std::ptrdiff_t distance;
    asm volatile("mrs   %0, tpidr_el0\n\t"
                 "adrp  %1, :gottprel:" WEFT_QUOTE(WEFT_THREAD_STATE) "\n\t"
                 "ldr   %1, [%1, :gottprel_lo12:" WEFT_QUOTE(WEFT_THREAD_STATE) "]\n\t"
                 "add   %0, %0, %1"
                 : "=&r"(state), "=&r"(distance));
    return *state;
#endif
}

/// The two of the running thread's pointers that a plain resume uses, by as few instructions as can be.
class thread_pointers {
public:
#if WEFT_THREAD_STATE_LOCAL && defined(__x86_64__)
    // The clobbered memory is the state: other code accesses it by its address.
    WEFT_ALWAYS_INLINE const std::byte* asked() const noexcept { return load<offsetof(thread_state, asked)>(); }
    WEFT_ALWAYS_INLINE const std::byte* at_rest() const noexcept { return load<offsetof(thread_state, at_rest)>(); }
    WEFT_ALWAYS_INLINE void set_asked(const void* to) const noexcept {
        asm volatile("mov{q  %0, %%fs:" WEFT_QUOTE(WEFT_THREAD_STATE) "@tpoff+%c1"
                     "|  QWORD PTR fs:" WEFT_QUOTE(WEFT_THREAD_STATE) "@tpoff+%c1, %0}"
                     :
                     : "r"(to), "i"(offsetof(thread_state, asked))
                     : "memory");
    }

private:
    template <std::size_t Offset>
    WEFT_ALWAYS_INLINE const std::byte* load() const noexcept {
        const std::byte* p;
        asm volatile("mov{q  %%fs:" WEFT_QUOTE(WEFT_THREAD_STATE) "@tpoff+%c1, %0"
                     "|  %0, QWORD PTR fs:" WEFT_QUOTE(WEFT_THREAD_STATE) "@tpoff+%c1}"
                     : "=r"(p)
                     : "i"(Offset)
                     : "memory");
        return p;
    }
#else
#    if !WEFT_THREAD_STATE_LOCAL
    WEFT_ALWAYS_INLINE thread_pointers() noexcept : state_{&this_thread()} {}
#    else
    // The lowest 12 bits of the distance are added here, not where a member is accessed: there, at an offset of its own,
    // a member's lowest 12 bits may carry where the state's do not; and not every linker knows them in a load or store.
    WEFT_ALWAYS_INLINE thread_pointers() noexcept {
        asm volatile("mrs   %0, tpidr_el0\n\t"
                     "add   %0, %0, #:tprel_hi12:" WEFT_QUOTE(WEFT_THREAD_STATE) ", lsl #12\n\t"
                     "add   %0, %0, #:tprel_lo12_nc:" WEFT_QUOTE(WEFT_THREAD_STATE)
                     : "=r"(state_));
    }
#    endif
#    if !defined(__aarch64__)
    WEFT_ALWAYS_INLINE const std::byte* asked() const noexcept { return state_->asked; }
    WEFT_ALWAYS_INLINE const std::byte* at_rest() const noexcept { return state_->at_rest; }
    WEFT_ALWAYS_INLINE void set_asked(const void* to) const noexcept { state_->asked = static_cast<const std::byte*>(to); }

private:
#    else
    // What these are in C++, too: but there GCC 12 takes x19, the one register that a switch leaves to its resumer, for the
    // record, which x0 has anyway, and the state goes to the stack.
    WEFT_ALWAYS_INLINE const std::byte* asked() const noexcept { return load<offsetof(thread_state, asked)>(); }
    WEFT_ALWAYS_INLINE const std::byte* at_rest() const noexcept { return load<offsetof(thread_state, at_rest)>(); }
    WEFT_ALWAYS_INLINE void set_asked(const void* to) const noexcept {
        asm volatile("str   %0, [%1, %c2]" : : "r"(to), "r"(state_), "i"(offsetof(thread_state, asked)) : "memory");
    }

private:
    template <std::size_t Offset>
    WEFT_ALWAYS_INLINE const std::byte* load() const noexcept {
        const std::byte* p;
        asm volatile("ldr   %0, [%1, %c2]" : "=r"(p) : "r"(state_), "i"(Offset) : "memory");
        return p;
    }

#    endif
    thread_state* state_;
#endif
};

/// Does a fiber run on the thread whose pointers are `asked` and `at_rest`, or is it handling an exception?
WEFT_ALWAYS_INLINE bool busy(const std::byte* asked, [[maybe_unused]] const thread_pointers& of) noexcept {
    if constexpr (exception_state::is_one_word) {
        std::uint64_t word;
        std::memcpy(&word, asked + never_zero_in_record, sizeof word);
        return word != 0;
    } else {
        const auto exceptions = reinterpret_cast<std::uintptr_t>(of.at_rest()) + exceptions_from_rest;
        return asked != of.at_rest() || reinterpret_cast<const exception_state*>(exceptions)->any();
    }
}

/// The pointers of the running thread, which were `before` when no fiber ran it, and are so again. Which is cheaper, to
/// ask anew or to fetch the address from the stack (whose own address has just come out of memory)?
WEFT_ALWAYS_INLINE thread_pointers still_this_thread([[maybe_unused]] const thread_pointers& before) noexcept {
#if defined(__x86_64__) && !WEFT_THREAD_STATE_FUNCTION
    return {};
#else
    return before;
#endif
}

} // namespace weft::detail

#undef WEFT_QUOTE
#undef WEFT_QUOTE_TOKEN
