// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/thread/exception_state.hpp>
#include <weft/detail/thread/thread_access.hpp>
#include <weft/detail/thread/thread_state.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

// Which fiber runs on a thread, and whether it is one question whether any does.

namespace weft::detail {

struct WEFT_ABI_TAG fiber_record; // tagged where it is first declared

/// Where fiber_record has a pointer that is never null.
inline constexpr std::size_t never_zero_in_record = sizeof(control_block);

/// `idle_sentinel` is so many bytes before the thread's exceptions that exception_state::any() reads at the same distance
/// from it as the pointer lies in a record: then busy() need not know which of the two it reads.
inline constexpr std::size_t exceptions_from_sentinel = exception_state::is_one_word ? never_zero_in_record - 1 : 0;

inline const std::byte* sentinel_of(const exception_state& exceptions) noexcept {
    return reinterpret_cast<const std::byte*>(reinterpret_cast<std::uintptr_t>(&exceptions) - exceptions_from_sentinel);
}
inline exception_state& exceptions_of(const thread_state& thread) noexcept {
    return *reinterpret_cast<exception_state*>(reinterpret_cast<std::uintptr_t>(thread.idle_sentinel) + exceptions_from_sentinel);
}

/// The innermost running fiber, if one runs.
inline fiber_record* running_fiber(const thread_state& thread) noexcept {
    if (thread.current == thread.idle_sentinel) return nullptr;
    return reinterpret_cast<fiber_record*>(const_cast<std::byte*>(thread.current));
}
/// From now on it is `fiber`, or none.
inline void set_running_fiber(thread_state& thread, fiber_record* fiber) noexcept {
    thread.current = fiber ? reinterpret_cast<const std::byte*>(fiber) : thread.idle_sentinel;
}

/// Does a fiber run on the thread whose pointers are `current` and `idle_sentinel`, or is it handling an exception?
WEFT_ALWAYS_INLINE bool busy(const std::byte* current, [[maybe_unused]] const thread_pointers& of) noexcept {
    if constexpr (exception_state::is_one_word) {
        std::uint64_t word;
        std::memcpy(&word, current + never_zero_in_record, sizeof word);
        return word != 0;
    } else {
        const auto exceptions = reinterpret_cast<std::uintptr_t>(of.idle_sentinel()) + exceptions_from_sentinel;
        return current != of.idle_sentinel() || reinterpret_cast<const exception_state*>(exceptions)->any();
    }
}

} // namespace weft::detail
