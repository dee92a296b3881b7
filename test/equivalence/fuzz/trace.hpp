// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace fuzz {

/// What a program can be seen doing.
enum class event : std::uint8_t {
    created,
    resumes,      // value: of the resumed fiber
    returned,     // a resume came back; value: which fiber came
    received,     // value: what was sent
    suspends,
    transfers,    // value: to which fiber
    on_top,       // value: what was sent
    caught,       // value: of the exception
    caught_last,  // by the program's own flow, outside of all blocks
    guard_ends,   // value: exceptions under way in this flow
    numbers_end,  // value: their sum
    recursion_ends, // value: the sum of its levels
    destroys,     // value: the fiber
    migrates,     // value: the thread
    computed,     // value: bits of the quotient
    handles,      // value: the exception in hand, or 0
    body_ends,
};

inline constexpr std::array event_names{"created",     "resumes",        "returned", "received", "suspends",
                                        "transfers",   "on_top",         "caught",   "caught_last", "guard_ends",
                                        "numbers_end", "recursion_ends", "destroys", "migrates", "computed",
                                        "handles",     "body_ends"};

struct trace_entry {
    event what;
    std::uint8_t flow;
    std::uint32_t value;
    friend bool operator==(const trace_entry&, const trace_entry&) = default;
};

using trace = std::vector<trace_entry>;

} // namespace fuzz
