// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "debugger.h"

#include "../fiber/records.h"

#include <weft/detail/bridge/driver.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>

constinit const char weft::detail::seen_by_debuggers = 0;

using weft::detail::fiber_details;
using weft::detail::fiber_record;

extern "C" WEFT_FOR_DEBUGGERS constinit const weft::detail::debugger_layout weft_debugger_layout{
    .version = 5,
    .own_switch = WEFT_SWITCH_NATIVE,
    .details = offsetof(fiber_record, details),
    .state = offsetof(fiber_record, state),
    .progress = offsetof(fiber_record, progress),
    .stack_lowest = offsetof(fiber_details, sanitizer.own.lowest),
    .stack_size = offsetof(fiber_details, sanitizer.own.size),
    .inner = offsetof(fiber_details, inner),
    .outer = offsetof(fiber_details, outer),
    .driver = offsetof(fiber_details, owner),
    .operations = offsetof(fiber_details, operations),
    .name = offsetof(fiber_details, name),
#if WEFT_SWITCH_NATIVE
    .program_counter = offsetof(fiber_record, block.program_counter),
    .stack_pointer = offsetof(fiber_record, block.stack_pointer),
    .fiber_base_register = offsetof(fiber_record, block.fiber_base_register),
    .fiber_frame_pointer = offsetof(fiber_record, block.fiber_frame_pointer),
    .resumer_base_register = offsetof(fiber_record, block.resumer_base_register),
    .resumer_frame_pointer = offsetof(fiber_record, block.resumer_frame_pointer),
#else
    .program_counter = 0,
    .stack_pointer = 0,
    .fiber_base_register = 0,
    .fiber_frame_pointer = 0,
    .resumer_base_register = 0,
    .resumer_frame_pointer = 0,
#endif
    .driver_body = offsetof(weft::detail::driver, body),
#if WEFT_SWITCH_NATIVE
    .tagged = offsetof(fiber_record, block.program_counter),
#else
    .tagged = offsetof(fiber_record, block.context),
#endif
    .resumable_bit = std::countr_zero(std::uintptr_t{weft::detail::resumable_tag}),
    .suspendable_bit = std::countr_zero(std::uintptr_t{weft::detail::suspendable_tag}),
    .inverted = !(weft::detail::told_by_zero & weft::detail::resumable_tag),
};

extern "C" WEFT_FOR_DEBUGGERS constinit const weft::detail::debugger_records weft_debugger_records{
    .with_room = &weft::detail::slabs_with_room,
    .full = &weft::detail::full_slabs,
    .none = &weft::detail::no_fiber,
    .next = offsetof(weft::detail::record_slab, next),
    .begun = offsetof(weft::detail::record_slab, begun),
    .record_size = sizeof(weft::detail::fiber_record),
};

// The script itself, for gdb to load with any program that has this object: kind 4 (Python, in the section itself), the
// script's name, a newline, its text, a zero.
#if defined(__ELF__) && defined(WEFT_GDB_SCRIPT)
asm(".pushsection \".debug_gdb_scripts\", \"MS\", %progbits, 1\n"
    ".byte 4\n"
    ".ascii \"gdb.inlined-script-weft\\n\"\n"
    ".incbin \"" WEFT_GDB_SCRIPT "\"\n"
    ".byte 0\n"
    ".popsection\n");
#endif
