// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/thread/exception_state.hpp>

#include <utility>

namespace fuzz {

/// A bare switch knows no exceptions, and the C++ runtime keeps those in hand per thread. So whoever leaves by a bare
/// switch puts his own aside and takes out those of the flow that arrives. (weft::fiber does this by itself.)
[[gnu::noinline]] inline void exchange_exceptions(weft::detail::exception_state& leaving,
                                                  weft::detail::exception_state& arriving) noexcept {
    asm volatile("" ::: "memory"); // after a migration the thread's state is another one: never reuse its address
    leaving = std::exchange(weft::detail::thread_exceptions(), std::exchange(arriving, {}));
}

} // namespace fuzz
