// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::task: a task of a reference cannot return a temporary
// before: GNU 6, Clang 1

#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <string>

std::string text;
auto task = weft::stackful<weft::task<const std::string&>>([](auto&) { return text; }); // a copy
