// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program whose files import weft, include its headers, or both.

#include <coroutine> // which GCC wants to see where a body is made into a coroutine
#include <cstdio>

import weft;

weft::task<int> included(weft::fiber& body); // includes.cpp
int both();                                  // both.cpp

int deep(int calls, weft::fiber& body) {
    return calls == 0 ? weft::await(included(body)) : deep(calls - 1, body);
}

weft::task<int> work(weft::fiber& body) {
    return weft::stackful([&](auto&) { return deep(3, body); });
}

// In this function the switch is inline, as it is where headers are included: test/package/package.py compares them.
extern "C" void resume_twice(weft::fiber& f) {
    f.resume();
    f.resume();
}

weft::generator<int> up_to(int n) {
    return weft::generator<int>{[n](auto& out) {
        for (int i = 0; i < n; ++i) out.yield(i);
    }};
}

int main() {
    int steps = 0, sum = 0;
    weft::fiber body{[&](weft::fiber_ref self) {
        for (;; ++steps) self.suspend();
    }};
    resume_twice(body);
    for (const int i : up_to(4)) sum += i;
    const int result = weft::sync_wait(work(body)); // takes the second step
    bool caught = false;
    try {
        weft::this_fiber::suspend();
    } catch (const weft::not_in_fiber&) {
        caught = true;
    }
    std::printf("imported: %d steps, sum %d, %d, %d, %s\n", steps, sum, result, both(), caught ? "caught" : "missed");
}
