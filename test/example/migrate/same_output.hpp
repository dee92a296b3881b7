// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <iostream>
#include <sstream>

namespace migrate {

/// Runs both and prints what they print, once; if that is not the same, one after the other, and false is returned.
template <class Before, class After>
bool same_output(Before before, After after) {
    std::ostringstream one, other;
    before(one);
    after(other);
    std::cout << one.str();
    if (one.str() == other.str()) return true;
    std::cout << "BUT WITH WEFT:\n" << other.str();
    return false;
}

} // namespace migrate
