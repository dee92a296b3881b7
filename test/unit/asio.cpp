// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The tests of weft's Asio adapter: of Boost.Asio, and, compiled with WEFT_STANDALONE_ASIO, of the standalone Asio.

#include "net.hpp"

#include "awaiters.hpp"
#include "blocks_in_use.hpp"
#include "child.hpp"
#include "foreign.hpp"
#include "matrix.hpp"

#include <weft/await.hpp>
#include <weft/generator.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using concrete_executor = net::io_context::executor_type;

/// Runs a coroutine; an exception of it leaves context.run().
template <class Context, class Coroutine>
void spawn(Context& context, Coroutine&& coroutine) {
    net::co_spawn(context, std::forward<Coroutine>(coroutine), [](std::exception_ptr failure, auto&&...) {
        if (failure) std::rethrow_exception(failure);
    });
}

/// Runs a stackful body as an awaitable, to its end.
template <class Fn>
void run_body(net::io_context& context, Fn fn) {
    bool ended = false;
    spawn(context, [&]() -> net::awaitable<void> {
        return weft::stackful([&](auto& co) {
            fn(co);
            ended = true;
        });
    });
    context.run();
    context.restart();
    BOOST_TEST(ended);
}

/// Runs a stackful body as a weft::task, on this thread, while the context runs on another one.
template <class Fn>
void run_task_body(net::io_context& context, Fn fn) {
    auto work = net::make_work_guard(context);
    std::thread runner{[&] { context.run(); }};
    std::exception_ptr failure;
    try {
        weft::sync_wait(weft::stackful<weft::task<>>(fn));
    } catch (...) {
        failure = std::current_exception();
    }
    work.reset();
    runner.join();
    context.restart();
    if (failure) std::rethrow_exception(failure);
}

net::steady_timer short_timer(net::io_context& context) {
    return net::steady_timer{context, std::chrono::milliseconds{1}};
}
net::steady_timer long_timer(net::io_context& context) {
    return net::steady_timer{context, std::chrono::hours{1}};
}

/// Does the executor run this thread? Out of line and asked anew at every call: a compiler may keep the address of the
/// thread_local variable that Asio looks at for as long as a function lasts, and these functions change threads.
template <class Executor>
[[gnu::noinline]] bool runs_here(const Executor& executor) {
    asm volatile("" ::: "memory");
    return executor.running_in_this_thread();
}

/// An awaitable made out of line, for the same reason: Asio keeps the memory of such coroutines per thread.
template <class Executor>
[[gnu::noinline]] net::awaitable<void> posted(Executor& executor) {
    asm volatile("" ::: "memory");
    return net::post(executor, net::use_awaitable);
}

template <class Fn>
struct at_exit {
    Fn fn;
    ~at_exit() { fn(); }
};
template <class Fn>
at_exit(Fn) -> at_exit<Fn>;

/// An asynchronous operation that completes with the given results.
template <class Signature, class Token, class... Results>
auto completing_with(net::io_context& context, Token&& token, Results... results) {
    return net::async_initiate<Token, Signature>(
        [&context, results = std::make_tuple(std::move(results)...)](auto handler) mutable {
            net::post(context, [h = std::move(handler), values = std::move(results)]() mutable {
                std::apply([&](auto&... value) { std::move(h)(std::move(value)...); }, values);
            });
        },
        token);
}

/// One that completes while it is being started.
template <class Token>
auto completing_at_once(Token&& token) {
    return net::async_initiate<Token, void(errors::error_code, int)>(
        [](auto handler) { std::move(handler)(errors::error_code{}, 12); }, token);
}

/// One that cannot be started.
template <class Token>
auto refusing_to_start(Token&& token) {
    return net::async_initiate<Token, void(errors::error_code)>(
        [](auto) { throw std::runtime_error{"it does not start"}; }, token);
}

/// One that can be moved on the body's stack, but not to where it would be started.
template <class Token>
auto refusing_to_move(Token&& token) {
    struct argument {
        std::uintptr_t stack = stack_position();
        argument() = default;
        argument(argument&& other) : stack(other.stack) {
            if (!near(stack, stack_position())) throw std::runtime_error{"it does not move"};
        }
    };
    return net::async_initiate<Token, void(errors::error_code)>(
        [](auto handler, const argument&) { std::move(handler)(errors::error_code{}); }, token, argument{});
}

/// One that has been completed when its start fails.
template <class Token>
auto completing_and_failing(Token&& token) {
    return net::async_initiate<Token, void(errors::error_code)>(
        [](auto handler) {
            std::move(handler)(errors::error_code{});
            throw std::runtime_error{"it does not start"};
        },
        token);
}

/// One that forgets whom to tell.
template <class Token>
auto forgetting_its_handler(Token&& token) {
    return net::async_initiate<Token, void(errors::error_code)>([](auto) {}, token);
}

void check_failing_starts(net::io_context& context) {
    for (int i = 0; i < 3; ++i) {
        BOOST_CHECK_EXCEPTION(refusing_to_start(weft::use_fiber), std::runtime_error,
                              [](const std::runtime_error& e) { return e.what() == std::string{"it does not start"}; });
        BOOST_CHECK_THROW(refusing_to_move(weft::use_fiber), std::runtime_error);
        BOOST_CHECK_THROW(completing_and_failing(weft::use_fiber), std::runtime_error);
        net::post(context, weft::use_fiber); // all is as before
    }
    try {
        refusing_to_start(weft::use_fiber);
    } catch (const std::runtime_error&) {
        short_timer(context).async_wait(weft::use_fiber);
        BOOST_TEST((std::current_exception() != nullptr));
    }
}

void echo_over_tcp(net::io_context& context) {
    using net::ip::tcp;
    tcp::acceptor acceptor{context, {net::ip::address_v4::loopback(), 0}};
    tcp::socket client{context};
    bool connected = false;
    client.async_connect(acceptor.local_endpoint(), [&](const errors::error_code& error) { connected = !error; });
    tcp::socket server = acceptor.async_accept(weft::use_fiber);
    while (!connected) net::post(context, weft::use_fiber);

    const std::string sent = "hello";
    static_assert(std::is_same_v<decltype(net::async_write(client, net::buffer(sent), weft::use_fiber)), std::size_t>);
    BOOST_TEST(net::async_write(client, net::buffer(sent), weft::use_fiber) == sent.size());
    std::array<char, 5> got{};
    BOOST_TEST(net::async_read(server, net::buffer(got), weft::use_fiber) == got.size());
    BOOST_TEST(std::string(got.begin(), got.end()) == sent);

    client.close();
    BOOST_CHECK_EXCEPTION(server.async_read_some(net::buffer(got), weft::use_fiber), errors::system_error,
                          [](const errors::system_error& e) { return e.code() == net::error::eof; });
}

void check_results(net::io_context& context) {
    using errors::error_code;
    static_assert(std::is_void_v<decltype(completing_with<void()>(context, weft::use_fiber))>);
    completing_with<void()>(context, weft::use_fiber);
    BOOST_TEST(completing_with<void(int)>(context, weft::use_fiber, 3) == 3);
    completing_with<void(error_code)>(context, weft::use_fiber, error_code{});
    BOOST_TEST(completing_with<void(error_code, int)>(context, weft::use_fiber, error_code{}, 4) == 4);
    const std::tuple<int, std::string> both =
        completing_with<void(error_code, int, std::string)>(context, weft::use_fiber, error_code{}, 5, std::string{"five"});
    BOOST_TEST(std::get<0>(both) == 5);
    BOOST_TEST(std::get<1>(both) == "five");
    const std::tuple<int, long> numbers = completing_with<void(int, long)>(context, weft::use_fiber, 6, 7L);
    BOOST_TEST(std::get<0>(numbers) + std::get<1>(numbers) == 13);
    const auto box = completing_with<void(std::exception_ptr, std::unique_ptr<int>)>(context, weft::use_fiber,
                                                                                     std::exception_ptr{}, std::make_unique<int>(8));
    BOOST_TEST(*box == 8);
    BOOST_TEST(completing_at_once(weft::use_fiber) == 12);
    // Asio's adapters of tokens take it.
    error_code redirected;
    BOOST_TEST((completing_with<void(error_code, int)>(
                    context, net::redirect_error(weft::use_fiber, redirected), error_code{net::error::host_not_found}, 7)) == 7);
    BOOST_TEST(redirected == net::error::host_not_found);
#if !defined(WEFT_STANDALONE_ASIO)
    const auto told = completing_with<void(error_code, int)>(context, net::as_tuple(weft::use_fiber),
                                                             error_code{net::error::host_not_found}, 8);
    BOOST_TEST(std::get<0>(told) == net::error::host_not_found);
    BOOST_TEST(std::get<1>(told) == 8);
#endif

    BOOST_CHECK_EXCEPTION(
        (completing_with<void(error_code, int)>(context, weft::use_fiber, error_code{net::error::host_not_found}, 0)),
        errors::system_error, [](const errors::system_error& e) { return e.code() == net::error::host_not_found; });
    BOOST_CHECK_THROW((completing_with<void(std::exception_ptr)>(context, weft::use_fiber,
                                                                 std::make_exception_ptr(std::out_of_range{"far"}))),
                      std::out_of_range);
}

/// Completes on a thread of its own, later than whoever waits expects.
weft::task<int> on_a_thread(stage& s, int n) {
    co_await on_new_thread{&s};
    co_return n;
}

/// Runs what there is to run of a context with a body that waits in `wait`, then destroys it: the body is unwound, and
/// nothing is left of it.
template <class Wait>
void check_destruction_by(Wait wait, bool waits = false) {
    const auto once = [&] {
        int alive = 0;
        bool went_on = false;
        {
            net::io_context context;
            spawn(context, [&, c = counted{alive}]() -> net::awaitable<void> {
                return weft::stackful([&](auto& co) {
                    const counted outer{alive};
                    weft::fiber inner{[&] {
                        const counted local{alive};
                        const auto memory = std::make_unique<int>(alive); // would be leaked
                        wait(context, co);
                        went_on = true;
                    }};
                    inner.resume();
                    went_on = true;
                });
            });
            context.poll();
            BOOST_TEST(alive == (waits ? 3 : 0));
        }
        BOOST_TEST(alive == 0);
        BOOST_TEST(!went_on);
    };
    once(); // the libraries keep some memory for the next time
    const auto before = blocks_in_use();
    once();
    BOOST_TEST(blocks_in_use() == before);
}

} // namespace

BOOST_AUTO_TEST_SUITE(token)

BOOST_AUTO_TEST_CASE(an_awaitable_waits_for_timers_posts_and_dispatches) {
    net::io_context context;
    run_body(context, [&](auto&) {
        short_timer(context).async_wait(weft::use_fiber);
        net::post(context, weft::use_fiber);
        net::defer(context, weft::use_fiber);
        net::dispatch(context, weft::use_fiber);
        BOOST_TEST(runs_here(context.get_executor()));
    });
}

BOOST_AUTO_TEST_CASE(a_task_waits_for_timers_posts_and_dispatches) {
    net::io_context context;
    run_task_body(context, [&](auto&) {
        BOOST_TEST(!runs_here(context.get_executor()));
        short_timer(context).async_wait(weft::use_fiber);
        net::post(context, weft::use_fiber);
        net::dispatch(context, weft::use_fiber);
    });
}

BOOST_AUTO_TEST_CASE(an_awaitable_reads_and_writes) {
    net::io_context context;
    run_body(context, [&](auto&) { echo_over_tcp(context); });
}

BOOST_AUTO_TEST_CASE(a_task_reads_and_writes) {
    net::io_context context;
    run_task_body(context, [&](auto&) { echo_over_tcp(context); });
}

BOOST_AUTO_TEST_CASE(results_and_errors_in_an_awaitable) {
    net::io_context context;
    run_body(context, [&](auto&) { check_results(context); });
}

BOOST_AUTO_TEST_CASE(results_and_errors_in_a_task) {
    net::io_context context;
    run_task_body(context, [&](auto&) { check_results(context); });
}

BOOST_AUTO_TEST_CASE(what_starting_an_operation_throws_appears_in_a_task) {
    net::io_context context;
    run_task_body(context, [&](auto&) { check_failing_starts(context); });
}

BOOST_AUTO_TEST_CASE(what_starting_an_operation_throws_appears_in_an_awaitable) {
    net::io_context context;
    run_body(context, [&](auto&) {
        check_failing_starts(context);
        BOOST_TEST(runs_here(context.get_executor()));
    });
}

BOOST_AUTO_TEST_CASE(what_is_no_cpp_exception_out_of_an_initiation_is_told) {
    const auto end = weft_test::in_child([] {
        weft::task<> t = weft::stackful([](auto&) {
            net::async_initiate<const weft::use_fiber_t, void()>([](auto) { weft_test::raise_foreign(); }, weft::use_fiber);
        });
        weft::sync_wait(t);
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
    BOOST_TEST(end.said.starts_with("weft: what is no C++ exception"), end);
}

BOOST_AUTO_TEST_CASE(what_it_throws_below_a_generator_appears_there) {
    net::io_context context;
    run_body(context, [&](auto&) {
        for (const int n : weft::generator<int>{[&](auto& out) {
                 BOOST_CHECK_THROW(refusing_to_start(weft::use_fiber), std::runtime_error);
                 out.yield(1);
             }})
            BOOST_TEST(n == 1);
    });
}

#if !defined(WEFT_STANDALONE_ASIO) || ASIO_VERSION >= 102400 // before, Asio ends the program there, in a coroutine too
/// With use_awaitable it is Asio that starts the operation: what that throws leaves run(), in a body as in a coroutine.
template <class Coroutine>
void check_that_it_leaves_run(Coroutine coroutine) {
    net::io_context context;
    int alive = 0;
    spawn(context, coroutine(alive));
    BOOST_CHECK_THROW(context.run(), std::runtime_error);
    context.restart();
    context.run(); // Asio destroys the coroutine here
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(what_asio_throws_when_it_starts_an_operation_itself_leaves_run_and_the_body_is_unwound) {
    check_that_it_leaves_run([](int& alive) {
        return [&alive]() -> net::awaitable<void> {
            const counted local{alive};
            co_await refusing_to_start(net::use_awaitable);
        };
    });
    check_that_it_leaves_run([](int& alive) {
        return [&alive]() -> net::awaitable<void> {
            return weft::stackful([&alive](auto& co) {
                const counted local{alive};
                co.await(refusing_to_start(net::use_awaitable));
            });
        };
    });
}
#endif

BOOST_AUTO_TEST_CASE(an_operation_that_forgets_its_handler_unwinds_the_body) {
    check_destruction_by([](net::io_context&, auto&) { forgetting_its_handler(weft::use_fiber); });
}

BOOST_AUTO_TEST_CASE(below_a_generator_it_suspends_the_body_around) {
    net::io_context context;
    run_body(context, [&](auto&) {
        int sum = 0;
        for (const int n : weft::generator<int>{[&](auto& out) {
                 for (int i = 1; i < 4; ++i) {
                     net::post(context, weft::use_fiber);
                     out.yield(i + 0);
                 }
             }})
            sum = 10 * sum + n;
        BOOST_TEST(sum == 123);
    });
}

BOOST_AUTO_TEST_CASE(outside_of_a_body_it_throws) {
    net::io_context context;
    BOOST_CHECK_THROW(net::post(context, weft::use_fiber), weft::not_in_fiber);
    weft::fiber fiber{[&] { BOOST_CHECK_THROW(net::post(context, weft::use_fiber), weft::not_in_fiber); }};
    fiber.resume();
    BOOST_TEST(context.run() == 0u); // nothing was started
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(awaitables)

BOOST_AUTO_TEST_CASE(a_stackful_awaitable_awaits_as_a_coroutine_of_its_library_does) {
    net::io_context context;
    const auto number = [&](int n) -> net::awaitable<int> {
        auto timer = short_timer(context);
        co_await timer.async_wait(net::use_awaitable);
        co_return n;
    };
    run_body(context, [&](auto& co) {
        static_assert(std::is_same_v<decltype(co.await(number(1))), int>);
        BOOST_TEST(co.await(number(3)) == 3);
        co.await(net::post(context, net::use_awaitable));
        static_assert(std::is_convertible_v<decltype(co.await(net::this_coro::executor)), net::any_io_executor>);
        BOOST_TEST((co.await(net::this_coro::executor) == net::any_io_executor{context.get_executor()}));
        const auto state = co.await(net::this_coro::cancellation_state);
        BOOST_TEST((state.cancelled() == net::cancellation_type::none));
        BOOST_CHECK_THROW(co.await(net::async_initiate<const net::use_awaitable_t<>&, void(errors::error_code)>(
                              [&](auto handler) {
                                  net::post(context, [h = std::move(handler)]() mutable { std::move(h)(errors::error_code{net::error::eof}); });
                              },
                              net::use_awaitable)),
                          errors::system_error);
    });
}

BOOST_AUTO_TEST_CASE(values_references_and_exceptions_of_a_stackful_awaitable) {
    net::io_context context;
    std::string kept = "kept";
    spawn(context, [&]() -> net::awaitable<void> {
        BOOST_TEST(co_await weft::stackful<net::awaitable<int>>([](auto&) { return 3; }) == 3);
        BOOST_TEST(*co_await weft::stackful<net::awaitable<std::unique_ptr<int>>>([](auto&) { return std::make_unique<int>(4); }) == 4);
        BOOST_TEST(co_await weft::stackful<net::awaitable<std::string>>([&](auto&) -> std::string& { return kept; }) == "kept");
        BOOST_CHECK_THROW(co_await weft::stackful<net::awaitable<int>>([](auto&) -> int { throw std::out_of_range{"far"}; }),
                          std::out_of_range);
    });
    context.run();
    BOOST_TEST(kept == "kept");
}

BOOST_AUTO_TEST_CASE(an_awaitable_of_a_concrete_executor_may_have_a_stackful_body) {
    net::io_context context;
    stage s;
    using awaitable = net::awaitable<int, concrete_executor>;
    int result = 0;
    const auto body = [&]() -> awaitable {
        return weft::stackful([&](auto& co) {
            co.await(net::post(context, net::use_awaitable_t<concrete_executor>{}));
            net::basic_waitable_timer<std::chrono::steady_clock, net::wait_traits<std::chrono::steady_clock>, concrete_executor>
                timer{context.get_executor(), std::chrono::milliseconds{1}};
            timer.async_wait(weft::use_fiber);
            static_assert(std::is_same_v<decltype(co.await(net::this_coro::executor)), concrete_executor>);
            return weft::await(on_a_thread(s, 7));
        });
    };
    net::co_spawn(context.get_executor(), body(), [&](std::exception_ptr failure, int n) {
        if (failure) std::rethrow_exception(failure);
        result = n;
    });
    context.run();
    BOOST_TEST(result == 7);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(foreign)

BOOST_AUTO_TEST_CASE(a_foreign_operation_resumes_the_body_on_the_executor_of_its_awaitable) {
    net::io_context context;
    stage s;
    run_body(context, [&](auto&) {
        for (int i = 0; i < 50; ++i) {
            BOOST_REQUIRE(weft::await(on_a_thread(s, i)) == i);
            BOOST_REQUIRE(runs_here(context.get_executor()));
        }
        weft::await(on_new_thread{&s});
        BOOST_TEST(runs_here(context.get_executor()));
    });
}

BOOST_AUTO_TEST_CASE(foreign_operations_in_every_form_and_with_every_outcome) {
    for (const place where : all_places)
        for (const fails when : all_fails) {
            BOOST_TEST_CONTEXT("completes " << where << ", fails " << when) {
                net::io_context context;
                stage s;
                calls c;
                run_body(context, [&](auto&) {
                    const bool fails_here = when != fails::nowhere && !(when == fails::in_suspend && where == place::ready);
                    const auto try_one = [&](auto&& awaiter) {
                        if (where == place::later) net::post(context, [&] { s.run(); });
                        if (fails_here)
                            BOOST_CHECK_EXCEPTION(weft::await(awaiter), awaiter_failure,
                                                  [&](const awaiter_failure& f) { return f.where == when; });
                        else
                            BOOST_TEST(weft::await(awaiter) == 42);
                        BOOST_TEST(runs_here(context.get_executor()));
                    };
                    try_one(scripted<form::returns_void, int>{s, c, where, when});
                    try_one(scripted<form::returns_bool, int>{s, c, where, when});
                    try_one(scripted<form::returns_handle, int>{s, c, where, when});
                });
            }
        }
}

/// Resumes what it is given, on a thread of its own, as soon as it can.
class resuming_thread {
public:
    ~resuming_thread() {
        stop_ = true;
        thread_.join();
    }
    /// An operation that it completes.
    auto operation() noexcept {
        struct awaiter {
            std::atomic<void*>& job;
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<> h) const noexcept { job = h.address(); }
            void await_resume() const noexcept {}
        };
        return awaiter{job_};
    }
    /// Has it taken the last one?
    bool idle() const noexcept { return !job_; }

private:
    std::atomic<void*> job_{nullptr};
    std::atomic<bool> stop_{false};
    std::thread thread_{[this] {
        while (!stop_)
            if (void* const p = job_.exchange(nullptr))
                std::coroutine_handle<>::from_address(p).resume();
            else
                std::this_thread::yield();
    }};
};

#if WEFT_TEST_EMULATED || WEFT_ASAN || WEFT_TSAN
constexpr int contexts = 300;
#else
constexpr int contexts = 3000;
#endif

BOOST_AUTO_TEST_CASE(a_context_may_be_destroyed_as_soon_as_the_body_has_ended) {
    resuming_thread other;
    int ended = 0;
    const auto body = [&]() -> net::awaitable<void> {
        return weft::stackful([&](auto&) {
            weft::await(other.operation());
            ++ended;
        });
    };
    for (int i = 0; i < contexts; ++i) {
        net::io_context context;
        spawn(context, body);
        context.run();
    }
    for (int i = 0; i < contexts / 10; ++i) {
        net::thread_pool pool{1};
        auto strand = net::make_strand(pool);
        spawn(strand, body);
        pool.join();
    }
    BOOST_TEST(ended == contexts + contexts / 10);
}

BOOST_AUTO_TEST_CASE(a_context_may_be_destroyed_while_the_operation_completes) {
    resuming_thread other;
    int left = 0;
    for (int i = 0; i < contexts; ++i) {
        auto context = std::make_unique<net::io_context>();
        spawn(*context, [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto&) {
                const at_exit note{[&] { ++left; }};
                weft::await(other.operation());
            });
        });
        context->poll();
        context.reset();
        while (!other.idle()) std::this_thread::yield();
    }
    BOOST_TEST(left == contexts);
}

BOOST_AUTO_TEST_CASE(an_operation_may_complete_when_the_context_is_gone) {
    struct kept {
        std::coroutine_handle<>& handle;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> h) const noexcept { handle = h; }
        void await_resume() const noexcept {}
    };
    int left = 0, alive = 0;
    for (int i = 0; i < 100; ++i) {
        std::coroutine_handle<> handle;
        {
            net::io_context context;
            spawn(context, [&]() -> net::awaitable<void> {
                return weft::stackful([&](auto&) {
                    const counted local{alive};
                    const at_exit note{[&] { ++left; }};
                    weft::await(kept{handle});
                    BOOST_ERROR("it went on");
                });
            });
            context.poll();
        }
        BOOST_TEST(alive == 0);
        handle.resume();
    }
    BOOST_TEST(left == 100);
}

BOOST_AUTO_TEST_CASE(cancellation_leaves_a_foreign_operation_alone) {
    net::io_context context;
    net::cancellation_signal signal;
    stage s;
    bool came_to_its_end = false, failed = false;
    net::co_spawn(
        context,
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto&) {
                weft::await(until_run{&s});
                came_to_its_end = true;
                net::post(context, weft::use_fiber);
            });
        },
        net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr failure) { failed = failure != nullptr; }));
    net::post(context, [&] {
        signal.emit(net::cancellation_type::terminal);
        BOOST_TEST(!came_to_its_end);
        net::post(context, [&] { s.run(); });
    });
    context.run();
    BOOST_TEST(came_to_its_end);
    BOOST_TEST(failed); // the next await says it
}

BOOST_AUTO_TEST_CASE(other_work_of_the_context_goes_on_meanwhile) {
    net::io_context context;
    stage s;
    std::string order;
    net::post(context, [&] {
        order += "other;";
        s.run();
    });
    spawn(context, [&]() -> net::awaitable<void> {
        return weft::stackful([&](auto&) {
            order += "waits;";
            net::post(context, [&] {
                order += "more;";
                s.run();
            });
            weft::await(until_run{&s});
            order += "goes on;";
        });
    });
    context.run();
    BOOST_TEST(order == "other;waits;more;goes on;");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(cancellation)

void wait_far_down(net::io_context& context, int depth) {
    if (depth == 0)
        long_timer(context).async_wait(weft::use_fiber);
    else
        wait_far_down(context, depth - 1);
    asm volatile("" ::: "memory"); // no tail call
}

template <class Wait>
void check_cancellation(Wait wait) {
    net::io_context context;
    net::cancellation_signal signal;
    bool unwound = false, ended = false;
    std::exception_ptr outcome_of_it;
    net::co_spawn(
        context,
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto& co) {
                const at_exit note{[&] { unwound = true; }};
                wait(context, co);
            });
        },
        net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr failure) {
            ended = true;
            outcome_of_it = failure;
        }));
    net::post(context, [&] { net::post(context, [&] { signal.emit(net::cancellation_type::terminal); }); });
    context.run();
    BOOST_TEST(ended);
    BOOST_TEST(unwound);
    BOOST_REQUIRE(outcome_of_it);
    BOOST_CHECK_EXCEPTION(std::rethrow_exception(outcome_of_it), errors::system_error,
                          [](const errors::system_error& e) { return e.code() == net::error::operation_aborted; });
}

BOOST_AUTO_TEST_CASE(reaches_an_operation_awaited_with_use_fiber) {
    check_cancellation([](net::io_context& context, auto&) { long_timer(context).async_wait(weft::use_fiber); });
}

BOOST_AUTO_TEST_CASE(reaches_an_operation_awaited_with_use_awaitable) {
    check_cancellation([](net::io_context& context, auto& co) {
        auto timer = long_timer(context);
        co.await(timer.async_wait(net::use_awaitable));
    });
}

BOOST_AUTO_TEST_CASE(reaches_an_operation_that_a_plain_function_awaits_far_down) {
    check_cancellation([](net::io_context& context, auto&) { wait_far_down(context, 30); });
}

BOOST_AUTO_TEST_CASE(reaches_the_body_that_another_one_awaits) {
    check_cancellation([](net::io_context& context, auto& co) {
        co.await(weft::stackful<net::awaitable<void>>([&](auto&) { long_timer(context).async_wait(weft::use_fiber); }));
    });
}

/// What kinds of cancellation reach an operation awaited by `wait`: all three are emitted, one after the other.
template <class Wait>
std::vector<net::cancellation_type> kinds_that_reach(Wait wait) {
    net::io_context context;
    net::cancellation_signal signal;
    std::vector<net::cancellation_type> seen;
    net::co_spawn(
        context, [&]() -> net::awaitable<void> { return weft::stackful([&](auto& co) { wait(co, seen); }); },
        net::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    context.poll();
    using kind = net::cancellation_type;
    for (const kind each : {kind::total, kind::partial, kind::terminal}) {
        signal.emit(each);
        context.poll();
    }
    return seen;
}

/// An operation that notes what kinds of cancellation come, and is completed by the terminal one.
template <class Token>
auto noting(std::vector<net::cancellation_type>& seen, Token&& token) {
    return net::async_initiate<Token, void(errors::error_code)>(
        [&seen](auto handler) {
            auto slot = net::get_associated_cancellation_slot(handler);
            auto kept = std::make_shared<decltype(handler)>(std::move(handler));
            slot.assign([&seen, kept](net::cancellation_type kind) {
                seen.push_back(kind);
                if (kind != net::cancellation_type::terminal) return;
                const auto h = kept;
                std::move (*h)(errors::error_code{net::error::operation_aborted});
            });
        },
        token);
}

BOOST_AUTO_TEST_CASE(of_every_kind_comes_as_the_coroutine_lets_it) {
    using kind = net::cancellation_type;
    const std::vector<kind> only_terminal{kind::terminal}, all{kind::total, kind::partial, kind::terminal};
    const auto with_fiber = [](auto&, auto& seen) { noting(seen, weft::use_fiber); };
    const auto with_awaitable = [](auto& co, auto& seen) { co.await(noting(seen, net::use_awaitable)); };
    BOOST_TEST((kinds_that_reach(with_fiber) == only_terminal)); // what Asio's coroutines let through by themselves
    BOOST_TEST((kinds_that_reach(with_awaitable) == only_terminal));
    const auto let_all_through = [](auto& co) {
        co.await(net::this_coro::reset_cancellation_state(net::enable_total_cancellation()));
    };
    BOOST_TEST((kinds_that_reach([&](auto& co, auto& seen) {
                   let_all_through(co);
                   with_fiber(co, seen);
               }) == all));
    BOOST_TEST((kinds_that_reach([&](auto& co, auto& seen) {
                   let_all_through(co);
                   with_awaitable(co, seen);
               }) == all));
}

BOOST_AUTO_TEST_CASE(of_one_operation_leaves_the_body_alone) {
    net::io_context context;
    const auto aborted = [](const errors::system_error& e) { return e.code() == net::error::operation_aborted; };
    run_body(context, [&](auto& co) {
        for (int i = 0; i < 3; ++i) {
            net::cancellation_signal signal;
            const auto cancel_soon = [&] { net::post(context, [&] { signal.emit(net::cancellation_type::total); }); };
            auto timer = long_timer(context);
            cancel_soon();
            BOOST_CHECK_EXCEPTION(timer.async_wait(net::bind_cancellation_slot(signal.slot(), weft::use_fiber)),
                                  errors::system_error, aborted);
            cancel_soon();
            BOOST_CHECK_EXCEPTION(
                co.await(timer.async_wait(net::bind_cancellation_slot(signal.slot(), net::use_awaitable))),
                errors::system_error, aborted);
            const auto state = co.await(net::this_coro::cancellation_state);
            BOOST_TEST((state.cancelled() == net::cancellation_type::none));
        }
    });
}

BOOST_AUTO_TEST_CASE(that_was_caught_appears_again_at_the_next_await) {
    net::io_context context;
    net::cancellation_signal signal;
    int failed = 0;
    net::co_spawn(
        context,
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto& co) {
                const auto fails = [&](auto await) {
                    try {
                        await();
                    } catch (const errors::system_error& e) {
                        if (e.code() == net::error::operation_aborted) ++failed;
                    }
                };
                fails([&] { long_timer(context).async_wait(weft::use_fiber); });
                fails([&] { net::post(context, weft::use_fiber); });
                fails([&] { co.await(net::post(context, net::use_awaitable)); });
                co.await(net::this_coro::throw_if_cancelled(false));
                net::post(context, weft::use_fiber);
                co.await(net::post(context, net::use_awaitable));
                ++failed;
            });
        },
        net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr failure) { BOOST_TEST((failure == nullptr)); }));
    net::post(context, [&] { net::post(context, [&] { signal.emit(net::cancellation_type::terminal); }); });
    context.run();
    BOOST_TEST(failed == 4);
}

BOOST_AUTO_TEST_CASE(reaches_an_operation_below_a_generator) {
    check_cancellation([](net::io_context& context, auto&) {
        for (int n : weft::generator<int>{[&](auto& out) {
                 out.yield(1);
                 long_timer(context).async_wait(weft::use_fiber);
             }})
            BOOST_TEST(n == 1);
    });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(destruction)

/// Destroys a context with a body suspended in `wait`.
template <class Wait>
void check_destruction(Wait wait) {
    check_destruction_by(wait, true);
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_for_an_awaitable) {
    check_destruction([](net::io_context& context, auto& co) {
        auto timer = long_timer(context);
        co.await(timer.async_wait(net::use_awaitable));
    });
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_with_use_fiber) {
    check_destruction([](net::io_context& context, auto&) { long_timer(context).async_wait(weft::use_fiber); });
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_for_an_awaitable_that_waits_itself) {
    int alive = 0;
    check_destruction([&](net::io_context& context, auto& co) {
        co.await([](net::io_context& where, int& count) -> net::awaitable<void> {
            const counted frame{count};
            auto timer = long_timer(where);
            co_await timer.async_wait(net::use_awaitable);
        }(context, alive));
    });
    check_destruction([&](net::io_context& context, auto& co) {
        co.await(weft::stackful<net::awaitable<void>>([&](auto&) {
            const counted local{alive};
            long_timer(context).async_wait(weft::use_fiber);
        }));
    });
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_for_a_coroutine_that_was_spawned) {
    check_destruction([&](net::io_context& context, auto&) {
        net::co_spawn(
            context,
            [&]() -> net::awaitable<void> {
                auto timer = long_timer(context);
                co_await timer.async_wait(net::use_awaitable);
            },
            weft::use_fiber);
    });
    check_destruction([&](net::io_context& context, auto& co) {
        co.await(net::co_spawn(
            context,
            [&]() -> net::awaitable<void> {
                return weft::stackful([&](auto&) { long_timer(context).async_wait(weft::use_fiber); });
            },
            net::use_awaitable));
    });
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_detached_bodies_too) {
    int alive = 0;
    {
        net::io_context context;
        for (int i = 0; i < 10; ++i)
            net::co_spawn(
                context,
                [&]() -> net::awaitable<void> {
                    return weft::stackful([&](auto&) {
                        const counted local{alive};
                        long_timer(context).async_wait(weft::use_fiber);
                    });
                },
                net::detached);
        context.poll();
        BOOST_TEST(alive == 10);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_was_about_to_go_on) {
    check_destruction([](net::io_context& context, auto&) {
        net::post(context, [&context] { context.stop(); });
        net::post(context, weft::use_fiber); // completed, but not yet gone on with
    });
    check_destruction([](net::io_context& context, auto& co) {
        net::post(context, [&context] { context.stop(); });
        co.await(net::post(context, net::use_awaitable));
    });
}

BOOST_AUTO_TEST_CASE(of_a_context_leaves_a_task_that_waits_to_its_owner) {
    const auto once = [](bool task_first) {
        int alive = 0;
        outcome<void> result;
        auto context = std::make_unique<net::io_context>();
        const observer o = observe(weft::stackful<weft::task<>>([&](auto&) {
                                       const counted local{alive};
                                       net::post(*context, weft::use_fiber);
                                       BOOST_ERROR("it went on");
                                   }),
                                   result);
        BOOST_TEST(alive == 1);
        if (!task_first) context.reset(); // drops the operation
        o.handle.destroy();
        BOOST_TEST(alive == 0);
        BOOST_TEST(!result.done.load());
    };
    once(false);
    const auto before = blocks_in_use();
    once(false);
    once(true); // the operation, which nobody runs, is dropped after the body that started it
    BOOST_TEST(blocks_in_use() == before);
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_for_a_socket) {
    check_destruction([](net::io_context& context, auto&) {
        net::ip::tcp::acceptor acceptor{context, {net::ip::address_v4::loopback(), 0}};
        net::ip::tcp::socket socket{context};
        acceptor.async_accept(socket, weft::use_fiber);
    });
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_for_a_foreign_operation) {
    struct never {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        void await_resume() const noexcept {}
    };
    check_destruction([](net::io_context&, auto&) { weft::await(never{}); });
}

BOOST_AUTO_TEST_CASE(of_a_context_unwinds_what_waits_for_a_foreign_coroutine) {
    stage s;
    check_destruction([&](net::io_context&, auto&) {
        weft::await([](stage& where) -> weft::task<int> {
            const auto memory = std::make_unique<int>(1);
            co_await until_run{&where};
            co_return *memory;
        }(s));
    });
    s.forget();
}

BOOST_AUTO_TEST_CASE(of_a_context_meets_a_body_that_swallows_it_again) {
    int met = 0, alive = 0;
    {
        net::io_context context;
        spawn(context, [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto& co) {
                const counted local{alive};
                const auto swallow = [&](auto wait) {
                    try {
                        wait();
                        BOOST_ERROR("it went on");
                    } catch (...) {
                        ++met;
                    }
                };
                swallow([&] { long_timer(context).async_wait(weft::use_fiber); });
                swallow([&] { long_timer(context).async_wait(weft::use_fiber); });
                swallow([&] { co.await(net::post(context, net::use_awaitable)); });
            });
        });
        context.poll();
    }
    BOOST_TEST(met == 3);
    BOOST_TEST(alive == 0);
}

/// What becomes of a program in which a destructor awaits something while its body is unwound?
template <class Wait>
weft_test::child_end end_of_awaiting_while_unwound(Wait wait) {
    return weft_test::in_child([&] {
        {
            net::io_context context;
            spawn(context, [&]() -> net::awaitable<void> {
                return weft::stackful([&](auto& co) {
                    const at_exit awaits{[&] { wait(context, co); }};
                    long_timer(context).async_wait(weft::use_fiber);
                });
            });
            context.poll();
        }
        return 7;
    });
}

BOOST_AUTO_TEST_CASE(ends_the_program_if_a_destructor_then_awaits_what_is_not_ready) {
    BOOST_TEST(end_of_awaiting_while_unwound([](auto&, auto&) { weft::await(std::suspend_never{}); }).code == 7);
    BOOST_TEST(end_of_awaiting_while_unwound([](auto&, auto&) { weft::await(std::suspend_always{}); }).signal == SIGABRT);
    BOOST_TEST(end_of_awaiting_while_unwound([](auto& context, auto&) {
                   net::post(context, weft::use_fiber);
               }).signal == SIGABRT);
    BOOST_TEST(end_of_awaiting_while_unwound([](auto& context, auto& co) {
                   co.await(net::post(context, net::use_awaitable));
               }).signal == SIGABRT);
}

BOOST_AUTO_TEST_CASE(of_a_context_destroys_what_never_began) {
    int alive = 0;
    {
        net::io_context context;
        spawn(context, [c = counted{alive}]() -> net::awaitable<void> {
            return weft::stackful([](auto&) { BOOST_ERROR("it ran"); });
        });
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(of_an_awaitable_that_is_never_awaited) {
    int alive = 0;
    {
        const auto make = [&]() -> net::awaitable<void> {
            return weft::stackful([c = counted{alive}](auto&) { BOOST_ERROR("it ran"); });
        };
        const auto unused = make();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(threads)

// Clang before 19, when it optimises, lets code of await_suspend use the coroutine's frame after another thread has
// resumed the coroutine: plain Asio coroutines over a thread pool crash as well.
#if defined(__clang__) && defined(__OPTIMIZE__)
constexpr bool compiler_can_migrate = __clang_major__ >= 19;
#else
constexpr bool compiler_can_migrate = true;
#endif

#if WEFT_TEST_EMULATED || WEFT_ASAN || WEFT_TSAN
constexpr int pool_awaits = 2'000;
#elif !defined(__OPTIMIZE__)
constexpr int pool_awaits = 60'000;
#else
constexpr int pool_awaits = 600'000; // and as many again inside of handlers
#endif

BOOST_AUTO_TEST_CASE(many_bodies_migrate_over_a_pool, *boost::unit_test::enable_if<compiler_can_migrate>()) {
    constexpr int bodies = 32, rounds = pool_awaits / bodies;
    std::atomic<int> ended{0}, hops{0}, wrong{0};
    stage s;
    {
        net::thread_pool pool{3};
        for (int b = 0; b < bodies; ++b)
            spawn(pool, [&, b]() -> net::awaitable<void> {
                return weft::stackful([&, b](auto& co) {
                    int local = b;
                    for (int i = 0; i < rounds; ++i) {
                        const unsigned before = thread_number();
                        if (i % 3 == 0)
                            net::post(pool, weft::use_fiber);
                        else if (i % 3 == 1)
                            co.await(posted(pool));
                        else if (i < 60 && i % 30 == 2)
                            weft::await(on_a_thread(s, i));
                        else
                            net::dispatch(pool, weft::use_fiber);
                        if (thread_number() != before) ++hops;
                        try {
                            throw local;
                        } catch (const int& caught) {
                            net::post(pool, weft::use_fiber);
                            if (caught != local) ++wrong;
                        }
                        ++local;
                    }
                    if (local != b + rounds) ++wrong;
                    ++ended;
                });
            });
        pool.join();
    }
    s.join();
    BOOST_TEST(ended.load() == bodies);
    BOOST_TEST(wrong.load() == 0);
    BOOST_TEST(hops.load() > 0);
}

BOOST_AUTO_TEST_CASE(completed_elsewhere_before_its_start_returned_goes_on_there) {
    std::thread::id completer, after;
    const int result = weft::sync_wait(weft::stackful<weft::task<int>>([&](auto&) {
        const int n = net::async_initiate<const weft::use_fiber_t, void(int)>(
            [&](auto handler) {
                std::thread other{[&, h = std::move(handler)]() mutable {
                    completer = std::this_thread::get_id();
                    std::move(h)(7);
                }};
                other.join(); // by now the body has gone on
                BOOST_TEST((after == completer));
            },
            weft::use_fiber);
        after = std::this_thread::get_id();
        return n;
    }));
    BOOST_TEST(result == 7);
    BOOST_TEST((after == completer));
    BOOST_TEST((after != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(completed_inside_its_start_goes_on_after_it) {
    int rounds = 0;
    weft::sync_wait(weft::stackful<weft::task<void>>([&](auto&) {
        bool starting = false;
        for (int i = 0; i < 100000; ++i) { // nested, they would run over the stack
            rounds += net::async_initiate<const weft::use_fiber_t, void(int)>(
                [&](auto handler) {
                    starting = true;
                    std::move(handler)(1);
                    starting = false;
                },
                weft::use_fiber);
            if (starting) break;
        }
    }));
    BOOST_TEST(rounds == 100000);
}

/// Starts an operation in a function that awaits others meanwhile, of the body around.
int started_while_awaiting(net::io_context& context) {
    return net::async_initiate<const weft::use_fiber_t, void(int)>(
        [&context](auto handler) {
            net::post(context, weft::use_fiber);
            net::post(context, [h = std::make_shared<decltype(handler)>(std::move(handler))]() mutable { std::move (*h)(7); });
            net::post(context, weft::use_fiber); // completed by now, and gone on with
            net::post(context, weft::use_fiber);
        },
        weft::use_fiber);
}

BOOST_AUTO_TEST_CASE(a_function_that_starts_an_operation_may_itself_await) {
    constexpr int bodies = 3, rounds = 50;
    net::io_context context;
    int done = 0;
    for (int b = 0; b < bodies; ++b)
        spawn(context, [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto&) {
                for (int i = 0; i < rounds; ++i) {
                    // Awaits in the driver of the task, that is, in this body.
                    outcome<int> result;
                    observe(weft::stackful<weft::task<int>>([&](auto&) { return started_while_awaiting(context); }), result);
                    for (int k = 0; k < 8; ++k) net::post(context, weft::use_fiber);
                    BOOST_REQUIRE(result.done.load());
                    done += *result.value == 7;
                }
            });
        });
    context.run();
    BOOST_TEST(done == bodies * rounds);
}

/// Loops of operations that complete while they are started, in an executor's call.
BOOST_AUTO_TEST_CASE(completed_by_an_executor_inside_of_its_start_does_not_nest_for_ever) {
    constexpr int rounds = 100'000;
    net::io_context context;
    int n = 0;
    run_body(context, [&](auto&) {
        for (int i = 0; i < rounds; ++i) {
            net::dispatch(weft::use_fiber);
            n += runs_here(context.get_executor());
        }
    });
    BOOST_TEST(n == rounds);
    net::post(context, [&] {
        outcome<void> result;
        observe(weft::stackful<weft::task<>>([&](auto&) {
                        for (int i = 0; i < rounds; ++i) {
                            net::dispatch(context, weft::use_fiber);
                            n += runs_here(context.get_executor());
                        }
                    }),
                    result);
        while (!result.done) context.poll();
    });
    context.run();
    BOOST_TEST(n == 2 * rounds);
}

BOOST_AUTO_TEST_CASE(a_task_goes_on_in_the_call_of_the_executor_that_it_names) {
    net::io_context context;
    const auto strand = net::make_strand(context);
    bool there[3] = {};
    outcome<void> result;
    net::post(context, [&] {
        observe(weft::stackful<weft::task<>>([&](auto&) {
                        net::dispatch(net::bind_executor(strand, weft::use_fiber));
                        there[0] = runs_here(strand);
                        net::post(context, weft::use_fiber);
                        there[1] = !runs_here(strand);
                        net::dispatch(strand, weft::use_fiber);
                        there[2] = runs_here(strand);
                    }),
                    result);
    });
    context.run();
    BOOST_TEST(result.done.load());
    BOOST_TEST((there[0] && there[1] && there[2]));
}

BOOST_AUTO_TEST_CASE(tasks_are_completed_by_many_threads) {
    net::thread_pool pool{3};
    for (int round = 0; round < 20; ++round) {
        const int sum = weft::sync_wait(weft::stackful<weft::task<int>>([&](auto&) {
            int n = 0;
            for (int i = 0; i < 20; ++i) {
                net::post(pool, weft::use_fiber);
                ++n;
            }
            return n;
        }));
        BOOST_REQUIRE(sum == 20);
    }
    pool.join();
}

BOOST_AUTO_TEST_CASE(a_strand_keeps_a_body_to_itself) {
    constexpr int bodies = 8, rounds = 40;
    int unguarded = 0, elsewhere = 0;
    stage s;
    net::thread_pool pool{3};
    const auto strand = net::make_strand(pool);
    for (int b = 0; b < bodies; ++b)
        net::co_spawn(
            strand,
            [&]() -> net::awaitable<void> {
                return weft::stackful([&](auto&) {
                    for (int i = 0; i < rounds; ++i) {
                        ++unguarded;
                        if (i % 8 == 0)
                            weft::await(on_a_thread(s, i));
                        else
                            net::post(pool, weft::use_fiber);
                        if (!runs_here(strand)) ++elsewhere;
                    }
                });
            },
            [](std::exception_ptr failure) {
                if (failure) std::rethrow_exception(failure);
            });
    pool.join();
    s.join();
    BOOST_TEST(unguarded == bodies * rounds);
    BOOST_TEST(elsewhere == 0);
}

BOOST_AUTO_TEST_SUITE_END()

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
