// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/switch/control_block.hpp>

#include <cstddef>
#include <cstdint>

extern "C" void weft_fiber_start(); // in weft_fiber_entry, lib/switch/<architecture>.S

namespace weft {
namespace {

// The address `pc` as it rests in memory while the stack pointer is `sp`.
void* protect(void* pc, [[maybe_unused]] void* sp) noexcept {
#if WEFT_SIGNED_CONTEXTS
    register void* x17 asm("x17") = pc;
    register void* x16 asm("x16") = sp;
    asm("hint #8" : "+r"(x17) : "r"(x16)); // pacia1716
    return x17;
#else
    return pc;
#endif
}

} // namespace

void detail::make_control_block(control_block& block, void* stack_top, [[maybe_unused]] std::size_t size,
                                void (*entry)(void*), void* argument) noexcept {
#if WEFT_SHADOW_CALL_STACK
    // Its uppermost third becomes the shadow call stack, which grows up from where the other one begins to grow down.
    // It gets 8 bytes from a function that gets 16 or more of the other, and the last of them before the other is used
    // up: so it ends no sooner, and needs no guard of its own. It keeps return addresses safe from what is written into
    // frames, not from who writes on and on beyond the first of them.
    stack_top = static_cast<std::byte*>(stack_top) - size / 3 - 16;
#endif
    void* const sp = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(stack_top) & ~std::uintptr_t{15});
    block.stack_pointer = sp;
    block.program_counter = protect(reinterpret_cast<void*>(&weft_fiber_start), sp);
    if constexpr (!(told_by_zero & resumable_tag)) // then it rests inverted
        block.program_counter = reinterpret_cast<void*>(~reinterpret_cast<std::uintptr_t>(block.program_counter));
    block.fiber_frame_pointer = protect(reinterpret_cast<void*>(entry), sp);
    block.fiber_base_register = argument;
#if WEFT_SHADOW_CALL_STACK
    block.shadow_call_stack = sp;
#endif
}

} // namespace weft
