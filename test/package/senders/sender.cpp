// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/senders.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <cstdio>

weft::task<int> work() {
    return weft::stackful([](auto&) { return weft::await(weft::detail::execution::just(42)); });
}

int main() {
    std::printf("weft::senders: %d\n", weft::sync_wait(work()));
}
