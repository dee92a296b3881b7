// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <boost/context/fiber.hpp>

#include <cstdint>
#include <cstdio>

extern "C" void weft_fcontext_entry(); // stands beside jump_fcontext in weft's object

int main() {
    int steps = 0;
    boost::context::fiber f{[&](boost::context::fiber&& back) {
        ++steps;
        back = std::move(back).resume();
        ++steps;
        return std::move(back);
    }};
    while (f) f = std::move(f).resume();
    const auto apart = reinterpret_cast<std::uintptr_t>(&weft_fcontext_entry) -
                       reinterpret_cast<std::uintptr_t>(&boost::context::detail::jump_fcontext);
    std::printf("weft::fcontext: %d steps on %s switch\n", steps, apart < 4096 ? "weft's" : "another");
}
