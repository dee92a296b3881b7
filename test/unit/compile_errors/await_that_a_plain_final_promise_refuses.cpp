// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: the coroutines of this type cannot await this operand
// before: GNU 11, Clang 1

#include "../coroutine_types.hpp"

#include <weft/stackful.hpp>

struct sealed {
    struct promise_type final {
        sealed get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
        std::suspend_never await_transform(int) { return {}; }
    };
};

auto coroutine = weft::stackful<sealed>([](auto& co) { co.await(std::suspend_always{}); });
