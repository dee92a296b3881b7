// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/base/stack_bounds.hpp>
#include <weft/detail/fiber/current_fiber.hpp>
#include <weft/detail/fiber/sanitizer_switch.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/fp_state.hpp>
#include <weft/detail/thread/exception_state.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>

namespace weft::detail {

class thread_binding; // see weft/migration.hpp
struct fiber_access; // lets the rest of weft see the record of a fiber

/// What is said of a fiber's misuse, in the words of what it is to its users.
struct misuse_messages {
    const char* resumed_after_its_end;
    const char* resumed_while_it_runs;
    const char* suspended_while_it_waits;
    const char* suspended_without_a_value; // null: that is no misuse
};

/// What a fiber's type knows and the rest of weft does not.
struct fiber_operations {
    void (*run)(fiber_record&);              // calls the body and destroys it; on the fiber's stack
    void (*destroy_body)(fiber_record&) noexcept; // of a fiber that never ran
    void (*release)(fiber_record&) noexcept; // gives its stack back; on another one
    stack_bounds (*memory)(const fiber_record&) noexcept; // what its allocator gave it; async-signal-safe
    bool unwinds;                            // the body was compiled with exceptions
    const misuse_messages* misuse;           // null: those of a fiber
};

struct fiber_details;

/// One fiber: all that a plain resume touches. Records lie side by side, apart from the stacks, so that those of many
/// fibers take few pages and few lines of the caches: a cold stack's page is fetched by the body that uses it, and by
/// no other code.
struct alignas(64) fiber_record {
    control_block block;   // the fiber's while it is suspended, its resumer's while it runs
    fiber_details* details = nullptr; // of a fiber never null
    std::uint32_t state = 0;    // of fiber_state
    std::uint32_t progress = 0; // of fiber_progress
};

/// The rest of a fiber; lies at the top of its stack.
struct alignas(64) fiber_details {
    WEFT_ABI_TAG fiber_details() noexcept {} // settings decide on what is in it

    const fiber_operations* operations = nullptr; // of its body, or of the last that it had
    fiber_record* inner = nullptr; // the fiber this one has resumed and that has not come back, if any
    fiber_record* outer = nullptr; // the fiber that resumed this one, if one did, until it comes back
    exception_state exceptions; // the fiber's while it is suspended (empty while it runs)
    std::exception_ptr failure; // what left the body
    fp_state fp;                // with own_fp: the fiber's while it is suspended, its resumer's while it runs
    sanitizer_fiber sanitizer;
    thread_binding* bindings = nullptr; // what it holds of a thread's
    std::uint64_t left = 0;             // of one that is checked and holds an exception: the number of the thread it left
    void* owner = nullptr;              // of a layer above, which sets it before the body begins; null again when that has ended
    const char* name = nullptr;         // see fiber_ref::set_name
    // Of one that is checked: of what the block keeps of the flow that waits in it. Whether there is one is the library's
    // choice, per fiber, and its work alone: such a fiber has both tag bits whenever a flow waits, so that each resume
    // and each suspend is out of line. No inline code knows of it.
    std::uint64_t checksum = 0;
};

/// What an empty handle refers to, so that resume() need not ask: one that has ended. Never written. Told by is_fiber(),
/// not by its address: a handle may come from a shared object that has its own copy of weft.
WEFT_API extern const fiber_record no_fiber;

/// Makes the record of a fiber without a body, on the part of `memory` below `details`, which lie in it: once
/// details.operations are set, resuming it will call operations->run. \throws stack_exhausted
WEFT_API fiber_record& prepare(fiber_details& details, stack_bounds memory);

/// Is it more than no_fiber?
inline bool is_fiber(const fiber_record& record) noexcept { return record.details != nullptr; }

static_assert(sizeof(fiber_record) == 64 || WEFT_SHADOW_CALL_STACK, "a plain resume touches one cache line");
static_assert(offsetof(fiber_record, details) == never_zero_in_record);

} // namespace weft::detail
