// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/fiber.hpp>

#include <memory>

namespace bench {

/// A weft::fiber that runs Body.
template <class Body, class Stacks>
class weft_fiber {
public:
    template <class... Options>
    explicit weft_fiber(Stacks stacks, const Options&... options)
        : fiber_{std::allocator_arg, stacks, options..., [](weft::fiber_ref self) { Body::run(self); }} {}
    [[gnu::always_inline]] void resume() { fiber_.resume(); }

protected:
    weft::fiber fiber_;
};

} // namespace bench
