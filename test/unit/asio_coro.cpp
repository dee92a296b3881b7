// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Asio's experimental coroutines, whose promise is final, sees their arguments and takes some operands only.

#include <weft/await.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/co_spawn.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/asio/experimental/use_coro.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <coroutine>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

template <class Yield, class Return = void>
using coro = asio::experimental::coro<Yield, Return>;

coro<void, int> plain_after_a_timer(asio::io_context& io, int n) {
    asio::steady_timer timer(io, 1ms);
    co_await timer.async_wait(asio::experimental::use_coro);
    co_return n;
}

coro<void, int> stackful_after_a_timer(asio::io_context& io, int n) {
    return weft::stackful<coro<void, int>, asio::io_context&, int>(
        [](auto& co, asio::io_context& context, int number) {
            asio::steady_timer timer(context, 1ms);
            co.await(timer.async_wait(asio::deferred));
            auto plain = plain_after_a_timer(context, number);
            return co.await(plain);
        },
        io, n);
}

coro<int> stackful_numbers(asio::io_context& io) {
    return weft::stackful<coro<int>, asio::io_context&>(
        [](auto& co, asio::io_context& context) {
            asio::steady_timer timer(context);
            const auto emit = [&](int n) {
                timer.expires_after(1ms);
                co.await(timer.async_wait(asio::deferred));
                co.yield(n);
            };
            for (int i = 1; i <= 3; ++i) emit(i);
        },
        io);
}

coro<void, int> stackful_failure(asio::io_context& io) {
    return weft::stackful<coro<void, int>, asio::io_context&>(
        [](auto& co, asio::io_context& context) -> int {
            asio::steady_timer timer(context, 1ms);
            co.await(timer.async_wait(asio::deferred));
            throw std::runtime_error("it failed");
        },
        io);
}

coro<void, int> plain_consumer(asio::io_context& io) {
    auto numbers = stackful_numbers(io);
    int sum = 0;
    while (const std::optional<int> n = co_await numbers) sum = 10 * sum + *n;
    auto last = stackful_after_a_timer(io, 4);
    co_return 10 * sum + co_await last;
}

template <class T, class Coroutine>
std::pair<std::exception_ptr, std::optional<T>> run(asio::io_context& io, Coroutine coroutine) {
    std::pair<std::exception_ptr, std::optional<T>> result;
    asio::experimental::co_spawn(std::move(coroutine), [&](std::exception_ptr failure, auto value) {
        result.first = failure;
        if (!failure) result.second = value;
    });
    io.run();
    return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(asio_coro)

BOOST_AUTO_TEST_CASE(has_a_stackful_body_that_awaits_operations_and_coroutines) {
    asio::io_context io;
    const auto [failure, value] = run<int>(io, stackful_after_a_timer(io, 42));
    BOOST_TEST(!failure);
    BOOST_TEST(value.value() == 42);
}

BOOST_AUTO_TEST_CASE(has_a_stackful_body_that_yields_and_is_awaited_by_a_plain_one) {
    asio::io_context io;
    const auto [failure, value] = run<int>(io, plain_consumer(io));
    BOOST_TEST(!failure);
    BOOST_TEST(value.value() == 1234);
}

BOOST_AUTO_TEST_CASE(fails_with_what_leaves_the_body) {
    asio::io_context io;
    const auto result = run<int>(io, stackful_failure(io));
    BOOST_REQUIRE(result.first);
    BOOST_CHECK_THROW(std::rethrow_exception(result.first), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(does_not_take_a_weft_await) {
    asio::io_context io;
    const auto result = run<int>(io, weft::stackful<coro<void, int>, asio::io_context&>(
                                         [](auto&, asio::io_context&) {
                                             BOOST_CHECK_THROW(weft::await(std::suspend_always{}), weft::not_in_fiber);
                                             return 1;
                                         },
                                         io));
    BOOST_TEST(result.second.value() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
