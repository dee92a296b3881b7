// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/fiber.hpp>
#include <weft/generator.hpp>

#if LINKING_ASIO
#    include <boost/asio/steady_timer.hpp>
#endif

// What a shared object of this test offers to the program that loads it. All else in it is hidden.
struct plugin {
    int (*sum)();                     // of a generator of its own, with an exception caught inside
    void (*empty)(weft::fiber& f);    // destroys the fiber, and leaves a handle that is empty
    bool (*takes)(weft::fiber& f);    // moves from it: does the object take it for a fiber?
    weft::fiber (*make)(int& alive);  // one that suspends, and whose frame counts itself in `alive`
    weft::fiber (*failing)();         // one that throws weft::fiber_error
    weft::generator<int> (*count)(int to);
    void (*suspend)();                // the running fiber
    void (*fail)();                   // throws weft::fiber_error
#if LINKING_ASIO
    void (*wait)(boost::asio::steady_timer& timer); // by weft::use_fiber
#endif
};

extern "C" WEFT_EXPORT const plugin weft_test_plugin;
