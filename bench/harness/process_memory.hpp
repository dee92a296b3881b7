// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>

namespace bench {

/// What the process occupies now, in bytes: resident pages and the page tables that find them.
std::size_t process_memory();

} // namespace bench
