// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/stackful.hpp>
#include <weft/task.hpp>
#include <weft/version.hpp>

#include <cstdio>

weft::task<int> ask() { co_return 42; }

int deep(int calls) { return calls == 0 ? weft::await(ask()) : deep(calls - 1); }

weft::task<int> work() {
    return weft::stackful([](auto&) { return deep(3); });
}

int main() {
    try {
        weft::this_fiber::suspend();
    } catch (const weft::not_in_fiber&) { // a type of the library's, shared or not
        std::printf("weft " WEFT_VERSION_STRING ", %d: %d\n", WEFT_VERSION, weft::sync_wait(work()));
    }
}
