// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/asio.hpp>

namespace net = boost::asio;
namespace errors = boost::system;

#include "asio_cases.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

BOOST_AUTO_TEST_SUITE(operators)

BOOST_AUTO_TEST_CASE(a_stackful_operand_that_loses_against_a_timer_is_cancelled) {
    using namespace net::experimental::awaitable_operators;
    net::io_context context;
    errors::error_code seen;
    bool unwound = false;
    const auto slow = [&]() -> net::awaitable<int> {
        return weft::stackful([&](auto&) {
            const at_exit note{[&] { unwound = true; }};
            try {
                long_timer(context).async_wait(weft::use_fiber);
            } catch (const errors::system_error& e) {
                seen = e.code();
                throw;
            }
            return 1;
        });
    };
    std::size_t winner = 99;
    spawn(context, [&]() -> net::awaitable<void> {
        net::steady_timer timer{context, std::chrono::milliseconds{5}};
        const auto result = co_await (slow() || timer.async_wait(net::use_awaitable));
        winner = result.index();
    });
    context.run();
    BOOST_TEST(winner == 1u);
    BOOST_TEST(seen == net::error::operation_aborted);
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_CASE(a_stackful_operand_can_win) {
    using namespace net::experimental::awaitable_operators;
    net::io_context context;
    const auto quick = [&]() -> net::awaitable<int> {
        return weft::stackful([&](auto&) {
            net::post(context, weft::use_fiber);
            return 5;
        });
    };
    int value = 0;
    spawn(context, [&]() -> net::awaitable<void> {
        auto timer = long_timer(context);
        auto result = co_await (quick() || timer.async_wait(net::use_awaitable));
        value = std::get<0>(result);
        const auto [a, b] = co_await (quick() && quick());
        value = 100 * value + 10 * a + b;
    });
    context.run();
    BOOST_TEST(value == 555);
}

BOOST_AUTO_TEST_SUITE_END()
