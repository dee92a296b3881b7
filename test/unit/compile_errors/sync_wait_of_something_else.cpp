// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::sync_wait: this is not awaitable here
// before: GNU 4, Clang 1

#include <weft/task.hpp>

int fn() {
    return weft::sync_wait(5);
}
