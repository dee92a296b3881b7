// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>

#include <algorithm>
#include <cstddef>

namespace weft_test {

/// What lies below each of weft's stacks and faults, as weft/stack.hpp says.
inline std::size_t guard_size() noexcept {
#if defined(__aarch64__)
    return std::max(weft::page_size(), std::size_t{64} * 1024);
#else
    return weft::page_size();
#endif
}

} // namespace weft_test
