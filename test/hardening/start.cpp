// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Links the switch and nothing else of weft, and starts.

#include <weft/switch.hpp>

#include <cstddef>

namespace {
alignas(16) std::byte stack[4096];
void entry(weft::transfer) {}
} // namespace

int main() {
    return weft::make_context(stack + sizeof stack, sizeof stack, &entry) ? 0 : 1;
}
