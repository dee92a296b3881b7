// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What step_in_gdb.py steps through: every kind of switch, between functions whose names say on which stack they run.
// The functions that switch leave nothing of their own in the callee-saved registers, so the debugger may fill those
// with a pattern at the switch and look for it from every instruction on. They save all of them, so that after the
// hand-over an unwinder which still believes in the frame that was left finds a wrong value.

#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/inline_switch.hpp>
#include <weft/switch.hpp>

#include <cstddef>

#if defined(__clang__)
#    define APART [[gnu::noinline]]
#else
#    define APART [[gnu::noipa]]
#endif

#if defined(__aarch64__)
#    define FORGET_CALLEE_SAVED()                                                                                      \
        asm volatile("" ::: "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "v8", "v9", "v10",   \
                     "v11", "v12", "v13", "v14", "v15", "memory")
#else
#    define FORGET_CALLEE_SAVED() asm volatile("" ::: "rbx", "r12", "r13", "r14", "r15", "memory")
#endif

using weft::context;
using weft::transfer;
using weft::detail::control_block;

extern "C" {

// The stacks of the other contexts; the debugger tells by them on which one it stands.
alignas(16) std::byte other_stacks[4][64 * 1024];

void* top_of(int index) {
    return other_stacks[index] + sizeof other_stacks[index];
}

APART transfer context_jumps(context to, void* data) {
    const transfer arrived = weft_jump_context(to, data);
    FORGET_CALLEE_SAVED();
    return arrived;
}

APART void context_works(transfer arrived) {
    while (arrived.from) arrived = context_jumps(arrived.from, arrived.data);
}

void context_begins(transfer arrived) {
    context_works(arrived);
    FORGET_CALLEE_SAVED();
}

APART transfer call_on_top(transfer arrived) {
    FORGET_CALLEE_SAVED();
    return arrived;
}

APART context main_makes(int index) {
    const context made = weft_make_context(top_of(index), sizeof other_stacks[index], &context_begins);
    FORGET_CALLEE_SAVED();
    return made;
}

APART transfer main_jumps(context to, void* data) {
    const transfer arrived = weft_jump_context(to, data);
    FORGET_CALLEE_SAVED();
    return arrived;
}

APART transfer main_calls_on_top(context to, void* data) {
    const transfer arrived = weft_ontop_context(to, data, &call_on_top);
    FORGET_CALLEE_SAVED();
    return arrived;
}

APART void fiber_switches(control_block& block) {
    weft::detail::switch_to_resumer(block);
    FORGET_CALLEE_SAVED();
}

APART void fiber_suspends(control_block& block) {
    fiber_switches(block);
    FORGET_CALLEE_SAVED();
}

void fiber_begins(void* block) {
    while (block) {
        fiber_suspends(*static_cast<control_block*>(block));
        FORGET_CALLEE_SAVED();
    }
}

APART void main_switches(control_block& block) {
    weft::detail::switch_to_fiber(block);
    FORGET_CALLEE_SAVED();
}

APART void main_resumes(control_block& block) {
    main_switches(block);
    FORGET_CALLEE_SAVED();
}

} // extern "C"

int main() {
    int message = 0;
    context one = main_makes(0);
    for (int i = 0; i != 3; ++i) one = main_jumps(one, &message).from;
    one = main_calls_on_top(one, &message).from;
    main_calls_on_top(main_makes(1), &message);

    control_block fiber;
    weft::detail::make_control_block(fiber, top_of(2), sizeof other_stacks[2], &fiber_begins, &fiber);
    for (int i = 0; i != 3; ++i) main_resumes(fiber);
}
