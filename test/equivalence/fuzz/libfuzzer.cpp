// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The entry for libFuzzer, which AFL++ uses as well.

#include "fuzz.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    static_cast<void>(fuzz::so_far()); // before the function below is registered, so destroyed after it has run
    return std::atexit([] { fuzz::print(fuzz::so_far()); });
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (!fuzz::agree({data, size})) std::abort();
    return 0;
}
