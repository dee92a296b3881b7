// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::generator: the body must be callable with `auto& out`
// error: weft::generator: the body must be callable with `auto& out`
// error: weft::generator: the body must be callable with `auto& out`
// before: GNU 5, GNU14 11, Clang 1

#include <weft/generator.hpp>

weft::generator<int> without{[] {}};
weft::generator<int> more_than_out{[](auto&, int) {}};
weft::generator<int> with_options{weft::fiber_options{}, [](int) {}};
