// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::task: a task of a reference cannot return a temporary
// before: GNU 3, Clang 1

#include <weft/task.hpp>

#include <string>

weft::task<const std::string&> fn() {
    co_return "a temporary";
}
