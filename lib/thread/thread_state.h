// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// What thread_state.S and C++ both know of a thread's state; checked in thread_state.cpp.
#define WEFT_THREAD_STATE_SIZE 48
#define WEFT_THREAD_STATE_NOT_IN_USE 1
#define WEFT_THREAD_STATE_ASK -1 /* idle_limit: ask_library */

#if !defined(__ASSEMBLER__)

#    include <weft/detail/thread/thread_access.hpp>

#    include <array>
#    include <cstddef>

extern "C" {

// What a thread_state refers to until the first resume on its thread, instead of the thread's exceptions. Wherever
// busy() looks, there is something in it: so resume() takes the slow path, which asks for the thread's own.
[[gnu::visibility("hidden")]] extern const std::array<std::byte, 128> weft_exceptions_not_asked_for;
}

namespace weft::detail {

// Included by every source that asks for this_thread(). Where inline code asks for the state, no linker sees it before
// link-time optimization has made that code: this brings thread_state.S in time.
#    if WEFT_THREAD_STATE_ELF
[[gnu::used, gnu::visibility("hidden")]] inline constinit const auto find_thread_state = &WEFT_THIS_THREAD;
#    endif

} // namespace weft::detail

#endif
