// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// From async_simple's uthread: what is between the marks are the right-hand lines of the table in README.md. Asio's
// io_context stands where async_simple's Executor stood.

#include <weft/asio.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <iostream>
#include <memory>
#include <utility>

namespace asio = boost::asio;

namespace {

/// A coroutine; async_simple's would be a Lazy<int>.
weft::task<int> ask(int n) {
    co_return n + 1;
}

/// A function that calls back.
template <class Callback>
void start(asio::io_context& context, Callback callback) {
    asio::post(context, [callback = std::move(callback)]() mutable { std::move(callback)(30); });
}

} // namespace

int main() {
    asio::io_context context;
    // after
    using coroutine = asio::awaitable<void>;
    using namespace asio::experimental::awaitable_operators;

    auto part = [&](const char* name) {
        return weft::stackful<coroutine>([&context, name](auto&) {
            asio::post(context, weft::use_fiber);
            std::cout << "part " << name << '\n';
        });
    };

    auto serve = [&](auto& co) {
        int n = weft::await(ask(19));
        std::cout << "asked: " << n << '\n';

        auto initiate = [&](auto handler) { start(context, std::move(handler)); };
        int m = asio::async_initiate<const weft::use_fiber_t, void(int)>(initiate, weft::use_fiber);
        std::cout << "called back: " << m << '\n';

        co.await(part("one") && part("two"));
    };

    asio::co_spawn(context, weft::stackful<coroutine>(serve), asio::detached);
    context.run();

    context.restart();
    const weft::guarded_stack stack{256 * 1024};
    asio::co_spawn(context, weft::stackful<coroutine>(std::allocator_arg, stack, serve), asio::detached);
    context.run();
    // end
}
