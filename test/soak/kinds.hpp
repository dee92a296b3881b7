// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "crowd.hpp"

#include <cstdint>

namespace soak {

// Each kind of object. \throws a fault that was injected.
object* make_fiber(crowd& home, std::uint64_t seed);
object* make_generator(crowd& home, std::uint64_t seed);
object* make_context(crowd& home, std::uint64_t seed);
object* make_task(crowd& home, std::uint64_t seed);

} // namespace soak
