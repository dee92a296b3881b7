// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::sync_wait: this is not awaitable here

#include <weft/task.hpp>

void fn() {
    weft::sync_wait(5);
}
