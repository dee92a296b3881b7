// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <thread>

namespace weft_test {

/// The thread this runs on, asked anew each time. (Compilers take std::this_thread::get_id() for constant in a
/// function, as it is where nothing migrates.)
[[gnu::noinline]] inline std::thread::id this_thread_id() noexcept {
    asm volatile("" ::: "memory");
    return std::this_thread::get_id();
}

} // namespace weft_test
