// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/control_block.hpp>

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

void detail::make_control_block(control_block& block, void* stack_top, std::size_t, void (*entry)(void*),
                                void* argument) noexcept {
    void* const sp = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(stack_top) & ~std::uintptr_t{15});
    block.stack_pointer = sp;
    block.program_counter = protect(reinterpret_cast<void*>(&weft_fiber_start), sp);
    block.fiber_frame_pointer = protect(reinterpret_cast<void*>(entry), sp);
    block.fiber_base_register = argument;
}

} // namespace weft
