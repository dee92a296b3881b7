// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// From Boost.Asio's spawn: what is between the marks are the lines of the table in README.md. Both halves run and must
// print the same.

#define BOOST_ASIO_DISABLE_BOOST_COROUTINE // spawn on Boost.Context alone

#include "same_output.hpp"

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/context/fixedsize_stack.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <ostream>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

asio::awaitable<int> twice(int n) {
    co_return 2 * n;
}

const auto rethrow = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
};

void with_spawn(std::ostream& log) {
    asio::io_context context;
    // before
    struct waiter {
        static void pause(asio::steady_timer& timer, asio::yield_context yield) {
            timer.expires_after(1ms);
            timer.async_wait(yield);
        }
    };

    auto serve = [&](asio::yield_context yield) {
        asio::steady_timer timer{yield.get_executor()};
        waiter::pause(timer, yield);
        log << "waited\n";

        boost::system::error_code error;
        timer.expires_after(1h);
        asio::post(context, [&] { timer.cancel(); });
        timer.async_wait(yield[error]);
        log << "cancelled: " << (error == asio::error::operation_aborted) << '\n';

        auto [failure, eight] = asio::co_spawn(context, twice(4), asio::as_tuple(yield));
        if (failure) std::rethrow_exception(failure);
        log << "twice 4 is " << eight << '\n';
    };

    asio::spawn(context, serve, rethrow);
    context.run();

    context.restart();
    asio::spawn(context, std::allocator_arg, boost::context::fixedsize_stack{256 * 1024}, serve, rethrow);
    context.run();
    // end
}

void with_weft(std::ostream& log) {
    asio::io_context context;
    // after
    struct waiter {
        static void pause(asio::steady_timer& timer) {
            timer.expires_after(1ms);
            timer.async_wait(weft::use_fiber);
        }
    };

    auto serve = [&](auto& co) {
        asio::steady_timer timer{co.await(asio::this_coro::executor)};
        waiter::pause(timer);
        log << "waited\n";

        boost::system::error_code error;
        timer.expires_after(1h);
        asio::post(context, [&] { timer.cancel(); });
        timer.async_wait(asio::redirect_error(weft::use_fiber, error));
        log << "cancelled: " << (error == asio::error::operation_aborted) << '\n';

        int eight = co.await(twice(4));
        log << "twice 4 is " << eight << '\n';
    };

    using coroutine = asio::awaitable<void>;
    asio::co_spawn(context, weft::stackful<coroutine>(serve), rethrow);
    context.run();

    context.restart();
    const weft::guarded_stack stack{256 * 1024};
    asio::co_spawn(context, weft::stackful<coroutine>(std::allocator_arg, stack, serve), rethrow);
    context.run();
    // end
}

} // namespace

int main() {
    return migrate::same_output(with_spawn, with_weft) ? EXIT_SUCCESS : EXIT_FAILURE;
}
