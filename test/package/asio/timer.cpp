// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <chrono>
#include <cstdio>

boost::asio::awaitable<void> work(boost::asio::steady_timer& timer) {
    return weft::stackful([&](auto&) {
        timer.expires_after(std::chrono::milliseconds{1});
        timer.async_wait(weft::use_fiber);
        std::puts("weft::asio: waited");
    });
}

int main() {
    boost::asio::io_context context;
    boost::asio::steady_timer timer(context);
    boost::asio::co_spawn(context, work(timer), boost::asio::detached);
    context.run();
}
