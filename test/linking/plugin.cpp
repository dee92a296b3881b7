// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A shared object with hidden symbols that uses weft: its own copy, the program's, or libweft.so's.

#include "plugin.hpp"

#if LINKING_ASIO
#    include <weft/asio.hpp>
#endif

namespace {

int sum() {
    int all = 0;
    for (const int v : weft::generator<int>{[](auto& out) {
             for (int i = 0; i < 5; ++i) {
                 try {
                     throw i;
                 } catch (int caught) {
                     out.yield(caught); // inside of the catch block
                 }
             }
         }})
        all += v;
    return all;
}

weft::fiber make(int& alive) {
    return weft::fiber{[&alive] {
        struct counted {
            int& alive;
            explicit counted(int& a) : alive(++a) {}
            ~counted() { --alive; }
        } const here{alive};
        for (;;) weft::this_fiber::suspend();
    }};
}

weft::fiber failing() {
    return weft::fiber{[](weft::fiber_ref self) {
        self.suspend();
        throw weft::fiber_error("of the plugin");
    }};
}

weft::generator<int> count(int to) {
    return weft::generator<int>{[to](auto& out) {
        for (int i = 1; i <= to; ++i) out.yield(i);
    }};
}

void empty(weft::fiber& f) {
    f = weft::fiber{};
}

bool takes(weft::fiber& f) {
    const weft::fiber mine = std::move(f);
    return static_cast<bool>(mine);
}

void fail() {
    weft::fiber{}.resume();
}

#if LINKING_ASIO
void wait(boost::asio::steady_timer& timer) {
    timer.async_wait(weft::use_fiber);
}
#endif

} // namespace

const plugin weft_test_plugin{
    &sum, &empty, &takes, &make, &failing, &count, &weft::this_fiber::suspend, &fail,
#if LINKING_ASIO
    &wait,
#endif
};
