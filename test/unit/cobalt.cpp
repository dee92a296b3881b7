// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Boost.Cobalt's coroutine types, where Boost has it (1.84) and it is installed.

#include <weft/await.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/cobalt.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <stdexcept>

namespace {

namespace asio = boost::asio;
namespace cobalt = boost::cobalt;
using namespace std::chrono_literals;

void wait_a_little(auto& co) {
    asio::steady_timer timer(cobalt::this_thread::get_executor(), 1ms);
    co.await(timer.async_wait(cobalt::use_op));
}

cobalt::task<int> plain_task(int n) {
    asio::steady_timer timer(co_await cobalt::this_coro::executor, 1ms);
    co_await timer.async_wait(cobalt::use_op);
    co_return n;
}
cobalt::task<int> stackful_task(int n) {
    return weft::stackful([n](auto& co) {
        wait_a_little(co);
        return co.await(plain_task(n));
    });
}
cobalt::promise<int> stackful_promise(int n) {
    return weft::stackful([n](auto& co) {
        wait_a_little(co);
        return co.await(stackful_task(n));
    });
}
cobalt::generator<int> stackful_generator() {
    return weft::stackful([](auto& co) {
        for (int i = 1; i <= 2; ++i) {
            wait_a_little(co);
            co.yield(i);
        }
        return 3;
    });
}
cobalt::task<int> ambient_task(int n) {
    return weft::stackful([n](auto&) { return weft::await(std::suspend_never{}), n; });
}
cobalt::task<int> failing_task() {
    return weft::stackful([](auto& co) -> int {
        wait_a_little(co);
        throw std::runtime_error("it failed");
    });
}

} // namespace

BOOST_AUTO_TEST_SUITE(cobalt_types)

BOOST_AUTO_TEST_CASE(a_task_has_a_stackful_body) {
    BOOST_TEST(cobalt::run(stackful_task(42)) == 42);
    BOOST_TEST(cobalt::run(ambient_task(43)) == 43);
}

BOOST_AUTO_TEST_CASE(a_task_fails_with_what_leaves_its_body) {
    BOOST_CHECK_THROW(cobalt::run(failing_task()), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_promise_and_a_generator_have_stackful_bodies) {
    BOOST_TEST(cobalt::run([]() -> cobalt::task<int> {
                   auto promise = stackful_promise(4);
                   auto numbers = stackful_generator();
                   int sum = 0;
                   while (numbers) sum = 10 * sum + co_await numbers;
                   co_return 10 * sum + co_await promise;
               }()) == 1234);
}

BOOST_AUTO_TEST_SUITE_END()
