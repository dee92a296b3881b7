// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// use_fiber against its oracle, use_awaitable: each program runs twice in the body of an awaitable, once with
// co.await(operation(use_awaitable)) and once with operation(use_fiber), and must leave the same trace. Of Boost.Asio,
// and, compiled with WEFT_STANDALONE_ASIO, of the standalone Asio.

#include "net.hpp"

#if defined(WEFT_STANDALONE_ASIO)
#    include <asio/experimental/channel.hpp>
#    include <asio/experimental/parallel_group.hpp>
#    if __has_include(<asio/append.hpp>)
#        include <asio/append.hpp>
#        include <asio/as_tuple.hpp>
#        include <asio/deferred.hpp>
#        include <asio/prepend.hpp>
namespace adapters = asio;
#    else
#        include <asio/experimental/append.hpp>
#        include <asio/experimental/as_tuple.hpp>
#        include <asio/experimental/deferred.hpp>
#        include <asio/experimental/prepend.hpp>
namespace adapters = asio::experimental;
#    endif
#    define WEFT_TEST_ASIO_AT_LEAST(boost, standalone) (ASIO_VERSION >= (standalone))
#else
#    include <boost/asio/append.hpp>
#    include <boost/asio/bind_allocator.hpp>
#    include <boost/asio/consign.hpp>
#    include <boost/asio/deferred.hpp>
#    include <boost/asio/experimental/channel.hpp>
#    include <boost/asio/experimental/parallel_group.hpp>
#    include <boost/asio/prepend.hpp>
namespace adapters = boost::asio;
#    include <boost/version.hpp>
#    define WEFT_TEST_ASIO_AT_LEAST(boost, standalone) (BOOST_VERSION >= (boost))
#endif
#if WEFT_TEST_ASIO_AT_LEAST(108200, 102700)
#    if defined(WEFT_STANDALONE_ASIO)
#        include <asio/bind_immediate_executor.hpp>
#    else
#        include <boost/asio/bind_immediate_executor.hpp>
#    endif
#endif
#if WEFT_TEST_ASIO_AT_LEAST(108600, 103100)
#    if defined(WEFT_STANDALONE_ASIO)
#        include <asio/cancel_after.hpp>
#        include <asio/cancel_at.hpp>
#    else
#        include <boost/asio/cancel_after.hpp>
#        include <boost/asio/cancel_at.hpp>
#    endif
#endif

#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using errors::error_code;

/// The trace of one program; outlives everything else of it.
struct record {
    std::ostringstream text;
    bool context_ends = false;
};

/// What one program runs in.
class scene {
public:
    explicit scene(record& trace) : trace_{trace} {}

    net::io_context io{1};
    net::strand<net::any_io_executor> strand{io.get_executor()}, other{io.get_executor()};
    net::cancellation_signal signal;

    template <class... Words>
    void note(const Words&... words) {
        ((trace_.text << ' ' << words), ...);
        trace_.text << " [" << here() << "]\n";
    }

    std::string name(const net::any_io_executor& executor) {
        if (executor == net::any_io_executor{strand}) return "strand";
        if (executor == net::any_io_executor{other}) return "other strand";
        if (executor == net::any_io_executor{io.get_executor()}) return "io";
        if (executor == net::any_io_executor{net::system_executor{}}) return "system";
        return "other";
    }

    /// Where the caller runs. Asked anew at every call: a body changes threads.
    [[gnu::noinline]] std::string here() {
        asm volatile("" ::: "memory");
        if (trace_.context_ends) return "the end of the context";
        return strand.running_in_this_thread()             ? "strand"
               : other.running_in_this_thread()            ? "other strand"
               : io.get_executor().running_in_this_thread() ? "io"
                                                            : "elsewhere";
    }

    /// Calls `fn` and notes what leaves it.
    template <class Fn>
    void attempt(Fn fn) {
        try {
            fn();
        } catch (const errors::system_error& e) {
            const std::string_view what = e.what(); // Clang's names the handler's type where it says in which function
            note("threw", typeid(e).name(), e.code().message(), what.substr(0, what.find(" in function ")));
        } catch (const std::exception& e) {
            note("threw", typeid(e).name(), e.what());
        }
    }

    /// Notes that its turn in the queue of the context has come.
    void queue(int number) {
        net::post(io, [this, number] { note("queued", number); });
    }

private:
    record& trace_;
};

/// The two ways.
template <class Co>
struct by_awaitable {
    Co& co;
    template <class Operation>
    decltype(auto) operator()(Operation operation) const {
        return co.await(operation(net::use_awaitable));
    }
};
struct by_fiber {
    template <class Operation>
    decltype(auto) operator()(Operation operation) const {
        return operation(weft::use_fiber);
    }
};

/// Notes the end of a body, however it comes.
struct leaving {
    scene& s;
    ~leaving() { s.note("left"); }
};

template <bool Fiber, class Program>
std::string trace_of(Program program, bool on_strand, bool destroyed_midway = false) {
    record trace;
    auto s = std::make_unique<scene>(trace);
    net::co_spawn( // a strand must not outlive its context
        on_strand ? net::any_io_executor{s->strand} : net::any_io_executor{s->io.get_executor()},
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto& co) {
                const leaving last{*s};
                if constexpr (Fiber)
                    program(*s, by_fiber{}, co);
                else
                    program(*s, by_awaitable<std::remove_reference_t<decltype(co)>>{co}, co);
                s->note("end");
            });
        },
        net::bind_cancellation_slot(s->signal.slot(), [&](std::exception_ptr failure) {
            s->attempt([&] {
                if (failure) std::rethrow_exception(failure);
            });
            s->note("completed");
        }));
    bool returned = false;
    while (!returned)
        s->attempt([&] {
            if (destroyed_midway)
                s->io.poll();
            else
                s->io.run_for(std::chrono::seconds{30});
            returned = true;
        });
    trace.context_ends = true;
    s.reset();
    return trace.text.str();
}

template <class Program>
void same(Program program) {
    for (const bool on_strand : {true, false}) {
        const std::string oracle = trace_of<false>(program, on_strand);
        BOOST_TEST(oracle.find(" end [") != std::string::npos);
        BOOST_TEST(trace_of<true>(program, on_strand) == oracle);
    }
}

/// An operation that notes what is associated with its handler, and completes by it.
template <class Token>
auto noting(scene& s, Token&& token, int result = 5) {
    return net::async_initiate<Token, void(error_code, int)>(
        [&s, result](auto handler) {
            s.note("initiation");
            const net::any_io_executor fallback{s.other};
            const net::any_io_executor executor = net::get_associated_executor(handler, fallback);
            s.note("executor", s.name(executor));
            s.note("default allocator", std::is_same_v<net::associated_allocator_t<decltype(handler)>, std::allocator<void>>);
            s.note("slot", net::get_associated_cancellation_slot(handler).is_connected());
#if WEFT_TEST_ASIO_AT_LEAST(108200, 102700)
            s.note("immediate", s.name(net::get_associated_immediate_executor(handler, fallback)));
#endif
            net::post(executor, [&s, result, h = std::move(handler)]() mutable {
                s.note("calls");
                std::move(h)(error_code{}, result);
                s.note("called");
            });
            s.note("initiated");
        },
        token);
}

/// A composed operation: several steps of a timer, each noted.
template <class Token>
auto stepping(scene& s, net::steady_timer& timer, Token&& token) {
    return net::async_compose<Token, void(error_code, int)>(
        [&s, &timer, n = 0](auto& self, error_code error = {}) mutable {
            s.note("step", n, error.message(), s.name(self.get_executor()));
            if (error || n++ == 3) return self.complete(error, n);
            timer.expires_after(milliseconds{1});
            timer.async_wait(std::move(self));
        },
        token, timer);
}

/// Completes with what is given, by a post to its associated executor.
template <class Signature, class Token, class... Results>
auto giving(scene& s, Token&& token, Results... results) {
    return net::async_initiate<Token, Signature>(
        [&s](auto handler, auto... given) {
            const auto executor = net::get_associated_executor(handler, s.io.get_executor());
            net::post(executor, [h = std::move(handler), values = std::make_tuple(std::move(given)...)]() mutable {
                std::apply([&](auto&... value) { std::move(h)(std::move(value)...); }, values);
            });
        },
        token, std::move(results)...);
}

/// Cannot be made of nothing, copied or assigned.
struct stubborn {
    explicit stubborn(int n) : number{n} {}
    stubborn(stubborn&& other) noexcept : number{other.number} {}
    int number;
};

} // namespace

BOOST_AUTO_TEST_CASE(associated_with_a_handler) {
    same([](scene& s, auto run, auto&) {
        s.note("result", run([&](auto token) { return noting(s, token); }));
        s.note("result", run([&](auto token) { return noting(s, net::bind_executor(s.other, token)); }));
        net::post(net::bind_executor(s.strand, [&s] { s.note("goes on"); }));
        s.note("result", run([&](auto token) { return noting(s, net::bind_executor(s.strand, token)); }));
        s.note("result", run([&](auto token) { return noting(s, net::bind_cancellation_slot(net::cancellation_slot{}, token)); }));
#if WEFT_TEST_ASIO_AT_LEAST(108100, 102300)
        s.note("result", run([&](auto token) { return noting(s, net::bind_allocator(std::allocator<int>{}, token)); }));
#endif
#if WEFT_TEST_ASIO_AT_LEAST(108200, 102700)
        s.note("result", run([&](auto token) { return noting(s, net::bind_immediate_executor(s.strand, token)); }));
#endif
    });
}

BOOST_AUTO_TEST_CASE(steps_of_composed_operations) {
    same([](scene& s, auto run, auto&) {
        net::steady_timer timer{s.io};
        s.note("result", run([&](auto token) { return stepping(s, timer, token); }));
        s.note("result", run([&](auto token) { return stepping(s, timer, net::bind_executor(s.other, token)); }));
        net::post(s.io, [&] { net::post(s.io, [&] { timer.cancel(); }); });
        s.attempt([&] { run([&](auto token) { return stepping(s, timer, token); }); });
    });
}

BOOST_AUTO_TEST_CASE(posts_dispatches_and_defers_take_their_turn) {
    same([](scene& s, auto run, auto&) {
        const auto each = [&](auto submit) {
            s.queue(1);
            run(submit);
            s.note("went on");
            s.queue(2);
            run([&](auto token) { return net::post(token); });
            s.note("went on");
        };
        each([](auto token) { return net::post(token); });
        each([](auto token) { return net::dispatch(token); });
        each([](auto token) { return net::defer(token); });
        each([&](auto token) { return net::post(s.io, token); });
        each([&](auto token) { return net::dispatch(s.io, token); });
        each([&](auto token) { return net::defer(s.other, token); });
        each([&](auto token) { return net::post(s.strand, token); });
        each([&](auto token) { return net::dispatch(s.other, token); });
        each([&](auto token) { return net::dispatch(net::bind_executor(s.other, token)); });
        each([&](auto token) { return net::dispatch(net::bind_executor(s.strand, token)); });
    });
}

BOOST_AUTO_TEST_CASE(results_and_errors) {
    same([](scene& s, auto run, auto&) {
        run([&](auto token) { return giving<void()>(s, token); });
        run([&](auto token) { return giving<void(error_code)>(s, token, error_code{}); });
        run([&](auto token) { return giving<void(std::exception_ptr)>(s, token, std::exception_ptr{}); });
        s.note(run([&](auto token) { return giving<void(const int&)>(s, token, 3); }));
        s.note(run([&](auto token) { return giving<void(error_code, stubborn)>(s, token, error_code{}, stubborn{4}); }).number);
        s.note(*run([&](auto token) { return giving<void(std::unique_ptr<int>)>(s, token, std::make_unique<int>(5)); }));
        const auto [a, b] = run([&](auto token) { return giving<void(error_code, int, std::string)>(s, token, error_code{}, 6, "six"); });
        s.note(a, b);
        const auto tuple = run([&](auto token) { return giving<void(int, error_code)>(s, token, 7, error_code{net::error::eof}); });
        s.note(std::get<0>(tuple), std::get<1>(tuple).message());
        s.attempt([&] { run([&](auto token) { return giving<void(error_code, int)>(s, token, error_code{net::error::eof}, 8); }); });
        s.attempt([&] { run([&](auto token) { return giving<void(error_code)>(s, token, error_code{net::error::no_permission}); }); });
        s.attempt([&] {
            run([&](auto token) {
                return giving<void(std::exception_ptr, stubborn)>(s, token, std::make_exception_ptr(std::out_of_range{"far"}), stubborn{9});
            });
        });
    });
}

BOOST_AUTO_TEST_CASE(adapters_of_tokens) {
    same([](scene& s, auto run, auto&) {
        const auto [error, n] = run([&](auto token) { return giving<void(error_code, int)>(s, adapters::as_tuple(token), error_code{net::error::eof}, 1); });
        s.note(error.message(), n);
        error_code redirected;
        s.note(run([&](auto token) {
            return giving<void(error_code, int)>(s, net::redirect_error(token, redirected), error_code{net::error::eof}, 2);
        }));
        s.note(redirected.message());
        const auto appended = run([&](auto token) { return noting(s, adapters::append(token, 3)); });
        s.note(std::get<0>(appended), std::get<1>(appended));
        const auto prepended = run([&](auto token) { return giving<void(int)>(s, adapters::prepend(token, std::string{"x"}), 4); });
        s.note(std::get<0>(prepended), std::get<1>(prepended));
        const auto deferred = noting(s, adapters::deferred);
        s.note(run([&](auto token) { return std::decay_t<decltype(deferred)>(deferred)(token); }));
#if WEFT_TEST_ASIO_AT_LEAST(108100, 102400) && !defined(WEFT_STANDALONE_ASIO)
        const auto kept = std::make_shared<int>(1);
        s.note(run([&](auto token) { return noting(s, net::consign(token, kept)); }), kept.use_count());
#endif
#if WEFT_TEST_ASIO_AT_LEAST(108600, 103100)
        net::steady_timer timer{s.io, hours{1}};
        s.attempt([&] { run([&](auto token) { return timer.async_wait(net::cancel_after(milliseconds{1}, token)); }); });
        s.attempt([&] {
            run([&](auto token) { return timer.async_wait(net::cancel_at(std::chrono::steady_clock::now() + milliseconds{1}, token)); });
        });
        net::steady_timer soon{s.io, milliseconds{1}};
        run([&](auto token) { return soon.async_wait(net::cancel_after(hours{1}, token)); });
#endif
    });
}

BOOST_AUTO_TEST_CASE(cancellation_reaches_it_through_the_filters_of_the_coroutine) {
    same([](scene& s, auto run, auto& co) {
        const auto emit_all = [&] {
            for (const auto kind : {net::cancellation_type::total, net::cancellation_type::partial, net::cancellation_type::terminal})
                net::post(s.io, [&s, kind] {
                    s.note("emits", static_cast<unsigned>(kind));
                    s.signal.emit(kind);
                });
        };
        // Completes at the first kind that comes.
        const auto cancellable = [&s](auto token) {
            return net::async_initiate<decltype(token), void(error_code, int)>(
                [&s](auto handler) {
                    auto slot = net::get_associated_cancellation_slot(handler);
                    slot.assign([&s, h = std::make_shared<decltype(handler)>(std::move(handler)), came = false](net::cancellation_type kind) mutable {
                        s.note("comes", static_cast<unsigned>(kind));
                        if (std::exchange(came, true)) return;
                        net::post(s.io, [h = std::move(*h), kind]() mutable {
                            std::move(h)(error_code{net::error::operation_aborted}, static_cast<int>(kind));
                        });
                    });
                },
                token);
        };
        const auto one = [&](auto let) {
            let();
            emit_all();
            const auto [error, kind] = run([&](auto token) { return cancellable(adapters::as_tuple(token)); });
            s.note(error.message(), kind);
            s.attempt([&] { run([&](auto token) { return net::post(token); }); });
            s.note("cancelled", static_cast<unsigned>(co.await(net::this_coro::cancellation_state).cancelled()));
            co.await(net::this_coro::throw_if_cancelled(false));
            for (int i = 0; i < 4; ++i) run([&](auto token) { return net::post(s.io, token); });
            co.await(net::this_coro::reset_cancellation_state());
            co.await(net::this_coro::throw_if_cancelled(true));
        };
        one([] {});
        one([&] { co.await(net::this_coro::reset_cancellation_state(net::enable_terminal_cancellation())); });
        one([&] { co.await(net::this_coro::reset_cancellation_state(net::enable_partial_cancellation())); });
        one([&] { co.await(net::this_coro::reset_cancellation_state(net::enable_total_cancellation())); });
        one([&] {
            co.await(net::this_coro::reset_cancellation_state(
                [](net::cancellation_type kind) { return kind & net::cancellation_type::partial; },
                [](net::cancellation_type kind) {
                    return kind == net::cancellation_type::none ? kind : net::cancellation_type::terminal;
                }));
        });
        // A slot of the operation's own.
        net::cancellation_signal own;
        net::post(s.io, [&] { own.emit(net::cancellation_type::total); });
        s.attempt([&] { run([&](auto token) { return cancellable(net::bind_cancellation_slot(own.slot(), token)); }); });
        s.note("cancelled", static_cast<unsigned>(co.await(net::this_coro::cancellation_state).cancelled()));
    });
}

BOOST_AUTO_TEST_CASE(channels_groups_and_coroutines) {
    same([](scene& s, auto run, auto&) {
        net::experimental::channel<void(error_code, std::string)> channel{s.io, 1};
        run([&](auto token) { return channel.async_send(error_code{}, "one", token); });
        s.note(run([&](auto token) { return channel.async_receive(token); }));
        net::post(s.io, [&] { channel.try_send(error_code{}, "two"); });
        s.note(run([&](auto token) { return channel.async_receive(token); }));
        net::post(s.io, [&] { channel.close(); });
        s.attempt([&] { run([&](auto token) { return channel.async_receive(token); }); });

        net::steady_timer soon{s.io, milliseconds{1}}, late{s.io, hours{1}};
        const auto order = std::get<0>(run([&](auto token) {
            return net::experimental::make_parallel_group(soon.async_wait(adapters::deferred), late.async_wait(adapters::deferred))
                .async_wait(net::experimental::wait_for_one(), token);
        }));
        s.note(order[0], order[1]);

        s.note(run([&](auto token) {
            return net::co_spawn(
                s.other,
                [&]() -> net::awaitable<int> {
                    s.note("inner");
                    co_await net::post(net::use_awaitable);
                    s.note("inner");
                    co_return 3;
                },
                token);
        }));
        s.attempt([&] {
            run([&](auto token) {
                return net::co_spawn(
                    s.io, []() -> net::awaitable<void> { throw std::out_of_range{"inner"}; }, token);
            });
        });
    });
}

BOOST_AUTO_TEST_CASE(sockets) {
    same([](scene& s, auto run, auto&) {
        using net::ip::tcp;
        tcp::acceptor acceptor{s.io, {net::ip::address_v4::loopback(), 0}};
        tcp::socket client{s.io};
        client.async_connect(acceptor.local_endpoint(), [](error_code) {});
        tcp::socket server = run([&](auto token) { return acceptor.async_accept(token); });
        s.note("accepted");
        const std::string text = "hello\n";
        s.note(run([&](auto token) { return net::async_write(client, net::buffer(text), token); }));
        std::string line;
        s.note(run([&](auto token) { return net::async_read_until(server, net::dynamic_buffer(line), '\n', token); }), line);
        client.close();
        std::array<char, 4> rest{};
        s.attempt([&] { run([&](auto token) { return net::async_read(server, net::buffer(rest), token); }); });
        s.attempt([&] {
            run([&](auto token) { return client.async_connect(acceptor.local_endpoint(), token); });
            s.note("connected");
        });
    });
}

BOOST_AUTO_TEST_CASE(completed_inside_of_its_start) {
    same([](scene& s, auto run, auto&) {
        s.queue(1);
        for (int i = 0; i < 8; ++i)
            s.note(run([&](auto token) {
                return net::async_initiate<decltype(token), void(int)>([i](auto handler) { std::move(handler)(i); }, token);
            }));
        for (int i = 0; i < 8; ++i) run([&](auto token) { return net::dispatch(token); });
        run([&](auto token) { return net::post(token); });
        for (int i = 0; i < 8; ++i) run([&](auto token) { return net::dispatch(token); });
        for (int i = 0; i < 40; ++i) run([&](auto token) { return net::dispatch(net::bind_executor(s.other, token)); });
        s.note("all on the executor");
    });
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_dropped_or_whose_context_ends) {
    const auto dropping = [](scene& s, auto run, auto&) {
        run([&](auto token) { return net::async_initiate<decltype(token), void(int)>([](auto) {}, token); });
        s.note("went on");
    };
    const auto waiting = [](scene& s, auto run, auto&) {
        net::steady_timer timer{s.io, hours{1}};
        run([&](auto token) { return stepping(s, timer, token); });
        net::steady_timer late{s.io, hours{1}};
        run([&](auto token) { return late.async_wait(token); });
        s.note("went on");
    };
    BOOST_TEST(trace_of<true>(dropping, true) == trace_of<false>(dropping, true));
    BOOST_TEST(trace_of<true>(dropping, false) == trace_of<false>(dropping, false));
    BOOST_TEST(trace_of<true>(waiting, true, true) == trace_of<false>(waiting, true, true));
}

BOOST_AUTO_TEST_CASE(a_start_that_throws_when_it_has_given_the_handler_away) {
#if WEFT_TEST_ASIO_AT_LEAST(108100, 102400) // before, Asio ends the program there, in a coroutine too
    const auto throwing = [](scene& s, auto run, auto&) {
        s.note("result", run([&](auto token) {
            return net::async_initiate<decltype(token), void(int)>(
                [&s](auto handler) {
                    net::post(s.io, [h = std::move(handler)]() mutable { std::move(h)(3); });
                    throw std::out_of_range{"started all the same"};
                },
                token);
        }));
    };
    const std::string oracle = trace_of<false>(throwing, true);
    BOOST_TEST(oracle.find("result 3") != std::string::npos);
    BOOST_TEST(trace_of<true>(throwing, true) == oracle);
#endif
    // In a task it appears when the operation completes.
    net::io_context io;
    bool right = false;
    std::thread runner;
    BOOST_CHECK_THROW(weft::sync_wait(weft::stackful<weft::task<int>>([&](auto&) {
        const int n = net::async_initiate<const weft::use_fiber_t, void(int)>(
            [&](auto handler) {
                net::post(io, [h = std::move(handler)]() mutable { std::move(h)(3); });
                runner = std::thread{[&] {
                    std::this_thread::sleep_for(milliseconds{20});
                    io.run();
                    right = true;
                }};
                throw std::out_of_range{"started all the same"};
            },
            weft::use_fiber);
        return n;
    })), std::out_of_range);
    runner.join();
    BOOST_TEST(right);
}

BOOST_AUTO_TEST_CASE(objects_whose_operations_take_it_by_default) {
    net::io_context io;
    int ended = 0;
    net::co_spawn(
        io,
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto&) {
                using timer = weft::use_fiber_t::as_default_on_t<net::steady_timer>;
                timer named{io, milliseconds{1}};
                named.async_wait();
                auto made = weft::use_fiber_t::as_default_on(net::steady_timer{io, milliseconds{1}});
                static_assert(std::is_same_v<decltype(made), timer>);
                static_assert(std::is_void_v<decltype(made.async_wait())>);
                made.async_wait();
                ++ended;
            });
        },
        net::detached);
    io.run();
    BOOST_TEST(ended == 1);
}

/// Neither way races where a composed operation and a timer are raced on strands of a pool.
BOOST_AUTO_TEST_CASE(operators_on_strands_of_a_pool) {
    using namespace net::experimental::awaitable_operators;
    using net::ip::tcp;
    for (const bool fiber : {false, true}) {
        net::thread_pool pool{3};
        std::atomic<int> ended{0};
        for (int pair = 0; pair < 4; ++pair)
            net::co_spawn(
                net::make_strand(pool),
                [&, fiber]() -> net::awaitable<void> {
                    const auto executor = co_await net::this_coro::executor;
                    tcp::acceptor acceptor{executor, {net::ip::address_v4::loopback(), 0}};
                    tcp::socket client{executor};
                    co_await client.async_connect(acceptor.local_endpoint(), net::use_awaitable);
                    tcp::socket server = co_await acceptor.async_accept(net::use_awaitable);
                    const std::string text(20'000, 'x');
                    std::string got(text.size(), ' ');
                    int unguarded = 0;
                    const auto write = [&]() -> net::awaitable<void> {
                        return weft::stackful([&](auto& co) {
                            ++unguarded;
                            if (fiber)
                                net::async_write(client, net::buffer(text), weft::use_fiber);
                            else
                                co.await(net::async_write(client, net::buffer(text), net::use_awaitable));
                            ++unguarded;
                        });
                    };
                    const auto read = [&]() -> net::awaitable<void> {
                        return weft::stackful([&](auto& co) {
                            ++unguarded;
                            if (fiber)
                                net::async_read(server, net::buffer(got), weft::use_fiber);
                            else
                                co.await(net::async_read(server, net::buffer(got), net::use_awaitable));
                            ++unguarded;
                        });
                    };
                    // Made in a function of its own: Clang 16 keeps the address of Asio's thread-local from one round to
                    // the next where it makes awaitables in the coroutine itself.
                    const auto race = [&](net::steady_timer& timer) __attribute__((noinline)) {
                        return (write() && read()) || timer.async_wait(net::use_awaitable);
                    };
                    for (int round = 0; round < 30; ++round) {
                        net::steady_timer timer{executor, hours{1}};
                        co_await race(timer);
                        ++unguarded;
                    }
                    if (unguarded == 30 * 5 && got == text) ++ended;
                },
                net::detached);
        pool.join();
        BOOST_TEST(ended.load() == 4);
    }
}
