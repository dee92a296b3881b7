// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/sanitizer.hpp>

#include <cstddef>

/// \file
/// The out-of-line context switch, with the contract of Boost.Context's fcontext:
///
///     void work(weft::transfer t) {                        // on its own stack
///         for (;;) t = weft::jump_context(t.from, t.data); // echoes what it is sent
///     }
///     weft::context c = weft::make_context(stack_top, stack_size, work);
///     weft::transfer t = weft::jump_context(c, &message);  // runs `work`, comes back with what it sent
///
/// A context is a suspended flow of control: the address of the registers it left on its own stack. It is used up by
/// the switch to it; the switch back brings the next one. This layer knows no stack owner, no exception and no fiber:
/// most programs want weft/fiber.hpp.
///
/// Preserved across a switch, as across any function call (AAPCS64 §6.1.1, §6.1.2; System V x86-64 psABI §3.2.1):
///   AArch64  x19-x28, x29, sp and d8-d15, the low halves of v8-v15; x18 is not touched (with a shadow call stack it
///            is kept, and the uppermost third of a context's memory is that stack); FPCR and FPSR stay the thread's. The
///            base procedure call standard only: calling in SME streaming mode, or with ZA live, or relying on more of
///            z8-z15/p4-p15 than that standard preserves, is outside the contract.
///   x86-64   rbx, rbp, r12-r15, rsp, and the control words of x87 and MXCSR.
/// Exceptions must not leave the function a context runs; it must not return either (the process aborts).
namespace weft {

/// A suspended context. Opaque; null is no context.
using context = void*;

/// What arrives with control: the context that was left, and what it sent.
struct transfer {
    context from; ///< suspended by the switch; to be continued once
    void* data;   ///< as it was given to the switch
};

} // namespace weft

// The three functions as lib/switch/ defines them, one assembly file per architecture.
extern "C" {
/// weft::make_context.
WEFT_EXPORT weft::context weft_make_context(void* stack_top, std::size_t size, void (*entry)(weft::transfer)) noexcept
    WEFT_SWITCH_NAME(weft_make_context);
/// weft::jump_context.
WEFT_EXPORT weft::transfer weft_jump_context(weft::context to, void* data) WEFT_SWITCH_NAME(weft_jump_context);
/// weft::ontop_context.
WEFT_EXPORT weft::transfer weft_ontop_context(weft::context to, void* data, weft::transfer (*call)(weft::transfer))
    WEFT_SWITCH_NAME(weft_ontop_context);
}

namespace weft {

/// Prepares a context that will run `entry` on the memory of `size` bytes which ends below `stack_top`.
/// `entry` does not run yet. At its entry the stack pointer is 16-byte aligned as the ABI asks; with weft's own switch
/// the frame pointer is 0, so that a frame-pointer walk ends there.
/// \pre the memory is writable and large enough for the saved registers (256 bytes) and all that `entry` does.
WEFT_ALWAYS_INLINE context make_context(void* stack_top, std::size_t size, void (*entry)(transfer)) noexcept {
    detail::begin_stack(static_cast<char*>(stack_top) - size, size);
    return weft_make_context(stack_top, size, entry);
}

/// Leaves the running context and continues `to`, in which `data` arrives. Returns when somebody switches back.
/// May be called on any thread; a context may be continued on another thread than the one it was left on.
/// Throws only what an `ontop_context` to the leaving context lets through.
/// \pre `to` is suspended, and no other thread switches to it.
WEFT_ALWAYS_INLINE transfer jump_context(context to, void* data) {
    return weft_jump_context(to, data);
}

/// As `jump_context`, but first runs `call` on the stack of `to`, with the context that was left and `data`;
/// what `call` returns is what arrives in `to`. An exception that leaves `call` appears in `to`, at its switch.
/// \pre `call` does not throw while `to` has not run yet.
WEFT_ALWAYS_INLINE transfer ontop_context(context to, void* data, transfer (*call)(transfer)) {
    return weft_ontop_context(to, data, call);
}

} // namespace weft
