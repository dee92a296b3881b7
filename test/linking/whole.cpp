// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program for each linker, also with identical functions folded and unused sections left out.

#include <weft/fiber.hpp>
#include <weft/generator.hpp>

#include <cstdio>

namespace {

weft::generator<int> twice() {
    return weft::generator<int>{[](auto& out) {
        out.yield(1);
        out.yield(2);
    }};
}
weft::generator<int> again() { // the same code, another type
    return weft::generator<int>{[](auto& out) {
        out.yield(1);
        out.yield(2);
    }};
}

} // namespace

int main() {
    int sum = 0;
    for (const int v : twice()) sum += v;
    for (const int v : again()) sum += v;
    weft::fiber f{[](weft::fiber_ref self) {
        self.suspend();
        throw weft::fiber_error("the end");
    }};
    f.resume();
    try {
        f.resume();
    } catch (const weft::fiber_error& error) {
        std::printf("%d, %s\n", sum, error.what());
    }
}
