// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <unwind.h>

namespace weft_test {

/// How many of raise_foreign()'s exceptions have been given back by whoever caught them.
inline int foreign_given_back = 0;

/// Raises an exception of another language, as that one's runtime does.
[[noreturn]] inline void raise_foreign() {
    auto* const e = static_cast<_Unwind_Exception*>(std::aligned_alloc(alignof(_Unwind_Exception), sizeof(_Unwind_Exception)));
    std::memset(e, 0, sizeof *e);
    std::memcpy(&e->exception_class, "WEFTTEST", sizeof e->exception_class);
    e->exception_cleanup = [](_Unwind_Reason_Code, _Unwind_Exception* caught) {
        ++foreign_given_back;
        std::free(caught);
    };
    _Unwind_RaiseException(e);
    std::abort(); // nobody catches it
}

/// Does `fn` let such an exception out, as a plain call would? It is caught once and given back by the handler, and the
/// thread is as it was before.
template <class Fn>
bool lets_foreign_out(Fn fn) {
    const int before = foreign_given_back;
    bool caught = false;
    try {
        fn();
    } catch (...) {
        caught = foreign_given_back == before && !std::current_exception() && std::uncaught_exceptions() == 0;
    }
    return caught && foreign_given_back == before + 1 && std::uncaught_exceptions() == 0;
}

} // namespace weft_test
