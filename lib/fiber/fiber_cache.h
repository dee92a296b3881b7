// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber/fiber_cache.hpp>

namespace weft::detail {

/// The end of a fiber that take_cached_fiber() has given, whatever its body has left but an exception. Not inline: what ends
/// a fiber has switched, and compilers take the address of a thread_local for constant within a function.
void cache_fiber(fiber_record& fiber) noexcept;

} // namespace weft::detail
