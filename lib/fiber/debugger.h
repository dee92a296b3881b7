// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstdint>

// Where debuggers find what they show: constants in the program itself, so that it needs no debug information for it.
// Read by lib/gdb/weft.py, which lists the same names in the same order.

// Nothing in the program refers to what is marked so; it must outlive the compiler and the linker.
#if __has_cpp_attribute(gnu::retain)
#    define WEFT_FOR_DEBUGGERS [[gnu::used, gnu::retain]]
#else
#    define WEFT_FOR_DEBUGGERS [[gnu::used]]
#endif

namespace weft::detail {

/// Byte offsets in a fiber_record and in its fiber_details.
struct debugger_layout {
    std::uint32_t version;
    std::uint32_t own_switch; // 1: saved contexts are weft's own, 0: Boost.Context's
    std::uint32_t details; // in the record; null where no fiber is
    std::uint32_t state;   // of fiber_state
    std::uint32_t progress; // of fiber_progress
    std::uint32_t stack_lowest; // from here to `name` in the details; the sum of these two is their address
    std::uint32_t stack_size;
    std::uint32_t inner;
    std::uint32_t outer;
    std::uint32_t driver;
    std::uint32_t operations;
    std::uint32_t name;
    std::uint32_t program_counter; // from here on in the record again
    std::uint32_t stack_pointer;
    std::uint32_t fiber_base_register;
    std::uint32_t fiber_frame_pointer;
    std::uint32_t resumer_base_register;
    std::uint32_t resumer_frame_pointer;
    std::uint32_t driver_body; // in a driver
    std::uint32_t marked;      // in the record: the word with the marks of control_block_mark, which are these bits
    std::uint32_t not_resumable_bit;
    std::uint32_t not_suspendable_bit;
    std::uint32_t inverted; // 1: a fiber's pc rests inverted, and with it the first of them
};

/// Where the records lie: in two lists of slabs, in each of which some have been handed out, from the second place on.
struct debugger_records {
    const void* with_room; // the addresses of the pointers to the first slab
    const void* full;
    const void* none; // the record that empty handles refer to
    std::uint64_t next; // offsets: in a slab
    std::uint64_t begun;
    std::uint64_t record_size;
};

} // namespace weft::detail

extern "C" {
WEFT_EXPORT extern const weft::detail::debugger_layout weft_debugger_layout;
WEFT_EXPORT extern const weft::detail::debugger_records weft_debugger_records;
}
