// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// before: GNU 3, Clang 1

#include <weft/stackful.hpp>
#include <weft/task.hpp>

weft::task<int> awaited() {
    co_return co_await weft::stackful([](auto&) { return 1; });
}

int waited_for() {
    return weft::sync_wait(weft::stackful([](auto&) { return 1; }));
}

int ambient() {
    return weft::await(weft::stackful([](auto&) { return 1; }));
}

auto task = weft::stackful<weft::task<int>>([](auto& co) -> int {
    return co.await(weft::stackful([](auto&) { return 1; }));
});
