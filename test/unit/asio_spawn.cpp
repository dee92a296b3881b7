// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What the bodies of awaitables can do below any depth of calls, and how weft::co_spawn starts them. Of Boost.Asio, and,
// compiled with WEFT_STANDALONE_ASIO, of the standalone Asio.

#include "net.hpp"

#include "recorded_stacks.hpp"
#include "tracked.hpp"

#include <weft/generator.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;
using weft_test::at_exit_of_scope;
using weft_test::tracked;

namespace {

using any_co = weft::coroutine_ref_for<net::awaitable<void>>;

void rethrow(std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
}

// Of one type, as each body of another type takes a third of a second to compile.
using any_body = std::function<void(any_co&)>;
void start_body(const net::any_io_executor& executor, any_body body) {
    weft::co_spawn(executor, std::move(body), rethrow);
}

/// Runs a body to its end.
void run_body(const any_body& body) {
    net::io_context io;
    bool ended = false;
    start_body(io.get_executor(), [&](auto& co) {
        body(co);
        ended = true;
    });
    io.run();
    BOOST_TEST(ended);
}

/// What is thrown, in words.
template <class Exception, class Fn>
std::string thrown(Fn&& fn) {
    try {
        std::forward<Fn>(fn)();
    } catch (const Exception& e) {
        return e.what();
    }
    return "nothing";
}
bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

/// Calls what it is given below a function of C, once: how often qsort compares is its own affair.
void below_c(const std::function<void()>& fn) {
    static const std::function<void()>* callback;
    callback = &fn;
    int two[] = {1, 2};
    std::qsort(two, 2, sizeof(int), [](const void*, const void*) {
        if (const auto* const once = std::exchange(callback, nullptr)) (*once)();
        return 0;
    });
}

net::awaitable<void> a_moment() {
    net::steady_timer timer(co_await net::this_coro::executor, 1ms);
    co_await timer.async_wait(net::use_awaitable);
}
net::awaitable<std::unique_ptr<int>> later(int n) {
    co_await a_moment();
    if (n < 0) throw std::out_of_range{"below zero"};
    co_return std::make_unique<int>(n);
}
net::awaitable<void> for_ever(int value = 0) {
    const tracked local{value};
    net::steady_timer timer(co_await net::this_coro::executor, net::steady_timer::time_point::max());
    co_await timer.async_wait(net::use_awaitable);
}

int named_body(any_co& co) {
    co.await(a_moment());
    return 4;
}

/// Cancels what a body waits for with `wait`.
void check_cancelled(const std::function<void()>& wait) {
    net::io_context io;
    net::cancellation_signal signal;
    std::exception_ptr seen;
    int ended = 0;
    weft::co_spawn(io, [&](auto&) { wait(); }, net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                       seen = e;
                       ++ended;
                   }));
    net::steady_timer timer(io, 2ms);
    timer.async_wait([&](auto) { signal.emit(net::cancellation_type::terminal); });
    io.run_for(20s);
    BOOST_TEST(ended == 1);
    BOOST_CHECK_EXCEPTION(rethrow(seen), errors::system_error,
                          [](const errors::system_error& e) { return e.code() == net::error::operation_aborted; });
}

} // namespace

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(spawned)

BOOST_AUTO_TEST_CASE(with_every_token) {
    net::io_context io;
    int ended = 0;
    weft::co_spawn(io, [&, owned = std::make_unique<int>(1)](auto&) mutable { ended += *std::exchange(owned, nullptr); },
                   net::detached);
    std::future<int> future = weft::co_spawn(io.get_executor(), named_body, net::use_future);
    std::future<void> nothing = weft::co_spawn(net::make_strand(io), [](auto& co) { co.await(a_moment()); }, net::use_future);
    std::future<int> failing = weft::co_spawn(
        io, [](auto&) -> int { throw std::runtime_error{"the body"}; }, net::use_future);
    net::co_spawn(
        io,
        [&]() -> net::awaitable<void> {
            const std::string text = co_await weft::co_spawn(
                io, [](auto& co) { return std::to_string(*co.await(later(5))); }, net::use_awaitable);
            BOOST_TEST(text == "5");
            ++ended;
        },
        rethrow);
    weft::co_spawn(
        io,
        [&](auto&) {
            const std::unique_ptr<int> inner =
                weft::co_spawn(weft::this_executor(), [](auto&) { return weft::await(later(6)); }, weft::use_fiber);
            BOOST_TEST(*inner == 6);
            ++ended;
        },
        rethrow);
    io.run();
    BOOST_TEST(ended == 3);
    BOOST_TEST(future.get() == 4);
    nothing.get();
    BOOST_CHECK_THROW(failing.get(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(the_signature_follows_the_body) {
    net::io_context io;
    int seen = 0;
    static const std::string kept = "kept";
    weft::co_spawn(io, [](auto&) -> const std::string& { return kept; }, [&](std::exception_ptr, auto&& value) {
        static_assert(std::is_same_v<std::decay_t<decltype(value)>, std::string>);
        BOOST_TEST(value == kept);
        ++seen;
    });
    weft::co_spawn(io, [](auto&) {}, [&](auto&&... nothing) {
        static_assert(sizeof...(nothing) == 1);
        ++seen;
    });
    weft::co_spawn(io, [](auto&) -> int { throw 5; }, [&](std::exception_ptr e, int) {
        BOOST_CHECK_THROW(rethrow(e), int);
        ++seen;
    });
    io.run();
    BOOST_TEST(seen == 3);
}

BOOST_AUTO_TEST_CASE(with_options_and_on_a_stack_of_its_own_choice) {
    net::io_context io;
    weft_test::recorded_stacks stacks;
    std::string name;
    bool there = false;
    weft::co_spawn(io, weft::fiber_options{.name = "worker"}, [&](auto&) { name = weft::this_fiber::get().name(); }, rethrow);
    weft::co_spawn(io, std::allocator_arg, stacks.get(),
                   [&](auto&) {
                       there = weft_test::lies_on(stacks.last(), weft_test::here());
                       return 1;
                   },
                   net::detached);
    io.run();
    BOOST_TEST(name == "worker");
    BOOST_TEST(there);
    BOOST_TEST(stacks.out() == 0u);
}

// Though the token is weft's.
BOOST_AUTO_TEST_CASE(an_unqualified_co_spawn_is_that_of_asio) {
    run_body([](auto&) {
        auto executor = weft::this_executor();
        co_spawn(executor, a_moment(), weft::use_fiber);
        BOOST_TEST(*co_spawn(weft::this_executor(), [] { return later(2); }, weft::use_fiber) == 2);
    });
}

// Nothing runs, and all is destroyed.
BOOST_AUTO_TEST_CASE(in_a_context_that_never_runs) {
    const int before = tracked::alive();
    {
        net::io_context io;
        weft::co_spawn(io, [held = std::make_unique<tracked>()](auto&) { return 1; }, net::detached);
        BOOST_TEST(tracked::alive() == before + 1);
    }
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(ambient)

BOOST_AUTO_TEST_CASE(the_executor_from_any_depth) {
    net::io_context io;
    const auto strand = net::make_strand(io);
    int asked = 0;
    start_body(strand, [&](auto& co) {
        const auto check = [&] {
            BOOST_TEST((weft::this_executor() == net::any_io_executor{strand}));
            ++asked;
        };
        below_c(check);
        weft::generator<int> numbers{[&](auto& out) {
            check();
            out.yield(1);
        }};
        for (int n : numbers) BOOST_TEST(n == 1);
        co.await(a_moment());
        check();
    });
    io.run();
    BOOST_TEST(asked == 3);
}

BOOST_AUTO_TEST_CASE(no_executor) {
    BOOST_TEST(contains(thrown<weft::not_in_fiber>([] { static_cast<void>(weft::this_executor()); }), "outside of"));
    BOOST_TEST(contains(thrown<weft::not_in_fiber>([] { weft::sleep_for(1ms); }), "outside of"));
    weft::sync_wait(weft::stackful<weft::task<>>([](auto&) {
        BOOST_TEST(contains(thrown<weft::not_in_fiber>([] { static_cast<void>(weft::this_executor()); }), "pass one"));
        BOOST_TEST(contains(thrown<weft::not_in_fiber>([] { weft::sleep_for(1ms); }), "steady_timer"));
        BOOST_TEST(contains(thrown<weft::not_in_fiber>([] { weft::await(a_moment()); }), "asio::co_spawn(executor"));
    }));
}

// The awaitable's frame is on its way out: nobody asks it.
BOOST_AUTO_TEST_CASE(no_executor_while_the_body_is_unwound) {
    bool unwound = false;
    {
        net::io_context io;
        start_body(io.get_executor(), [&](auto&) {
            const at_exit_of_scope asks{[&] {
                try {
                    static_cast<void>(weft::this_executor());
                } catch (const weft::forced_unwind&) {
                    unwound = true;
                }
            }};
            weft::sleep_for(1h);
        });
        io.poll();
    }
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_CASE(sleeps) {
    run_body([](auto&) {
        const auto begin = std::chrono::steady_clock::now();
        below_c([] { weft::sleep_for(2ms); });
        BOOST_TEST((std::chrono::steady_clock::now() - begin >= 2ms));
        weft::sleep_for(std::chrono::duration<double, std::milli>(0.1)); // finer than the clock, or not whole
        weft::sleep_for(-1h);
        const auto time = std::chrono::system_clock::now() + 2ms;
        weft::sleep_until(time);
        BOOST_TEST((std::chrono::system_clock::now() >= time));
        weft::sleep_until(std::chrono::time_point_cast<std::chrono::hours>(std::chrono::steady_clock::now()));
    });
    check_cancelled([] { weft::sleep_for(std::chrono::hours::max()); });
    check_cancelled([] { weft::sleep_for(std::chrono::duration<double>(1e300)); });
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(awaitables_by_weft_await)

BOOST_AUTO_TEST_CASE(results_and_exceptions) {
    run_body([](auto&) {
        weft::await(a_moment());
        below_c([] { BOOST_TEST(*weft::await(later(7)) == 7); });
        BOOST_TEST(thrown<std::out_of_range>([] { weft::await(later(-1)); }) == "below zero");
        auto kept = later(8);
        BOOST_TEST(*weft::await(std::move(kept)) == 8);
        weft::generator<int> numbers{[](auto& out) { out.yield(*weft::await(later(9))); }};
        for (int n : numbers) BOOST_TEST(n == 9);
        BOOST_TEST(weft::await(weft::stackful<net::awaitable<int>>([](auto&) { return *weft::await(later(10)); })) == 10);
    });
}

BOOST_AUTO_TEST_CASE(cancellation_passes_on) {
    const int before = tracked::alive();
    check_cancelled([] { weft::await(for_ever()); });
    check_cancelled([] { below_c([] { weft::await(for_ever()); }); });
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(destroyed_with_the_context) {
    const int before = tracked::alive();
    {
        net::io_context io;
        start_body(io.get_executor(), [](auto&) {
            const tracked local;
            weft::await(for_ever());
        });
        io.poll();
        BOOST_TEST(tracked::alive() == before + 2);
    }
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(only_with_the_executor_type_of_the_body) {
    using io_executor = net::io_context::executor_type;
    using other = net::awaitable<int, io_executor>;
    net::io_context io;
    int seen = 0;
    const auto five = []() -> other { co_return 5; };
    net::co_spawn(
        io, [&]() -> net::awaitable<void, io_executor> {
            return weft::stackful([&](auto&) {
                BOOST_TEST(weft::await(five()) == 5);
                BOOST_TEST(contains(thrown<weft::not_in_fiber>([] { weft::await(a_moment()); }), "the same executor type"));
                ++seen;
            });
        },
        rethrow);
    start_body(io.get_executor(), [&](auto&) {
        BOOST_TEST(contains(thrown<weft::not_in_fiber>([&] { weft::await(five()); }), "the same executor type"));
        BOOST_TEST(net::co_spawn(io, five(), weft::use_fiber) == 5); // as it says
        ++seen;
    });
    io.run();
    BOOST_TEST(seen == 2);
}

BOOST_AUTO_TEST_CASE(by_the_name_of_the_type) {
    run_body([](any_co& co) {
        void* const user_data = &co;
        below_c([&] { BOOST_TEST(*static_cast<any_co*>(user_data)->await(later(3)) == 3); });
    });
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(by_default)

template <class T>
using on_fibers = weft::use_fiber_t::as_default_on_t<T>;

BOOST_AUTO_TEST_CASE(acceptors_sockets_and_timers) {
    using net::ip::tcp;
    net::io_context io;
    on_fibers<tcp::acceptor> acceptor(io, tcp::endpoint{net::ip::address_v4::loopback(), 0});
    int ended = 0;
    start_body(io.get_executor(), [&](auto&) {
        auto accepted = acceptor.async_accept();
        static_assert(std::is_same_v<decltype(accepted), on_fibers<tcp::socket>>); // rebound, too
        char text[4];
        accepted.async_read_some(net::buffer(text));
        accepted.async_write_some(net::buffer(text));
        ++ended;
    });
    start_body(io.get_executor(), [&](auto&) {
        auto socket = weft::use_fiber_t::as_default_on(tcp::socket{io});
        static_assert(std::is_same_v<decltype(socket), on_fibers<tcp::socket>>);
        socket.async_connect(acceptor.local_endpoint());
        on_fibers<net::steady_timer> timer(weft::this_executor(), 1ms);
        timer.async_wait();
        socket.async_write_some(net::buffer("ping", 4));
        std::string text(4, ' ');
        BOOST_TEST(socket.async_read_some(net::buffer(text)) == 4u);
        BOOST_TEST(text == "ping");
        // What has the executor of such an object passes the default on, to co_spawn's bodies, too.
        weft::co_spawn(socket.get_executor(), [&](auto&) { ++ended; }, weft::use_fiber);
        ++ended;
    });
    io.run();
    BOOST_TEST(ended == 3);
}

// The operation has nothing to complete on but the system executor.
BOOST_AUTO_TEST_CASE(a_post_without_an_executor) {
    run_body([](auto&) { net::post(weft::use_fiber); });
    weft::sync_wait(weft::stackful<weft::task<>>([](auto&) { net::post(weft::use_fiber); }));
    const int before = tracked::alive();
    {
        net::io_context io; // ends while the post is on its way
        start_body(io.get_executor(), [](auto&) {
            const tracked local;
            net::post(weft::use_fiber);
        });
        io.poll_one();
    }
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_SUITE_END()
