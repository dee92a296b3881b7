// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace weft::detail {

/// Says a sentence and ends the program.
[[noreturn]] inline void fatal(const char* sentence) noexcept {
    std::fprintf(stderr, "%s\n", sentence);
    std::abort();
}

/// `throw exception`. Without exceptions it is fatal instead, by the same sentence.
template <class Exception>
[[noreturn]] void throw_or_die(const Exception& exception) {
#if WEFT_EXCEPTIONS
    throw exception;
#else
    fatal(exception.what());
#endif
}

} // namespace weft::detail
