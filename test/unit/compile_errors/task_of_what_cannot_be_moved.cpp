// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::task<T>: T is void, a reference, or a type whose objects can be moved
// before: GNU 3, Clang 1

#include <weft/task.hpp>

struct pinned {
    pinned(int) {}
    pinned(const pinned&) = delete;
};

weft::task<pinned> fn() {
    co_return 1;
}
