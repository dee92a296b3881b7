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

/// Byte offsets in a fiber_record and around it.
struct debugger_layout {
    std::uint32_t version;
    std::uint32_t own_switch; // 1: saved contexts are weft's own, 0: Boost.Context's
    std::uint32_t stack_lowest; // these two: their sum is the address of the record, as long as it lives
    std::uint32_t stack_size;
    std::uint32_t state; // of fiber_state
    std::uint32_t started;
    std::uint32_t inner;
    std::uint32_t outer;
    std::uint32_t driver;
    std::uint32_t operations;
    std::uint32_t name;
    std::uint32_t program_counter;
    std::uint32_t stack_pointer;
    std::uint32_t fiber_base_register;
    std::uint32_t fiber_frame_pointer;
    std::uint32_t resumer_base_register;
    std::uint32_t resumer_frame_pointer;
    std::uint32_t driver_body; // in a driver
};

/// Where stack_pool's stacks lie.
struct debugger_pools {
    const void* list;   // the address of the pointer to the first pool
    std::uint64_t next; // offsets: in a pool
    std::uint64_t slot_size;
    std::uint64_t arenas; // two pointers: from the first arena to the last one's end
    std::uint64_t arena_lowest; // in an arena
    std::uint64_t arena_begun;
    std::uint64_t arena_size; // of an arena itself
};

} // namespace weft::detail

extern "C" WEFT_API const weft::detail::debugger_layout weft_debugger_layout;
