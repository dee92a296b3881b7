// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::await: this operand can be awaited only by coroutines of its own library: use co.await
// before: GNU 4, Clang 1

#include <weft/await.hpp>

struct other_promise;
struct other_awaiter {
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<other_promise>) const {}
    void await_resume() const {}
};

void fn() {
    weft::await(other_awaiter{});
}
