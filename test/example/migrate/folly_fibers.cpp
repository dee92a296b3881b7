// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// From folly::fibers: what is between the marks are the right-hand lines of the table in README.md. Asio's io_context
// stands where folly's EventBase and FiberManager stood.

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <chrono>
#include <future>
#include <iostream>
#include <memory>
#include <utility>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// A function that calls back.
template <class Callback>
void start(asio::io_context& context, Callback callback) {
    asio::post(context, [callback = std::move(callback)]() mutable { std::move(callback)(30); });
}

} // namespace

int main() {
    // after
    asio::io_context context;
    using coroutine = asio::awaitable<void>;
    using namespace asio::experimental::awaitable_operators;

    auto part = [&](const char* name) {
        return weft::stackful<coroutine>([&context, name](auto&) {
            asio::post(context, weft::use_fiber);
            std::cout << "part " << name << '\n';
        });
    };

    auto serve = [&](auto& co) {
        asio::post(context, weft::use_fiber);

        auto initiate = [&](auto handler) { start(context, std::move(handler)); };
        int n = asio::async_initiate<const weft::use_fiber_t, void(int)>(initiate, weft::use_fiber);
        std::cout << "called back: " << n << '\n';

        co.await(part("one") && part("two"));

        asio::steady_timer baton{context, asio::steady_timer::time_point::max()};
        asio::post(context, [&] { baton.cancel(); });
        boost::system::error_code posted;
        baton.async_wait(asio::redirect_error(weft::use_fiber, posted));
        std::cout << "posted\n";

        asio::steady_timer limited{context, 1ms};
        boost::system::error_code ended;
        limited.async_wait(asio::redirect_error(weft::use_fiber, ended));
        std::cout << (ended ? "posted in time\n" : "timed out\n");
    };

    asio::co_spawn(context, weft::stackful<coroutine>(serve), asio::detached);
    context.run();

    context.restart();
    auto body = [](auto&) { return 40; };
    std::future<int> result = asio::co_spawn(context, weft::stackful<asio::awaitable<int>>(body), asio::use_future);
    context.run();
    std::cout << "result: " << result.get() << '\n';

    context.restart();
    const weft::guarded_stack stack{256 * 1024};
    asio::co_spawn(context, weft::stackful<coroutine>(std::allocator_arg, stack, serve), asio::detached);
    context.run();
    // end
}
