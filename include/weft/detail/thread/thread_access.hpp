// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/thread/thread_state.hpp>

#include <cstddef>

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
