// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

/// \file
/// What the soak keeps count of, and how it ends when something is wrong.
namespace soak {

/// Says what is wrong, and with which seed, and ends the program with 1.
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* sentence, ...);

/// What is made and must be gone when everything has ended.
enum class thing : unsigned { object, body, local, operand, exception, stack, frame, last };
inline constexpr std::size_t things = static_cast<std::size_t>(thing::last);
inline constexpr std::array<const char*, things> names_of_things{
    "objects", "bodies", "locals in bodies", "operands awaited", "exceptions", "stacks", "coroutine frames"};

/// What happens.
enum class event : unsigned {
    fiber,
    generator,
    task,
    context, // operations that ended and were verified
    resume,
    migration,
    pause,
    await,
    ambient_await,
    child_task,
    nested_fiber,
    nested_generator,
    recursion,
    sort,
    thrown,
    rethrown,
    swallowed,
    abandoned,
    unwound,
    never_begun,
    stopped,
    rounding,
    no_stack,
    no_memory,
    refused_ready,
    refused_suspend,
    refused_resume, // faults
    last
};
inline constexpr std::size_t events = static_cast<std::size_t>(event::last);

struct tally {
    std::array<std::atomic<std::uint64_t>, things> made{}, gone{};
    std::array<std::atomic<std::uint64_t>, events> happened{};
};
inline tally totals;

inline void made(thing t) noexcept {
    totals.made[static_cast<unsigned>(t)].fetch_add(1, std::memory_order_relaxed);
}
inline void gone(thing t) noexcept {
    totals.gone[static_cast<unsigned>(t)].fetch_add(1, std::memory_order_relaxed);
}
inline void happened(event e) noexcept {
    totals.happened[static_cast<unsigned>(e)].fetch_add(1, std::memory_order_relaxed);
}
inline std::uint64_t times(event e) noexcept {
    return totals.happened[static_cast<unsigned>(e)];
}

/// Counts a T in and out, and notices when it was overwritten or is destroyed twice.
template <thing T>
class token {
public:
    token() noexcept { made(T); }
    token(const token& other) noexcept {
        other.check();
        made(T);
    }
    token& operator=(const token&) noexcept = default;
    ~token() {
        check();
        canary_ = dead;
        gone(T);
    }
    void check() const noexcept {
        if (canary_ != alive)
            fail("one of the %s was overwritten or destroyed twice", names_of_things[static_cast<unsigned>(T)]);
    }

private:
    static constexpr std::uint64_t alive = 0x5eed'0f11'fe00'ca11, dead = 0xdead'dead'dead'dead;
    volatile std::uint64_t canary_ = alive;
};

} // namespace soak
