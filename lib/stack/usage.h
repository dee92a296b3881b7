// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>

namespace weft::detail {

/// The lowest address from `lowest` to `touched` whose page has been touched since the system gave it, as that of
/// `touched` has; null if the system does not say. Touches nothing. Async-signal-safe.
const std::byte* lowest_touched(const std::byte* lowest, const void* touched) noexcept;

} // namespace weft::detail
