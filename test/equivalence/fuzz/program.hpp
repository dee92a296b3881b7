// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fuzz {

/// What a flow of control can be told to do. Two bytes of a program are one operation: the first chooses it, the second
/// is its operand. Whichever flow has control reads the next one, so a program is a single list for all of them.
enum class operation : std::uint8_t {
    create,    // a fiber in an empty slot
    resume,    // a fiber that waits; sends it a value
    suspend,   // to whoever resumed this fiber; sends a value
    transfer,  // suspends this fiber and resumes another one for the same resumer
    ontop,     // resumes a fiber after a call on top of its stack
    throw_on_top, // the same; the call throws
    raise,     // throws an exception
    protect,   // a try block, whose handler is a block too
    rethrow,   // inside of a handler: throws the same exception again
    leave,     // ends the innermost block of this flow; the outermost one of a fiber ends the fiber
    guard,     // a block with an object that notes its destruction
    numbers,   // a block in a function with many integers and floating-point numbers alive
    recurse,   // a block at the bottom of a recursion
    destroy,   // a fiber that does not run, with what is on its stack
    migrate,   // resumes a fiber on another thread and waits
    rounding,  // sets the rounding mode
    compute,   // notes a quotient, which shows the rounding mode
    observe,   // notes the exceptions that this flow has in hand
    end,       // the program has ended; not encoded
};
inline constexpr std::size_t operation_count = static_cast<std::size_t>(operation::end);

inline constexpr std::array<const char*, operation_count> operation_names{
    "create", "resume", "suspend", "transfer", "ontop",   "throw_on_top", "raise",    "protect", "rethrow",
    "leave",  "guard",  "numbers", "recurse",  "destroy", "migrate",      "rounding", "compute", "observe"};

struct instruction {
    operation what = operation::end;
    std::uint8_t operand = 0;
};

/// Reads a byte string as a program.
class program {
public:
    explicit program(std::span<const std::uint8_t> bytes) noexcept : bytes_{bytes} {}

    /// Once the end is reached, every further instruction is the end again.
    instruction next() noexcept {
        if (bytes_.size() < 2) return {};
        const instruction i{static_cast<operation>(bytes_[0] % operation_count), bytes_[1]};
        bytes_ = bytes_.subspan(2);
        return i;
    }

    static constexpr std::size_t longest = 1024; // bytes; more are ignored

private:
    std::span<const std::uint8_t> bytes_;
};

// Flows of control: 0 is the program's own, then the fibers, then one home for each further thread.
inline constexpr unsigned main_flow = 0;
inline constexpr unsigned fibers = 6;
inline constexpr unsigned first_home = fibers + 1;
inline constexpr unsigned threads = 3;
inline constexpr unsigned flows = first_home + threads - 1;
inline constexpr unsigned home_of(unsigned thread) { return first_home + thread - 1; }

inline constexpr unsigned deepest = 6; // blocks within blocks, in one flow

inline unsigned slot(std::uint8_t operand) { return 1 + operand % fibers; }

struct stack_choice {
    std::size_t size;
    unsigned allocator;
};
inline constexpr unsigned allocators = 4;
inline stack_choice choose_stack(std::uint8_t operand) {
    return {std::size_t{64 * 1024} << (operand / fibers % 3), operand / fibers / 3 % allocators};
}

/// What the block `numbers` notes when it ends, and how it is made: from many values, all exact in a double.
struct many_numbers {
    std::array<std::uint64_t, 10> integers;
    std::array<double, 10> reals;
};
inline many_numbers make_numbers(std::uint32_t seed) {
    many_numbers n;
    for (std::uint32_t i = 0; i < 10; ++i) {
        n.integers[i] = (seed + i) * 2654435761u;
        n.reals[i] = (seed * 7 + i * 13) % 4096;
    }
    return n;
}
inline std::uint32_t sum_of(const many_numbers& n) {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < 10; ++i) sum = sum * 31 + n.integers[i] + static_cast<std::uint64_t>(n.reals[i]);
    return static_cast<std::uint32_t>(sum ^ (sum >> 32));
}

/// How deep the block `recurse` goes, and what each level adds on the way back.
inline unsigned levels(std::uint8_t operand) { return 1 + operand % 32; }
inline std::uint32_t level_value(std::uint32_t seed, unsigned level) { return seed * 2246822519u + level * 3266489917u; }

} // namespace fuzz
