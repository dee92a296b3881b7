// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What a program is compiled to that resumes and suspends: NDEBUG must not change a byte of it.

#include <weft/fiber.hpp>
#include <weft/generator.hpp>

void resumes(weft::fiber& f);
void resumes(weft::fiber& f) {
    while (!f.done()) f.resume();
}

void suspends(weft::fiber_ref f, int times);
void suspends(weft::fiber_ref f, int times) {
    for (int i = 0; i != times; ++i) f.suspend();
}

weft::fiber makes(int& count);
weft::fiber makes(int& count) {
    return weft::fiber{[&count](weft::fiber_ref self) {
        ++count;
        self.suspend();
    }};
}

long sums();
long sums() {
    long all = 0;
    for (const int v : weft::generator<int>{[](auto& out) {
             for (int i = 0; i != 100; ++i) out.yield(i + 0);
         }})
        all += v;
    return all;
}
