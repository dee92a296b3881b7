// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Cancellation through layers of bodies, tasks and awaitables, compared with the same layers of plain awaitables; and in
// which order things end with bodies suspended (lib/doc/cancellation.md).

#include "net.hpp"

#include "allocations.hpp"
#include "child.hpp"
#include "small_senders.hpp"
#define WEFT_EXECUTION_NAMESPACE small_senders

#include <weft/await.hpp>
#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/senders.hpp>
#include <weft/stop_token.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using kind = net::cancellation_type;

/// What a program observes, and how Asio cancels it: by these types, each one when an operation has started, or has not
/// heeded the one before.
struct program {
    std::vector<kind> types{kind::terminal};
    kind heeded = kind::all;             // by its operations
    bool heeds = false;                  // an operation has just been cancelled
    std::function<void()> started = {};  // called in the operation's start
    net::any_io_executor elsewhere = {}; // of the operation; empty: that of the context
    bool refuses = true;                 // once it has been cancelled
    bool in_place = false;               // the operation knows when Asio has said so
    std::chrono::milliseconds limit{10000};
    std::thread::id cancelled_on = {};
    std::string seen = {};

    void see(const std::string& what) { seen += what + ' '; }
};

std::string name(net::cancellation_type_t how) {
    return std::to_string(static_cast<unsigned>(how) & 7U);
}

/// An operation that lasts until it is cancelled by a type that it heeds.
template <class Token>
auto lasting(net::io_context& context, program& p, Token&& token) {
    return net::async_initiate<Token, void(errors::error_code)>(
        [&context, &p](auto handler) {
            const net::any_io_executor own = p.elsewhere ? p.elsewhere : net::any_io_executor(context.get_executor());
            const auto executor = net::get_associated_executor(handler, own);
            const auto timer = std::make_shared<net::steady_timer>(context, std::chrono::seconds{60});
            auto slot = net::get_associated_cancellation_slot(handler);
            if (slot.is_connected())
                slot.assign([&p, timer](net::cancellation_type_t how) {
                    p.see(name(how));
                    p.cancelled_on = std::this_thread::get_id();
                    p.heeds = (how & p.heeded) != kind::none;
                    if (p.heeds) timer->cancel();
                });
            timer->async_wait(net::bind_executor(
                executor, [timer, h = std::move(handler)](errors::error_code error) mutable { std::move(h)(error); }));
            if (p.started) p.started();
        },
        token);
}

/// A task that is nothing but a sender.
struct as_sender {
    using sender_concept = small_senders::sender_tag;
    using completion_signatures = small_senders::completion_signatures<
        small_senders::set_value_t(), small_senders::set_error_t(std::exception_ptr), small_senders::set_stopped_t()>;
    weft::task<void> work;

    template <class Receiver>
    auto connect(Receiver receiver) && {
        return std::move(work).connect(std::move(receiver));
    }
};

/// A sender that completes, stopped, when its receiver's token is.
struct lasting_sender {
    using sender_concept = small_senders::sender_tag;
    using completion_signatures =
        small_senders::completion_signatures<small_senders::set_value_t(), small_senders::set_stopped_t()>;

    template <class Receiver>
    struct operation {
        struct stop {
            operation* self;
            void operator()() const noexcept { small_senders::set_stopped(std::move(self->receiver)); }
        };
        Receiver receiver;
        std::optional<std::stop_callback<stop>> callback = std::nullopt;

        void start() & noexcept {
            callback.emplace(small_senders::get_stop_token(small_senders::get_env(receiver)), stop{this});
        }
    };
    template <class Receiver>
    operation<Receiver> connect(Receiver receiver) const {
        return {std::move(receiver)};
    }
};

/// Goes on, inside of the stop callback, when a stop is requested.
class until_stopped {
public:
    explicit until_stopped(std::stop_token token) : token_(std::move(token)) {}
    bool await_ready() const { return token_.stop_requested(); }
    void await_suspend(std::coroutine_handle<> driver) { callback_.emplace(token_, resume{driver}); }
    void await_resume() { callback_.reset(); }

private:
    struct resume {
        std::coroutine_handle<> driver;
        void operator()() const { driver.resume(); }
    };
    std::stop_token token_;
    std::optional<std::stop_callback<resume>> callback_;
};

template <class Fn>
void observe(program& p, Fn operation) {
    try {
        operation();
        p.see("completed");
    } catch (const errors::system_error& e) {
        p.see(e.code() == net::error::operation_aborted ? "aborted" : "failed");
    }
}

/// The oracle: `layers` of plain awaitables.
net::awaitable<void> plain(net::io_context& context, program& p, int layers) {
    if (layers > 0) co_return co_await plain(context, p, layers - 1);
    for (int i = 0; i < 2; ++i) {
        try {
            co_await lasting(context, p, net::use_awaitable);
            p.see("completed");
        } catch (const errors::system_error& e) {
            p.see(e.code() == net::error::operation_aborted ? "aborted" : "failed");
        }
    }
}

// The same layers of bodies, each of which a letter names; o: the operations.

weft::task<void> in_task(net::io_context& context, program& p, const char* path);
net::awaitable<void> in_awaitable(net::io_context& context, program& p, const char* path);

net::awaitable<void> own_state(net::io_context& context, program& p, const char* path) {
    co_await net::this_coro::reset_cancellation_state(net::enable_total_cancellation());
    co_await net::this_coro::throw_if_cancelled(p.refuses);
    co_await in_awaitable(context, p, path);
}

weft::task<void> in_plain_task(net::io_context& context, program& p, const char* path) {
    co_await in_task(context, p, path);
}

/// Runs the rest of the path in the body that calls it.
void below(net::io_context& context, program& p, const char* path) {
    switch (*path) {
    case 'k': {
        const std::stop_token token = weft::this_fiber::get_stop_token();
        BOOST_TEST(!token.stop_requested());
        until_stopped operand{token};
        if (p.started) p.started();
        weft::await(operand);
        p.see(weft::this_fiber::get_stop_token().stop_requested() ? "stopped" : "resumed");
        break;
    }
    case 'n':
        if (p.started) p.started();
        try {
            weft::await(lasting_sender{});
        } catch (const weft::operation_stopped&) {
            p.see("stopped");
        }
        break;
    case 'o':
        for (int i = 0; i < 2; ++i) observe(p, [&] { lasting(context, p, weft::use_fiber); });
        break;
    case 'T':
        weft::await(in_task(context, p, path + 1));
        break;
    case 'D':
        weft::await(as_sender{in_task(context, p, path + 1)});
        break;
    case 'P':
        weft::await(in_plain_task(context, p, path + 1));
        break;
    case 'G':
        for (const int step : weft::generator<int>{[&](auto& out) {
                 out.yield(1);
                 below(context, p, path + 1);
             }})
            static_cast<void>(step);
        break;
    case 'F': {
        weft::fiber f{[&](weft::fiber_ref) { below(context, p, path + 1); }};
        f.resume();
        BOOST_TEST(f.done());
        break;
    }
    case 'S': // its awaitable has a cancellation state of its own
        net::co_spawn(context, own_state(context, p, path + 1), weft::use_fiber);
        break;
    default:
        BOOST_FAIL("no such layer");
    }
}

weft::task<void> in_task(net::io_context& context, program& p, const char* path) {
    return weft::stackful([&context, &p, path](auto&) { below(context, p, path); });
}

net::awaitable<void> in_awaitable(net::io_context& context, program& p, const char* path) {
    return weft::stackful([&context, &p, path](auto& co) {
        if (*path == 'A')
            co.await(in_awaitable(context, p, path + 1));
        else
            below(context, p, path);
    });
}

using filter = std::function<net::cancellation_type_t(net::cancellation_type_t)>;
using coroutine = std::function<net::awaitable<void>()>;

/// Starts an awaitable that `signal` cancels.
void spawn(net::io_context& context, net::cancellation_signal& signal, const coroutine& fn,
           std::function<void()> then = {}) {
    net::co_spawn(context, fn, net::bind_cancellation_slot(signal.slot(), [then](std::exception_ptr failure) {
                      BOOST_TEST(!failure);
                      if (then) then();
                  }));
}

/// Runs an awaitable in a context, cancels it, and returns what it has observed.
std::string cancelled(program p, const filter& filtered,
                      const std::function<net::awaitable<void>(net::io_context&, program&)>& make) {
    net::io_context context;
    net::cancellation_signal signal;
    spawn(
        context, signal,
        [&]() -> net::awaitable<void> {
            co_await net::this_coro::reset_cancellation_state(filtered);
            co_await net::this_coro::throw_if_cancelled(p.refuses);
            co_await make(context, p);
            const net::cancellation_state state = co_await net::this_coro::cancellation_state;
            p.see(name(state.cancelled()));
        },
        [&] { p.see("ended"); });
    std::size_t emitted = 0;
    p.started = [&] {
        net::post(context, [&] {
            if (emitted == p.types.size()) return;
            p.heeds = false;
            signal.emit(p.types[emitted++]);
            if (p.in_place) p.see("emitted");
            if (emitted < p.types.size() && !p.heeds) p.started();
        });
    };
    context.run_for(p.limit);
    return p.seen;
}

constexpr const char* asio_to_asio[]{"o",   "Ao",  "To",   "ATo", "TTo", "Po",   "PTPo",
                                     "TGo", "GTo", "TFGo", "FTo", "TSo", "TSTo", "ATSATGFPo"};

void compare(program p, const filter& filtered) {
    p.in_place = true;
    const std::string expected =
        cancelled(p, filtered, [](net::io_context& context, program& q) { return plain(context, q, 3); });
    BOOST_TEST_CONTEXT("expected: " << expected) for (const char* path : asio_to_asio) {
        const std::string seen = cancelled(
            p, filtered, [&](net::io_context& context, program& q) { return in_awaitable(context, q, path); });
        BOOST_TEST(seen == expected, path << ": " << seen);
    }
}

BOOST_AUTO_TEST_CASE(asio_cancels_operations_below_tasks_as_below_awaitables) {
    compare({}, net::enable_terminal_cancellation());
}

BOOST_AUTO_TEST_CASE(types_of_cancellation_arrive_as_through_awaitables) {
    const std::vector<kind> all{kind::total, kind::partial, kind::terminal};
    compare({.types = all, .heeded = kind::terminal}, net::enable_total_cancellation());
    compare({.types = all, .heeded = kind::partial}, net::enable_partial_cancellation());
    compare({.types = all}, net::enable_terminal_cancellation());
}

BOOST_AUTO_TEST_CASE(what_follows_a_cancellation_is_refused_as_in_awaitables) {
    compare({.types = {kind::terminal, kind::terminal}, .refuses = false}, net::enable_terminal_cancellation());
}

BOOST_AUTO_TEST_CASE(what_an_awaitable_filters_does_not_arrive) {
    const auto run = [](net::io_context& context, program& q) { return in_awaitable(context, q, "To"); };
    BOOST_TEST(cancelled({.types = {kind::total, kind::terminal}, .limit = std::chrono::milliseconds{30}},
                         net::disable_cancellation(), run)
                   .empty());
}

BOOST_AUTO_TEST_CASE(asio_stops_the_tokens_of_bodies) {
    for (const char* path :
         {"k", "Ak", "Tk", "PTk", "GTk", "FTk", "Dk", "TDk", "ATSk", "TSTk", "n", "An", "Tn", "Dn"}) {
        const std::string seen =
            cancelled({}, net::enable_terminal_cancellation(),
                      [&](net::io_context& context, program& q) { return in_awaitable(context, q, path); });
        BOOST_TEST(seen == "stopped 1 ended ", path << ": " << seen);
    }
}

/// A context that another thread runs.
class running_context {
public:
    net::io_context& context() noexcept { return context_; }
    std::thread::id thread() const noexcept { return runner_.get_id(); }
    ~running_context() {
        work_.reset();
        runner_.join();
    }

private:
    net::io_context context_{1};
    net::executor_work_guard<net::io_context::executor_type> work_ = net::make_work_guard(context_);
    std::thread runner_{[this] { context_.run(); }};
};

BOOST_AUTO_TEST_CASE(a_sender_between_knows_no_types) {
    const std::string seen =
        cancelled({}, net::enable_terminal_cancellation(),
                  [](net::io_context& context, program& q) { return in_awaitable(context, q, "Do"); });
    BOOST_TEST(seen == "7 aborted 7 aborted 1 ended ");
}

BOOST_AUTO_TEST_CASE(operations_that_can_be_cancelled_allocate_no_more_than_others) {
    std::size_t allocated = 1;
    const auto task = [&](net::io_context& context) {
        return weft::stackful<weft::task<>>([&](auto&) {
            net::post(context, weft::use_fiber);
            allocated = allocations_in([&] {
                for (int i = 0; i < 100; ++i) net::post(context, weft::use_fiber);
            });
        });
    };
    {
        net::io_context context;
        net::cancellation_signal signal;
        const auto body = [&](auto&) { weft::await(task(context)); };
        spawn(context, signal, [&]() -> net::awaitable<void> { return weft::stackful(body); });
        context.run();
        BOOST_TEST(std::exchange(allocated, 1U) == 0U);
    }
    running_context on;
    std::stop_source source;
    weft::sync_wait(task(on.context()), source.get_token());
    BOOST_TEST(allocated == 0U);
}

BOOST_AUTO_TEST_CASE(the_token_of_an_awaitables_body_follows_its_cancellation_state) {
    net::io_context context;
    net::cancellation_signal signal;
    std::vector<bool> seen;
    const auto stopped = [&] { seen.push_back(weft::this_fiber::get_stop_token().stop_requested()); };
    const auto body = [&](auto& co) {
        BOOST_TEST(weft::this_fiber::get_stop_token().stop_possible());
        const std::stop_token early = weft::this_fiber::get_stop_token();
        stopped();
        signal.emit(kind::terminal);
        stopped();
        BOOST_TEST(early.stop_requested());
        co.await(net::this_coro::reset_cancellation_state());
        stopped();
        weft::await(weft::stackful<weft::task<>>([&](auto&) { stopped(); }));
    };
    spawn(context, signal, [&]() -> net::awaitable<void> { return weft::stackful(body); });
    context.run();
    BOOST_TEST((seen == std::vector<bool>{false, true, false, false}));

    const auto nobody_cancels = [&](auto&) { BOOST_TEST(!weft::this_fiber::get_stop_token().stop_possible()); };
    net::co_spawn(context, coroutine([&]() -> net::awaitable<void> { return weft::stackful(nobody_cancels); }),
                  net::detached);
    context.restart();
    context.run();
}

BOOST_AUTO_TEST_CASE(a_stop_token_cancels_operations_on_their_executor) {
    for (const char* path : {"o", "To", "PTo", "GTo", "TFo", "Do", "TSo", "So", "DSATo"}) {
        running_context on;
        std::stop_source source;
        program p{.started = [&] { source.request_stop(); }}; // on whatever thread starts the operation
        weft::sync_wait(in_task(on.context(), p, path), source.get_token());
        const bool refused = std::string_view(path).find('S') != std::string_view::npos; // by the spawned awaitable
        BOOST_TEST(p.seen == (refused ? "7 aborted aborted " : "7 aborted 7 aborted "), path << ": " << p.seen);
        BOOST_TEST((p.cancelled_on == on.thread()), path);

        std::thread stopper;
        std::stop_source later;
        program q{.started = [&] {
            if (!stopper.joinable()) stopper = std::thread{[&] { later.request_stop(); }};
        }};
        weft::sync_wait(in_task(on.context(), q, path), later.get_token());
        stopper.join();
        BOOST_TEST(q.seen == p.seen, path << ": " << q.seen);
        BOOST_TEST((q.cancelled_on == on.thread()), path);
    }
}

BOOST_AUTO_TEST_CASE(operations_of_another_context_are_cancelled_there) {
    running_context there;
    program p{.elsewhere = there.context().get_executor()};
    std::thread::id on{};
    const std::string seen = cancelled(p, net::enable_terminal_cancellation(), [&](net::io_context&, program& q) {
        return [](running_context& context, program& r, std::thread::id& id) -> net::awaitable<void> {
            co_await in_awaitable(context.context(), r, "To");
            id = r.cancelled_on;
        }(there, q, on);
    });
    BOOST_TEST(seen == "1 aborted aborted 1 ended ");
    BOOST_TEST((on == there.thread()));
}

BOOST_AUTO_TEST_CASE(an_operation_with_a_slot_of_its_own_is_not_cancelled_with_its_body) {
    net::io_context context;
    net::cancellation_signal signal;
    bool waited = false;
    const auto body = [&](auto&) {
        net::steady_timer timer(context, std::chrono::milliseconds{5});
        weft::await(weft::stackful<weft::task<>>([&](auto&) {
            signal.emit(kind::terminal);
            timer.async_wait(net::bind_cancellation_slot(net::cancellation_slot(), weft::use_fiber));
            waited = true;
        }));
    };
    spawn(context, signal, [&]() -> net::awaitable<void> {
        co_await net::this_coro::throw_if_cancelled(false);
        co_await [](auto& b) -> net::awaitable<void> { return weft::stackful(b); }(body);
    });
    context.run();
    BOOST_TEST(waited);
}

// Completions and cancellations race; what has been cancelled may be gone.
BOOST_AUTO_TEST_CASE(cancellation_races_with_completion_and_destruction) {
    net::thread_pool pool{2};
    int aborted = 0;
    for (int i = 0; i < 200; ++i) {
        std::stop_source source;
        std::thread stopper{[&] { source.request_stop(); }};
        weft::sync_wait(weft::stackful<weft::task<>>([&](auto&) {
                            net::steady_timer timer(pool, std::chrono::microseconds{10 * (i % 10)});
                            try {
                                timer.async_wait(weft::use_fiber);
                                timer.expires_after(std::chrono::microseconds{i % 7});
                                timer.async_wait(weft::use_fiber);
                            } catch (const errors::system_error&) {
                                ++aborted;
                            }
                        }),
                        source.get_token());
        stopper.join();
    }
    BOOST_TEST(aborted > 0);
    pool.join();
}

/// Starts a task that a token stops, and nobody awaits.
class started_task {
public:
    started_task(weft::task<> task, std::stop_token token) : task_(std::move(task)), stop_(std::move(token)) {
        const auto awaiter = std::as_const(task_).operator co_await();
        awaiter.stopped_by(&stop_);
        awaiter.await_suspend(std::noop_coroutine()).resume();
    }

private:
    weft::task<> task_;
    weft::detail::given_stop_token stop_;
};

BOOST_AUTO_TEST_CASE(what_is_cancelled_after_its_context_has_ended_is_left_alone) {
    enum class executor { of_timer, bound, bound_out_of_sight };
    for (const auto which : {executor::of_timer, executor::bound, executor::bound_out_of_sight}) {
        std::stop_source source;
        std::optional<net::io_context> context(std::in_place);
        std::optional<net::steady_timer> timer(std::in_place, *context, std::chrono::hours{1});
        const started_task task(weft::stackful<weft::task<>>([&](auto&) {
                                    const auto own = context->get_executor();
                                    errors::error_code ignored;
                                    if (which == executor::of_timer)
                                        timer->async_wait(weft::use_fiber);
                                    else if (which == executor::bound)
                                        timer->async_wait(net::bind_executor(own, weft::use_fiber));
                                    else
                                        timer->async_wait(
                                            net::bind_executor(own, net::redirect_error(weft::use_fiber, ignored)));
                                }),
                                source.get_token());
        timer.reset(); // the operation is left in the context
        context.reset();
        source.request_stop();
    }
}

BOOST_AUTO_TEST_CASE(cancellation_races_with_the_end_of_the_context) {
    for (int i = 0; i < 50; ++i) {
        std::stop_source source;
        std::optional<net::io_context> context(std::in_place);
        std::optional<net::steady_timer> timer(std::in_place, *context, std::chrono::hours{1});
        const started_task task(weft::stackful<weft::task<>>([&](auto&) { timer->async_wait(weft::use_fiber); }),
                                source.get_token());
        timer.reset();
        net::post(*context, [] {});
        std::atomic<bool> ready{false};
        std::thread stopper{[&] {
            ready = true;
            source.request_stop();
        }};
        while (!ready) std::this_thread::yield();
        context.reset();
        stopper.join();
    }
}

/// Counts what it is given to execute, and drops it.
struct counting_executor {
    net::io_context::executor_type inner;
    int* count;

    net::execution_context& query(net::execution::context_t) const noexcept { return inner.context(); }
    static constexpr auto query(net::execution::blocking_t) noexcept {
        return net::execution::blocking_t(net::execution::blocking.never);
    }
    counting_executor require(net::execution::blocking_t::never_t) const noexcept { return *this; }
    template <class Fn>
    void execute(Fn) const {
        ++*count;
    }
    friend bool operator==(const counting_executor& a, const counting_executor& b) noexcept {
        return a.inner == b.inner;
    }
};

BOOST_AUTO_TEST_CASE(nothing_is_posted_to_a_context_that_ends) {
    std::stop_source source;
    int posted = 0;
    bool requested = false;
    std::optional<net::io_context> context(std::in_place);
    std::shared_ptr<void> when_dropped(nullptr, [&](void*) { requested = source.request_stop(); });
    net::post(*context, [held = std::move(when_dropped)] {});
    const started_task task(weft::stackful<weft::task<>>([&](auto&) {
                                const counting_executor executor{context->get_executor(), &posted};
                                net::post(*context, net::bind_executor(executor, weft::use_fiber));
                            }),
                            source.get_token());
    context.reset(); // drops the first before the second
    BOOST_TEST(requested);
    BOOST_TEST(posted == 0);
}

BOOST_AUTO_TEST_CASE(a_bound_operation_is_cancelled_where_it_is_bound_to) {
    running_context on;
    auto strand = net::make_strand(on.context());
    std::stop_source source;
    program p{.started = [&] { source.request_stop(); }};
    weft::sync_wait(weft::stackful<weft::task<>>([&](auto&) {
                        observe(p, [&] { lasting(on.context(), p, net::bind_executor(strand, weft::use_fiber)); });
                    }),
                    source.get_token());
    BOOST_TEST(p.seen == "7 aborted ");
    BOOST_TEST((p.cancelled_on == on.thread()));
}

// The end of contexts, pools and the program.

/// Notes on which thread the body that owns it ends.
struct owned {
    std::vector<std::pair<char, std::thread::id>>* ended;
    char name;
    ~owned() { ended->emplace_back(name, std::this_thread::get_id()); }
};

net::awaitable<void> waiting_for_ever(net::any_io_executor executor, std::atomic<bool>& begun,
                                      std::vector<std::pair<char, std::thread::id>>& ended) {
    return weft::stackful([executor, &begun, &ended](auto&) {
        const owned outer{&ended, 'a'};
        net::steady_timer timer(executor, std::chrono::hours{1});
        weft::await(weft::stackful<weft::task<>>([&](auto&) {
            const owned inner{&ended, 't'};
            begun = true;
            timer.async_wait(weft::use_fiber);
        }));
    });
}

BOOST_AUTO_TEST_CASE(a_context_that_is_destroyed_unwinds_its_bodies_in_its_destructor) {
    std::vector<std::pair<char, std::thread::id>> ended;
    std::atomic<bool> begun{false};
    {
        net::io_context context;
        net::co_spawn(context, waiting_for_ever(context.get_executor(), begun, ended), net::detached);
        std::thread{[&] { context.poll(); }}.join();
        context.stop();
        BOOST_TEST(begun);
        BOOST_TEST(ended.empty());
    }
    const auto here = std::this_thread::get_id();
    BOOST_TEST((ended == std::vector<std::pair<char, std::thread::id>>{{'t', here}, {'a', here}}));
}

BOOST_AUTO_TEST_CASE(a_pool_that_is_stopped_and_joined_keeps_its_bodies_until_it_is_destroyed) {
    std::vector<std::pair<char, std::thread::id>> ended;
    std::atomic<bool> begun{false};
    {
        net::thread_pool pool{2};
        net::co_spawn(pool, waiting_for_ever(pool.get_executor(), begun, ended), net::detached);
        while (!begun) std::this_thread::yield();
        pool.stop();
        pool.join();
        BOOST_TEST(ended.empty());
    }
    const auto here = std::this_thread::get_id();
    BOOST_TEST((ended == std::vector<std::pair<char, std::thread::id>>{{'t', here}, {'a', here}}));
}

BOOST_AUTO_TEST_CASE(a_pool_that_is_joined_waits_for_its_bodies) {
    net::thread_pool pool{2};
    std::atomic<bool> ended{false};
    net::co_spawn(pool, coroutine([&]() -> net::awaitable<void> {
                      return weft::stackful([&](auto&) {
                          net::steady_timer timer(pool, std::chrono::milliseconds{10});
                          timer.async_wait(weft::use_fiber);
                          ended = true;
                      });
                  }),
                  net::detached);
    pool.join();
    BOOST_TEST(ended);
}

struct says_that_it_ends {
    ~says_that_it_ends() { std::fputs("unwound\n", stderr); }
};

#if !WEFT_TSAN // it refuses to run threads after a fork
BOOST_AUTO_TEST_CASE(exit_in_a_body_ends_the_program_as_in_any_function) {
    const weft_test::child_end end = weft_test::in_child([] {
        static says_that_it_ends of_the_program;
        net::io_context context;
        const auto body = [&](auto&) {
            const says_that_it_ends local;
            const auto kept = std::make_unique<std::string>(1000, 'x'); // no leak
            weft::await(weft::stackful<weft::task<>>([&](auto&) {
                std::atexit([] { std::fputs("atexit\n", stderr); });
                std::exit(kept->size() == 1000 ? 7 : 8);
            }));
        };
        net::co_spawn(context, coroutine([&]() -> net::awaitable<void> { return weft::stackful(body); }),
                      net::detached);
        context.run();
        return 1;
    });
    BOOST_TEST(end.code == 7, end);
    BOOST_TEST(end.said == "atexit\nunwound\n", end);
}
#endif

} // namespace
