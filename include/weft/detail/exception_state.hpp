// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cxxabi.h>

namespace weft::detail {

/// The exceptions that a flow of control is handling (`catch` blocks it is inside of) and how many are under way.
/// The C++ runtime keeps one such state per thread; weft swaps it at every resume, so that each fiber has its own.
/// Layout of `__cxa_eh_globals`, Itanium C++ ABI (exception handling) §2.2.2.
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;

    bool any() const noexcept { return caught != nullptr || uncaught != 0; }
};

/// The state of the running thread, for as long as control stays on it.
inline exception_state& thread_exceptions() noexcept {
    return *reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

} // namespace weft::detail
