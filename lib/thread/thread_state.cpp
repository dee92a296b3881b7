// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "thread_state.h"

#include <weft/detail/thread/exception_state.hpp>
#include <weft/detail/thread/thread_state.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

extern "C" {

[[gnu::used]] alignas(weft::detail::exception_state) constinit const std::array<std::byte, 128>
    weft_exceptions_not_asked_for = [] {
        std::array<std::byte, 128> all;
        all.fill(std::byte{1});
        return all;
    }();

#if !WEFT_THREAD_STATE_ELF
static constinit thread_local weft::detail::thread_state of_this_thread{
    weft_exceptions_not_asked_for.data(), weft_exceptions_not_asked_for.data(), nullptr, 0, weft::detail::not_in_use,
    weft::detail::ask_library};
[[gnu::noinline]] weft::detail::thread_state* WEFT_THIS_THREAD() noexcept {
    asm volatile("" ::: "memory"); // not a pure function of nothing: the thread may have changed since the last call
    return &of_this_thread;
}
#endif

} // extern "C"

// As thread_state.S lays it out.
static_assert(sizeof(weft::detail::thread_state) == WEFT_THREAD_STATE_SIZE || !WEFT_THREAD_STATE_ELF);
static_assert(offsetof(weft::detail::thread_state, asked) == 0 &&
              offsetof(weft::detail::thread_state, at_rest) == sizeof(void*));
static_assert(offsetof(weft::detail::thread_state, idle) == WEFT_THREAD_STATE_SIZE - 16 || !WEFT_THREAD_STATE_ELF);
static_assert(offsetof(weft::detail::thread_state, idle_limit) == WEFT_THREAD_STATE_SIZE - 8 || !WEFT_THREAD_STATE_ELF);
static_assert(WEFT_THREAD_STATE_NOT_IN_USE == weft::detail::not_in_use);
static_assert(std::uintptr_t(WEFT_THREAD_STATE_ASK) == weft::detail::ask_library);
