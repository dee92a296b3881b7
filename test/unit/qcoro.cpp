// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// QCoro's coroutine types, from its package, with stackful bodies and awaited in them. Their promises are final. (Its
// Generator is left out: moving one makes two that destroy the same coroutine.)

#include "awaiters.hpp"

#include <weft/await.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <QCoroAsyncGenerator>
#include <QCoroTask>
#include <QCoroTimer>
#include <QCoreApplication>
#include <QTimer>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono_literals;

/// Qt's event loop, for the whole program.
struct application {
    int argc = 1;
    char name[5] = "unit";
    char* argv[2] = {name, nullptr};
    QCoreApplication qt{argc, argv};
};
application& running() {
    static application instance;
    return instance;
}
struct with_events {
    with_events() { running(); }
};

QCoro::Task<int> after_a_timer(int n) {
    co_await QCoro::sleepFor(1ms);
    co_return n;
}
QCoro::Task<int> at_once(int n) {
    co_return n;
}
QCoro::Task<int> fails_after_a_timer() {
    co_await QCoro::sleepFor(1ms);
    throw std::runtime_error{"too late"};
}

/// Runs Qt's events until the task has ended. (QCoro::waitFor waits for ever for one that throws.)
template <class T>
T wait_for(QCoro::Task<T> task) {
    outcome<T> result;
    observe(std::move(task), result);
    while (!result.done) QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    if (result.failure) std::rethrow_exception(result.failure);
    if constexpr (!std::is_void_v<T>) return *result.value;
}

} // namespace

BOOST_AUTO_TEST_SUITE(qcoro, *boost::unit_test::fixture<with_events>())

BOOST_AUTO_TEST_CASE(a_task_has_a_stackful_body_that_awaits_by_co) {
    auto task = weft::stackful<QCoro::Task<int>>([](auto& co) {
        QTimer timer;
        timer.setSingleShot(true);
        timer.start(1ms);
        co.await(timer); // an awaitable only through QCoro's await_transform
        auto named = after_a_timer(20);
        return co.await(named) + co.await(after_a_timer(20)) + co.await(at_once(2));
    });
    BOOST_TEST(wait_for(std::move(task)) == 42);
}

BOOST_AUTO_TEST_CASE(a_task_has_a_stackful_body_that_awaits_by_weft) {
    stage s;
    const auto below = [](int depth, auto& self) -> int {
        return depth == 0 ? weft::await(after_a_timer(40)) : self(depth - 1, self);
    };
    auto task = weft::stackful<QCoro::Task<int>>([&](auto&) {
        QTimer::singleShot(0, [&] { s.run(); });
        weft::await(until_run{&s});
        return below(10, below) + weft::await(at_once(2));
    });
    BOOST_TEST(wait_for(std::move(task)) == 42);
}

BOOST_AUTO_TEST_CASE(exceptions_pass_both_ways) {
    auto task = weft::stackful<QCoro::Task<int>>([](auto& co) -> int {
        BOOST_CHECK_THROW(co.await(fails_after_a_timer()), std::runtime_error);
        BOOST_CHECK_THROW(weft::await(fails_after_a_timer()), std::runtime_error);
        throw std::out_of_range{"far"};
    });
    BOOST_CHECK_THROW(wait_for(std::move(task)), std::out_of_range);
}

BOOST_AUTO_TEST_CASE(it_begins_at_once_and_an_ordinary_one_awaits_it) {
    std::string order;
    const auto stackful = [&]() -> QCoro::Task<> {
        return weft::stackful([&](auto& co) {
            order += "begins;";
            co.await(QCoro::sleepFor(1ms));
            order += "ends;";
        });
    };
    const auto ordinary = [&]() -> QCoro::Task<> {
        auto task = stackful();
        order += "made;";
        co_await task;
        order += "awaited;";
    };
    auto outer = ordinary();
    BOOST_TEST(order == "begins;made;");
    wait_for(std::move(outer));
    BOOST_TEST(order == "begins;made;ends;awaited;");
}

BOOST_AUTO_TEST_CASE(a_task_is_an_operand_in_a_body_of_another_type) {
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([](auto& co) {
                return co.await(after_a_timer(40)) + weft::await(after_a_timer(2));
            }),
            result);
    while (!result.done) QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    BOOST_TEST(result.value.value() == 42);
}

BOOST_AUTO_TEST_CASE(an_asynchronous_generator_has_a_stackful_body) {
    auto consumer = []() -> QCoro::Task<int> {
        auto numbers = weft::stackful<QCoro::AsyncGenerator<int>>([](auto& co) {
            for (int i = 1; i <= 3; ++i) {
                co.await(QCoro::sleepFor(1ms));
                weft::await(QCoro::sleepFor(1ms));
                co.yield(std::move(i));
            }
            throw std::out_of_range{"no more"};
        });
        int sum = 0;
        try {
            for (auto i = co_await numbers.begin(); i != numbers.end(); co_await ++i) sum = 10 * sum + *i;
        } catch (const std::out_of_range&) {
            co_return sum;
        }
        co_return 0;
    }();
    BOOST_TEST(wait_for(std::move(consumer)) == 123);
}

BOOST_AUTO_TEST_SUITE_END()
