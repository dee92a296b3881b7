// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The tests of weft's senders: with the small senders of the tests, and, compiled with WEFT_TEST_INSTALLED_SENDERS,
// with those that are installed.

#if !defined(WEFT_TEST_INSTALLED_SENDERS)
#    include "small_senders.hpp"
#    define WEFT_EXECUTION_NAMESPACE small_senders
#endif

#include <weft/senders.hpp>

#include "allocations.hpp"
#include "awaiters.hpp"
#include "coroutine_types.hpp"
#include "matrix.hpp"

#include <weft/stackful.hpp>
#include <weft/stop_token.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>

namespace {

namespace ex = weft::detail::execution;
namespace stops = weft::detail::stop_tokens;

#if defined(WEFT_TEST_INSTALLED_SENDERS)
#    if defined(__cpp_lib_senders)
using std::this_thread::sync_wait;
#    else
using stdexec::sync_wait;
#    endif
#endif

// Senders.

template <class Fn>
detour run_when_resumed(Fn fn) {
    fn();
    co_return;
}

/// What was noted of a sender's operation.
struct notes {
    std::atomic<int> connected{0}, started{0};
    std::uintptr_t connect_stack = 0, start_stack = 0, operation_address = 0;
    std::atomic<unsigned> completed_on{0};
};

/// Completes where it is told, by calling `complete` with the receiver.
template <class Signatures, class Complete>
struct staged {
    using sender_concept = ex::sender_tag;
    using completion_signatures = Signatures;

    stage* where;
    place at;
    Complete complete;
    notes* noted;

    template <class Receiver>
    struct operation {
        using operation_state_concept = ex::operation_state_tag;
        Receiver receiver;
        stage* where;
        place at;
        Complete complete;
        notes* noted;

        operation(Receiver r, const staged& s)
            : receiver(std::move(r)), where{s.where}, at{s.at}, complete(s.complete), noted{s.noted} {
            ++noted->connected;
            noted->connect_stack = stack_position();
            noted->operation_address = reinterpret_cast<std::uintptr_t>(this);
        }
        operation(const operation&) = delete;
        operation& operator=(const operation&) = delete;

        void start() & noexcept {
            ++noted->started;
            noted->start_stack = stack_position();
            switch (at) {
            case place::before_return:
                std::thread{[this] { finish(); }}.join();
                break;
            case place::later:
                where->later(run_when_resumed([this] { finish(); }).handle);
                break;
            case place::another_thread:
                where->on_a_thread([this] { finish(); });
                break;
            default:
                finish();
            }
        }
        // Once it has completed this operation may be gone.
        void finish() noexcept {
            noted->completed_on = thread_number();
            Complete last = complete;
            last(std::move(receiver));
        }
    };

    template <class Receiver>
    operation<Receiver> connect(Receiver r) const {
        return {std::move(r), *this};
    }
};

template <class... Signatures, class Complete>
auto completing(stage& s, notes& n, place at, Complete complete) {
    return staged<ex::completion_signatures<Signatures...>, Complete>{&s, at, std::move(complete), &n};
}

inline constexpr place completing_places[] = {place::inside, place::before_return, place::later, place::another_thread};

enum class ends { with_value, with_error, stopped };
inline constexpr ends all_ends[] = {ends::with_value, ends::with_error, ends::stopped};
std::ostream& operator<<(std::ostream& out, ends e) {
    static constexpr const char* names[] = {"with_value", "with_error", "stopped"};
    return out << names[static_cast<int>(e)];
}

struct error {
    int number;
};

/// Completes with 42, or with error{43}, or stopped.
auto any_way(stage& s, notes& n, place at, ends how) {
    return completing<ex::set_value_t(int), ex::set_error_t(error), ex::set_stopped_t()>(
        s, n, at, [how](auto receiver) {
            if (how == ends::with_value)
                ex::set_value(std::move(receiver), 42);
            else if (how == ends::with_error)
                ex::set_error(std::move(receiver), error{43});
            else
                ex::set_stopped(std::move(receiver));
        });
}

/// Completes when the test says so; takes nothing from the heap.
struct parked {
    struct waiting {
        virtual void go_on() noexcept = 0;

    protected:
        ~waiting() = default;
    };
    using sender_concept = ex::sender_tag;
    using completion_signatures = ex::completion_signatures<ex::set_value_t(int)>;

    waiting** here;

    template <class Receiver>
    struct operation final : waiting {
        using operation_state_concept = ex::operation_state_tag;
        Receiver receiver;
        waiting** here;

        operation(Receiver r, waiting** w) : receiver(std::move(r)), here{w} {}
        operation(const operation&) = delete;
        void start() & noexcept { *here = this; }
        void go_on() noexcept override { ex::set_value(std::move(receiver), 1); }
    };
    template <class Receiver>
    operation<Receiver> connect(Receiver r) const {
        return {std::move(r), here};
    }
};

/// Completes with what the receiver's stop token says.
struct token_of_receiver {
    using sender_concept = ex::sender_tag;
    using completion_signatures = ex::completion_signatures<ex::set_value_t(std::stop_token)>;

    template <class Receiver>
    struct operation {
        using operation_state_concept = ex::operation_state_tag;
        Receiver receiver;
        void start() & noexcept {
            std::stop_token token = stops::get_stop_token(ex::get_env(receiver));
            ex::set_value(std::move(receiver), std::move(token));
        }
    };
    template <class Receiver>
    operation<Receiver> connect(Receiver r) const {
        return {std::move(r)};
    }
};

/// Completes, stopped, when its receiver's stop token is told to.
struct until_stopped {
    using sender_concept = ex::sender_tag;
    using completion_signatures = ex::completion_signatures<ex::set_value_t(), ex::set_stopped_t()>;

    std::atomic<bool>* waits;

    template <class Receiver>
    struct operation {
        using operation_state_concept = ex::operation_state_tag;
        struct stop {
            operation* self;
            void operator()() const noexcept { self->go_on(); }
        };
        using token_type = std::remove_cvref_t<decltype(stops::get_stop_token(std::declval<ex::env_of_t<Receiver>>()))>;

        Receiver receiver;
        std::atomic<bool>* waits;
        std::optional<typename token_type::template callback_type<stop>> callback;
        std::atomic<bool> ready{false};

        operation(Receiver r, std::atomic<bool>* w) : receiver(std::move(r)), waits{w} {}
        operation(const operation&) = delete;
        // Whoever comes second of the one that starts and the one that stops, completes.
        void start() & noexcept {
            std::atomic<bool>& begun = *waits;
            callback.emplace(stops::get_stop_token(ex::get_env(receiver)), stop{this});
            begun = true;
            go_on();
        }
        void go_on() noexcept {
            if (!ready.exchange(true)) return;
            callback.reset();
            ex::set_stopped(std::move(receiver));
        }
    };
    template <class Receiver>
    operation<Receiver> connect(Receiver r) const {
        return {std::move(r), waits};
    }
};

// Receivers.

/// What a receiver was told.
template <class T>
struct told {
    using stored = std::conditional_t<std::is_void_v<T>, std::monostate, std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, T>>;
    std::optional<stored> value;
    std::exception_ptr failure;
    bool stopped = false;
    unsigned on_thread = 0;
    std::function<void()> then = [] {};
};

template <class Token>
struct env_with {
    Token token;
    Token query(stops::get_stop_token_t) const noexcept { return token; }
};

template <class T, class Token = stops::never_stop_token>
struct telling {
    using receiver_concept = ex::receiver_tag;

    told<T>* to;
    Token token{};

    template <class... Values>
    void set_value(Values&&... values) noexcept {
        if constexpr (std::is_reference_v<T>)
            to->value.emplace(std::addressof(values)...);
        else
            to->value.emplace(std::forward<Values>(values)...);
        end();
    }
    void set_error(std::exception_ptr e) noexcept {
        to->failure = std::move(e);
        end();
    }
    void set_stopped() noexcept {
        to->stopped = true;
        end();
    }
    env_with<Token> get_env() const noexcept { return {token}; }

private:
    void end() noexcept {
        to->on_thread = thread_number();
        to->then();
    }
};

// Coroutine types.

/// A task that can end stopped, as P2300's can.
template <class T>
struct stoppable {
    struct promise_type : ending_promise<T, promise_type> {
        std::function<std::coroutine_handle<>()> when_stopped = [] { return std::noop_coroutine(); };

        stoppable get_return_object() { return {owned_handle{std::coroutine_handle<promise_type>::from_promise(*this)}}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::coroutine_handle<> unhandled_stopped() noexcept { return when_stopped(); }
    };
    owned_handle<promise_type> coroutine;
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine.get()}; }
};

/// A task whose promise knows senders, and has an environment.
template <class T>
struct aware {
    struct promise_type : ending_promise<T, promise_type> {
        stops::inplace_stop_token token;
        int senders = 0;
        bool stopped = false;

        aware get_return_object() { return {owned_handle{std::coroutine_handle<promise_type>::from_promise(*this)}}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::coroutine_handle<> unhandled_stopped() noexcept {
            stopped = true;
            return std::noop_coroutine();
        }
        template <class Operand>
        decltype(auto) await_transform(Operand&& operand) {
            if (!weft::detail::awaitable<Operand>) ++senders;
            return ex::as_awaitable(std::forward<Operand>(operand), *this);
        }
        env_with<stops::inplace_stop_token> get_env() const noexcept { return {token}; }
    };
    owned_handle<promise_type> coroutine;
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine.get()}; }
    promise_type& promise() const { return coroutine.get().promise(); }
};

/// A task whose promise takes any awaiter, but no sender.
template <class T>
struct no_senders {
    struct promise_type : ending_promise<T, promise_type> {
        no_senders get_return_object() { return {owned_handle{std::coroutine_handle<promise_type>::from_promise(*this)}}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        template <weft::detail::awaitable Operand>
        Operand&& await_transform(Operand&& operand) noexcept {
            return std::forward<Operand>(operand);
        }
    };
    owned_handle<promise_type> coroutine;
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine.get()}; }
};

// Tasks.

weft::task<int> stops_below() {
    co_return co_await weft::stackful<weft::task<int>>([](auto&) {
        weft::await(ex::just_stopped());
        return 1;
    });
}

weft::task<std::stop_token> token_of_body() {
    return weft::stackful<weft::task<std::stop_token>>([](auto&) { return weft::this_fiber::get_stop_token(); });
}
weft::task<std::stop_token> token_below() {
    co_return co_await token_of_body();
}

struct by_ambient {
    template <class Co, class Sender>
    static decltype(auto) await(Co&, Sender&& sender) {
        return weft::await(std::forward<Sender>(sender));
    }
};
struct by_co_await {
    template <class Co, class Sender>
    static decltype(auto) await(Co& co, Sender&& sender) {
        return co.await(std::forward<Sender>(sender));
    }
};

template <class Fn>
auto in_body(Fn fn) {
    return weft::sync_wait(weft::stackful<weft::task<std::invoke_result_t<Fn>>>([&](auto&) { return fn(); }));
}

template <class R>
using co_of = weft::coroutine_ref<typename R::promise_type>;

/// Stacks of mappings of their own: what touches that of a body that is gone, faults. Counts them, and notes the last.
struct noted_stacks {
    struct notes {
        int in_use = 0;
        weft::stack last{};
        bool hold(std::uintptr_t address) const {
            const auto top = reinterpret_cast<std::uintptr_t>(last.sp);
            return address < top && address >= top - last.size;
        }
    };
    notes* to;

    weft::stack allocate() const {
        ++to->in_use;
        return to->last = weft::guarded_stack{64 * 1024}.allocate();
    }
    void deallocate(const weft::stack& s) const noexcept {
        --to->in_use;
        weft::guarded_stack{64 * 1024}.deallocate(s);
    }
};

template <class R, class Way>
void all_completions() {
    for (const place at : completing_places)
        for (const ends how : all_ends) {
            BOOST_TEST_CONTEXT("completes " << at << ", ends " << how) {
                stage s;
                notes n;
                outcome<int> result;
                noted_stacks::notes stacks;
                unsigned started_on = 0, went_on_on = 0;
                const std::function<int(co_of<R>&)> body = [&](co_of<R>& co) {
                    started_on = thread_number();
                    struct note_thread {
                        unsigned& to;
                        ~note_thread() { to = thread_number(); }
                    } const at_the_end{went_on_on};
                    return Way::await(co, any_way(s, n, at, how));
                };
                observe(weft::stackful<R>(std::allocator_arg, noted_stacks{&stacks}, body), result);
                finish(s, result.done);

                BOOST_TEST(n.connected.load() == 1);
                BOOST_TEST(n.started.load() == 1);
                BOOST_TEST(stacks.hold(n.connect_stack));
                if (!WEFT_ASAN) BOOST_TEST(stacks.hold(n.operation_address)); // which may keep it elsewhere
                BOOST_TEST(!stacks.hold(n.start_stack));
                BOOST_TEST(went_on_on == n.completed_on.load());
                BOOST_TEST((went_on_on == started_on) == (at == place::inside || at == place::later));

                if (how == ends::with_value) {
                    BOOST_REQUIRE(result.value);
                    BOOST_TEST(*result.value == 42);
                } else if (how == ends::with_error) {
                    BOOST_REQUIRE(result.failure);
                    BOOST_CHECK_EXCEPTION(std::rethrow_exception(result.failure), error,
                                          [](const error& e) { return e.number == 43; });
                } else {
                    BOOST_REQUIRE(result.failure);
                    BOOST_CHECK_THROW(std::rethrow_exception(result.failure), weft::operation_stopped);
                }
            }
        }
}

} // namespace

BOOST_AUTO_TEST_SUITE(completions)

BOOST_AUTO_TEST_CASE(at_every_place_arrive_at_weft_await) {
    all_completions<weft::task<int>, by_ambient>();
    all_completions<watched<int>, by_ambient>();
    all_completions<no_senders<int>, by_ambient>();
}

BOOST_AUTO_TEST_CASE(at_every_place_arrive_at_co_await) {
    all_completions<weft::task<int>, by_co_await>();
    all_completions<eager<int>, by_co_await>();
    all_completions<no_senders<int>, by_co_await>();
}

BOOST_AUTO_TEST_CASE(on_another_thread_while_start_returns_go_on_once) {
    for (int i = 0; i < 300; ++i) {
        stage s;
        notes n;
        outcome<int> result;
        observe(weft::stackful<weft::task<int>>([&](auto&) {
                    int sum = 0;
                    for (int hop = 0; hop < 3; ++hop) sum += weft::await(any_way(s, n, place::another_thread, ends::with_value));
                    return sum;
                }),
                result);
        finish(s, result.done);
        BOOST_REQUIRE(result.value);
        BOOST_REQUIRE(*result.value == 3 * 42);
    }
}

BOOST_AUTO_TEST_CASE(inside_of_start_do_not_nest) {
    stage s;
    notes n;
    std::uintptr_t first = 0;
    std::uintptr_t deepest = 0;
    const int sum = in_body([&] {
        int total = 0;
        for (int i = 0; i < 100'000; ++i) {
            total += weft::await(any_way(s, n, place::inside, ends::with_value)) / 42;
            if (i == 0) first = n.start_stack;
            deepest = std::max(deepest, first > n.start_stack ? first - n.start_stack : 0);
        }
        return total;
    });
    BOOST_TEST(sum == 100'000);
    BOOST_TEST(deepest < 4096u);
}

BOOST_AUTO_TEST_CASE(inside_of_start_of_one_do_not_hold_up_another) {
    // While the start of the first is still running, and has completed, the same thread starts and ends others.
    stage s;
    notes n;
    std::string order;
    const auto inner = [&] {
        return weft::stackful<eager<int>>([&](auto& co) {
            const int v = co.await(any_way(s, n, place::inside, ends::with_value));
            order += "inner;";
            return v;
        });
    };
    const int sum = in_body([&] {
        const int outer = weft::await(completing<ex::set_value_t(int)>(s, n, place::inside, [&](auto receiver) {
            ex::set_value(std::move(receiver), 1);
            const auto begun = inner();
            order += "outer's start;";
        }));
        order += "outer;";
        return outer;
    });
    BOOST_TEST(sum == 1);
    BOOST_TEST(order == "inner;outer's start;outer;");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(results)

struct refuses_copies {
    refuses_copies() = default;
    refuses_copies(refuses_copies&&) = default;
    refuses_copies(const refuses_copies&) { throw std::runtime_error{"no copies"}; }
};

BOOST_AUTO_TEST_CASE(are_nothing_a_value_or_a_tuple) {
    static_assert(std::is_void_v<decltype(weft::await(ex::just()))>);
    static_assert(std::is_same_v<decltype(weft::await(ex::just(1))), int>);
    static_assert(std::is_same_v<decltype(weft::await(ex::just(1, std::string{}))), std::tuple<int, std::string>>);
    static_assert(std::is_void_v<decltype(weft::await(ex::just_error(1)))>);
    static_assert(std::is_void_v<decltype(weft::await(ex::just_stopped()))>);
    in_body([] {
        weft::await(ex::just());
        BOOST_TEST(weft::await(ex::just(7)) == 7);
        const auto [number, text] = weft::await(ex::just(8, std::string{"text"}));
        BOOST_TEST(number == 8);
        BOOST_TEST(text == "text");
        BOOST_TEST(*weft::await(ex::just(std::make_unique<int>(9))) == 9);
        return 0;
    });
}

BOOST_AUTO_TEST_CASE(are_those_of_an_lvalue_too) {
    in_body([] {
        const auto constant = ex::just(7);
        auto sender = ex::just(8);
        for (int i = 0; i < 2; ++i) {
            BOOST_TEST(weft::await(constant) == 7);
            BOOST_TEST(weft::await(sender) == 8);
        }
        return 0;
    });
}

BOOST_AUTO_TEST_CASE(are_decayed) {
    stage s;
    notes n;
    int object = 5;
    const auto refers = [&] {
        return completing<ex::set_value_t(int&)>(s, n, place::later, [&](auto receiver) {
            ex::set_value(std::move(receiver), object);
        });
    };
    static_assert(std::is_same_v<decltype(weft::await(refers())), int>);
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto&) { return weft::await(refers()); }), result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 5);
}

BOOST_AUTO_TEST_CASE(that_cannot_be_kept_are_an_exception) {
    stage s;
    notes n;
    const refuses_copies object;
    in_body([&] {
        BOOST_CHECK_THROW(weft::await(completing<ex::set_value_t(const refuses_copies&)>(
                              s, n, place::inside, [&](auto receiver) { ex::set_value(std::move(receiver), object); })),
                          std::runtime_error);
        return 0;
    });
}

BOOST_AUTO_TEST_CASE(an_error_is_thrown_with_its_type) {
    in_body([] {
        BOOST_CHECK_EXCEPTION(weft::await(ex::just_error(7)), int, [](int n) { return n == 7; });
        BOOST_CHECK_EXCEPTION(weft::await(ex::just_error(std::string{"why"})), std::string,
                              [](const std::string& why) { return why == "why"; });
        BOOST_CHECK_EXCEPTION(weft::await(ex::just_error(std::make_error_code(std::errc::timed_out))), std::system_error,
                              [](const std::system_error& e) { return e.code() == std::errc::timed_out; });
        BOOST_CHECK_EXCEPTION(weft::await(ex::just_error(std::make_exception_ptr(std::out_of_range{"too far"}))),
                              std::out_of_range, [](const std::out_of_range& e) { return e.what() == std::string{"too far"}; });
        return 0;
    });
}

struct refuses_connection {
    using sender_concept = ex::sender_tag;
    using completion_signatures = ex::completion_signatures<ex::set_value_t()>;

    template <class Receiver>
    struct operation {
        using operation_state_concept = ex::operation_state_tag;
        Receiver receiver;
        explicit operation(Receiver r) : receiver(std::move(r)) { throw std::runtime_error{"it failed"}; }
        void start() & noexcept { ex::set_value(std::move(receiver)); }
    };
    template <class Receiver>
    operation<Receiver> connect(Receiver r) const {
        return operation<Receiver>(std::move(r));
    }
};

BOOST_AUTO_TEST_CASE(an_exception_of_connect_appears_at_the_await) {
    in_body([] {
        BOOST_CHECK_THROW(weft::await(refuses_connection{}), std::runtime_error);
        return 0;
    });
}

BOOST_AUTO_TEST_CASE(outside_of_a_body_nobody_can_wait) {
    BOOST_CHECK_THROW(weft::await(ex::just(1)), weft::not_in_fiber);
}

BOOST_AUTO_TEST_CASE(come_to_any_depth_of_calls) {
    stage s;
    notes n;
    outcome<int> result;
    const std::function<int(int)> deep = [&](int depth) -> int {
        return depth == 0 ? weft::await(any_way(s, n, place::another_thread, ends::with_value)) : deep(depth - 1) + 1;
    };
    observe(weft::stackful<weft::task<int>>([&](auto&) { return deep(10); }), result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 52);
}

BOOST_AUTO_TEST_CASE(of_a_promise_that_knows_senders_come_its_own_way) {
    outcome<int> result;
    int transformed = 0;
    observe(weft::stackful<aware<int>>([&](auto& co) {
                const int v = co.await(ex::just(6));
                transformed = co.promise().senders;
                return v;
            }),
            result);
    BOOST_TEST(result.value.value() == 6);
    BOOST_TEST(transformed == 1);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(costs)

template <class R, class Way>
std::size_t allocations_of_1000_awaits(std::stop_token token = {}) {
    parked::waiting* here = nullptr;
    outcome<int> result;
    int awaits = 0;
    weft::detail::given_stop_token stop{std::move(token)};
    R coroutine = weft::stackful<R>([&](auto& co) {
        for (awaits = 0; awaits < 1000; ++awaits) Way::await(co, parked{&here});
        return 0;
    });
    if constexpr (weft::detail::has_stop_provider<typename R::promise_type>)
        observe(
            [](R work, weft::detail::stop_provider& provider) -> weft::task<int> {
                auto awaiter = work.operator co_await();
                awaiter.stopped_by(&provider);
                co_return co_await awaiter;
            }(std::move(coroutine), stop),
            result);
    else
        observe(std::move(coroutine), result);
    const std::size_t counted = allocations_in([&] {
        while (!result.done) here->go_on();
    });
    BOOST_TEST(awaits == 1000);
    return counted;
}

BOOST_AUTO_TEST_CASE(an_await_allocates_nothing) {
    BOOST_TEST((allocations_of_1000_awaits<weft::task<int>, by_ambient>()) == 0u);
    BOOST_TEST((allocations_of_1000_awaits<weft::task<int>, by_co_await>()) == 0u);
    BOOST_TEST((allocations_of_1000_awaits<watched<int>, by_ambient>()) == 0u);
    BOOST_TEST((allocations_of_1000_awaits<no_senders<int>, by_co_await>()) == 0u);
}

BOOST_AUTO_TEST_CASE(neither_does_one_in_a_body_with_a_stop_token) {
    std::stop_source source;
    BOOST_TEST((allocations_of_1000_awaits<weft::task<int>, by_ambient>(source.get_token())) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(stopping)

static_assert(!std::is_base_of_v<std::exception, weft::operation_stopped>);

BOOST_AUTO_TEST_CASE(unwinds_the_body_from_the_await) {
    int alive = 0;
    bool went_on = false, saw_exception = false;
    const auto run = [&] {
        in_body([&] {
            const counted local{alive};
            try {
                weft::await(ex::just_stopped());
                went_on = true;
            } catch (const std::exception&) {
                saw_exception = true;
            }
            went_on = true;
            return 0;
        });
    };
    BOOST_CHECK_THROW(run(), weft::operation_stopped);
    BOOST_TEST(alive == 0);
    BOOST_TEST(!went_on);
    BOOST_TEST(!saw_exception);
}

BOOST_AUTO_TEST_CASE(may_be_caught_by_a_body_that_can_do_without) {
    BOOST_TEST(in_body([] {
        try {
            weft::await(ex::just_stopped());
            return 1;
        } catch (const weft::operation_stopped&) {
            return 2 + weft::await(ex::just(1));
        }
    }) == 3);
}

template <class Await>
void check_unhandled_stopped(Await await) {
    int alive = 0, stopped = 0, alive_then = -1, stacks_then = -1;
    noted_stacks::notes stacks;
    bool went_on = false;
    std::string order;
    {
        const auto coroutine = weft::stackful<stoppable<int>>(std::allocator_arg, noted_stacks{&stacks}, [&](auto& co) {
            const counted local{alive};
            await(co);
            went_on = true;
            return 1;
        });
        auto next = run_when_resumed([&] { order += "next;"; });
        coroutine.coroutine.get().promise().when_stopped = [&, next] {
            ++stopped;
            alive_then = alive;
            stacks_then = stacks.in_use;
            order += "stopped;";
            return next.handle;
        };
        coroutine.coroutine.get().resume();
        BOOST_TEST(!coroutine.coroutine.get().done());
        BOOST_TEST(!coroutine.coroutine.get().promise().failure);
        BOOST_TEST(!coroutine.coroutine.get().promise().value.has_value());
    }
    BOOST_TEST(stopped == 1);
    BOOST_TEST(alive_then == 0);
    BOOST_TEST(stacks_then == 0);
    BOOST_TEST(order == "stopped;next;");
    BOOST_TEST(!went_on);
}

BOOST_AUTO_TEST_CASE(ends_a_coroutine_that_can_be_stopped) {
    check_unhandled_stopped([](auto&) { weft::await(ex::just_stopped()); });
    check_unhandled_stopped([](auto& co) { co.await(ex::just_stopped()); });
}

BOOST_AUTO_TEST_CASE(comes_up_through_tasks_that_cannot) {
    check_unhandled_stopped([](auto&) { weft::await(stops_below()); });
}

BOOST_AUTO_TEST_CASE(ends_a_coroutine_whose_promise_has_an_await_transform) {
    const auto coroutine = weft::stackful<aware<int>>([](auto&) {
        weft::await(ex::just_stopped());
        return 1;
    });
    coroutine.coroutine.get().resume();
    BOOST_TEST(coroutine.promise().stopped);
    BOOST_TEST(!coroutine.promise().failure);
}

BOOST_AUTO_TEST_CASE(leaves_a_coroutine_that_can_be_stopped_alone_if_the_body_has_caught_it) {
    outcome<int> result;
    int stopped = 0;
    auto coroutine = weft::stackful<stoppable<int>>([](auto&) {
        try {
            weft::await(ex::just_stopped());
        } catch (...) {}
        return 5;
    });
    coroutine.coroutine.get().promise().when_stopped = [&] {
        ++stopped;
        return std::noop_coroutine();
    };
    observe(std::move(coroutine), result);
    BOOST_TEST(result.value.value() == 5);
    BOOST_TEST(stopped == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(stop_tokens)

BOOST_AUTO_TEST_CASE(a_body_has_none_if_nobody_gave_it_one) {
    in_body([] {
        BOOST_TEST(!weft::this_fiber::get_stop_token().stop_possible());
        BOOST_TEST(!weft::await(token_of_receiver{}).stop_possible());
        return 0;
    });
    BOOST_CHECK_THROW(weft::this_fiber::get_stop_token(), weft::not_in_fiber);
}

BOOST_AUTO_TEST_CASE(one_given_to_sync_wait_reaches_the_body_and_its_senders) {
    std::stop_source source;
    weft::sync_wait(weft::stackful<weft::task<>>([&](auto& co) {
                        BOOST_TEST((weft::this_fiber::get_stop_token() == source.get_token()));
                        BOOST_TEST((weft::await(token_of_receiver{}) == source.get_token()));
                        BOOST_TEST((co.await(token_of_receiver{}) == source.get_token()));
                        source.request_stop();
                        BOOST_TEST(weft::this_fiber::get_stop_token().stop_requested());
                    }),
                    source.get_token());
}

BOOST_AUTO_TEST_CASE(a_task_hands_its_own_on_to_those_it_awaits) {
    std::stop_source source;
    const std::stop_token token = source.get_token();
    BOOST_TEST((weft::sync_wait(token_of_body(), token) == token));
    BOOST_TEST((weft::sync_wait(token_below(), token) == token));
    weft::sync_wait(weft::stackful<weft::task<>>([&](auto& co) {
                        BOOST_TEST((weft::await(token_of_body()) == token));
                        BOOST_TEST((weft::await(token_below()) == token));
                        BOOST_TEST((co.await(token_of_body()) == token));
                        BOOST_TEST((co.await(token_below()) == token));
                    }),
                    token);
    BOOST_TEST(!weft::sync_wait(token_below()).stop_possible());
}

BOOST_AUTO_TEST_CASE(a_stop_reaches_a_sender_deep_in_a_body) {
    std::stop_source source;
    std::atomic<bool> waits{false};
    std::thread stopper{[&] {
        while (!waits) std::this_thread::yield();
        source.request_stop();
    }};
    const auto run = [&] {
        weft::sync_wait(weft::stackful<weft::task<>>([&](auto&) {
                            weft::await(weft::stackful<weft::task<>>([&](auto&) {
                                weft::await(until_stopped{&waits});
                                BOOST_ERROR("it went on");
                            }));
                            BOOST_ERROR("it went on");
                        }),
                        source.get_token());
    };
    BOOST_CHECK_THROW(run(), weft::operation_stopped);
    stopper.join();
}

BOOST_AUTO_TEST_CASE(one_of_a_promise_with_an_environment_reaches_its_body) {
    stops::inplace_stop_source source;
    outcome<int> result;
    auto coroutine = weft::stackful<aware<int>>([&](auto&) {
        const std::stop_token token = weft::this_fiber::get_stop_token();
        BOOST_TEST(!token.stop_requested());
        BOOST_TEST((token == weft::await(token_of_receiver{})));
        source.request_stop();
        BOOST_TEST(token.stop_requested());
        return 1;
    });
    coroutine.promise().token = source.get_token();
    observe(std::move(coroutine), result);
    BOOST_TEST(result.value.value() == 1);
}

BOOST_AUTO_TEST_CASE(one_of_a_promise_with_an_environment_is_left_before_the_coroutine_is_stopped) {
    auto source = std::make_unique<stops::inplace_stop_source>();
    const auto coroutine = weft::stackful<aware<int>>([&](auto&) {
        BOOST_TEST(weft::this_fiber::get_stop_token().stop_possible());
        weft::await(ex::just_stopped());
        return 1;
    });
    coroutine.promise().token = source->get_token();
    coroutine.coroutine.get().resume();
    BOOST_TEST(coroutine.promise().stopped);
    source.reset(); // before the coroutine, which would fault if it had still a callback there
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(tasks)

weft::task<int> answer() {
    co_return 42;
}
weft::task<> nothing() {
    co_return;
}
weft::task<int&> refer_to(int& n) {
    co_return n;
}
weft::task<std::unique_ptr<int>> boxed(int n) {
    co_return std::make_unique<int>(n);
}
weft::task<int> failing() {
    throw std::runtime_error{"it failed"};
    co_return 1;
}

static_assert(ex::sender<weft::task<int>>);
static_assert(ex::sender<weft::task<>>);
static_assert(!ex::sender<weft::task<int>&>);
static_assert(ex::sender_in<weft::task<int>, ex::env<>>);
static_assert(std::is_same_v<ex::value_types_of_t<weft::task<int&>, ex::env<>, std::tuple, std::tuple>,
                             std::tuple<std::tuple<int&>>>);

template <class T>
void run(weft::task<T> work, told<T>& to) {
    auto operation = ex::connect(std::move(work), telling<T>{&to});
    ex::start(operation);
}

BOOST_AUTO_TEST_CASE(complete_with_their_result) {
    told<int> number;
    run(answer(), number);
    BOOST_TEST(number.value.value() == 42);

    told<void> none;
    run(nothing(), none);
    BOOST_TEST(none.value.has_value());

    int object = 0;
    told<int&> reference;
    run(refer_to(object), reference);
    BOOST_TEST(reference.value.value() == &object);

    told<std::unique_ptr<int>> box;
    run(boxed(5), box);
    BOOST_TEST(*box.value.value() == 5);

    told<int> stackful;
    run(weft::stackful<weft::task<int>>([](auto&) { return weft::await(ex::just(6)); }), stackful);
    BOOST_TEST(stackful.value.value() == 6);
}

BOOST_AUTO_TEST_CASE(complete_with_their_exception) {
    told<int> number;
    run(failing(), number);
    BOOST_REQUIRE(number.failure);
    BOOST_CHECK_THROW(std::rethrow_exception(number.failure), std::runtime_error);
    BOOST_TEST(!number.stopped);

    told<void> none;
    run(weft::stackful<weft::task<>>([](auto&) { throw 7; }), none);
    BOOST_REQUIRE(none.failure);
    BOOST_CHECK_THROW(std::rethrow_exception(none.failure), int);
    BOOST_TEST(!none.value.has_value());
}

BOOST_AUTO_TEST_CASE(complete_stopped) {
    told<int> number;
    run(weft::stackful<weft::task<int>>([](auto&) {
            weft::await(ex::just_stopped());
            return 1;
        }),
        number);
    BOOST_TEST(number.stopped);
    BOOST_TEST(!number.failure);
    BOOST_TEST(!number.value.has_value());

    told<void> none;
    run([]() -> weft::task<> { co_await stops_below(); }(), none);
    BOOST_TEST(none.stopped);
    BOOST_TEST(!none.failure);
    BOOST_TEST(!none.value.has_value());
}

BOOST_AUTO_TEST_CASE(run_from_start_on) {
    int begun = 0;
    told<int> to;
    {
        auto operation = ex::connect(
            [](int& n) -> weft::task<int> {
                ++n;
                co_return n;
            }(begun),
            telling<int>{&to});
        BOOST_TEST(begun == 0);
        ex::start(operation);
        BOOST_TEST(begun == 1);
    }
    BOOST_TEST(to.value.value() == 1);

    int alive = 0;
    {
        [[maybe_unused]] auto never_started =
            ex::connect([](counted) -> weft::task<int> { co_return 1; }(counted{alive}), telling<int>{&to});
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(complete_where_they_end) {
    stage s;
    told<int> to;
    std::atomic<bool> done{false};
    to.then = [&] { done = true; };
    unsigned ended_on = 0;
    auto operation = ex::connect(weft::stackful<weft::task<int>>([&](auto&) {
                                     weft::await(on_new_thread{&s});
                                     ended_on = thread_number();
                                     return 3;
                                 }),
                                 telling<int>{&to});
    ex::start(operation);
    finish(s, done);
    BOOST_TEST(to.value.value() == 3);
    BOOST_TEST(to.on_thread == ended_on);
    BOOST_TEST(to.on_thread != thread_number());
}

/// Builds an operation in place: it can neither be copied nor moved.
template <class Work, class Receiver>
struct owned_operation {
    ex::connect_result_t<Work, Receiver> operation;
    owned_operation(Work&& work, Receiver receiver) : operation(ex::connect(std::move(work), std::move(receiver))) {}
};

BOOST_AUTO_TEST_CASE(may_be_destroyed_by_their_receiver) {
    int alive = 0;
    told<int> to;
    auto work = weft::stackful<weft::task<int>>([local = counted{alive}](auto&) { return weft::await(ex::just(2)); });
    auto operation = std::make_unique<owned_operation<weft::task<int>, telling<int>>>(std::move(work), telling<int>{&to});
    to.then = [&] { operation.reset(); };
    ex::start(operation->operation);
    BOOST_TEST(to.value.value() == 2);
    BOOST_TEST(!operation);
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(allocate_nothing_but_their_coroutine) {
    const auto check = [](auto make, auto token) {
        told<int> warm, to;
        run(make(), warm); // the pool has its stack then
        std::optional<weft::task<int>> work{make()};
        const std::size_t counted = allocations_in([&] {
            auto operation = ex::connect(std::move(*work), telling<int, decltype(token)>{&to, token});
            ex::start(operation);
        });
        BOOST_TEST(counted == 0u);
        BOOST_TEST(to.value.has_value());
    };
    const auto plain = [] { return answer(); };
    const auto stackful = [] {
        return weft::stackful<weft::task<int>>([](auto&) {
            return static_cast<int>(weft::await(token_of_receiver{}).stop_possible());
        });
    };
    const auto without_token = [] { return weft::stackful<weft::task<int>>([](auto&) { return 1; }); };
    std::stop_source source;
    stops::inplace_stop_source other_source;
    check(plain, stops::never_stop_token{});
    check(stackful, stops::never_stop_token{});
    check(plain, weft::detail::sender_stop_token{source.get_token()});
    check(stackful, weft::detail::sender_stop_token{source.get_token()});
    check(plain, other_source.get_token());
    check(without_token, other_source.get_token());
}

BOOST_AUTO_TEST_CASE(have_the_stop_token_of_their_receiver) {
    std::stop_source source;
    told<int> to;
    auto operation = ex::connect(weft::stackful<weft::task<int>>([&](auto&) {
                                     BOOST_TEST((weft::this_fiber::get_stop_token() == source.get_token()));
                                     return 1;
                                 }),
                                 telling<int, weft::detail::sender_stop_token>{
                                     &to, weft::detail::sender_stop_token{source.get_token()}});
    ex::start(operation);
    BOOST_TEST(to.value.has_value());
}

BOOST_AUTO_TEST_CASE(are_stopped_by_another_kind_of_token_too) {
    stops::inplace_stop_source source;
    std::atomic<bool> waits{false};
    std::atomic<bool> done{false};
    told<int> to;
    auto work = weft::stackful<weft::task<int>>([&](auto&) {
        const std::stop_token token = weft::this_fiber::get_stop_token();
        BOOST_TEST((weft::await(token_below()) == token));
        const std::stop_callback comes_after_that{token, [] {}};
        weft::await(until_stopped{&waits});
        return 1;
    });
    using receiver = telling<int, stops::inplace_stop_token>;
    auto operation = std::make_unique<owned_operation<weft::task<int>, receiver>>(std::move(work), receiver{&to, source.get_token()});
    to.then = [&] { // in the middle of what the stop runs
        operation.reset();
        done = true;
    };
    ex::start(operation->operation);
    BOOST_TEST(waits.load());
    std::thread stopper{[&] { source.request_stop(); }};
    stopper.join();
    BOOST_TEST(done.load());
    BOOST_TEST(to.stopped);
}

BOOST_AUTO_TEST_CASE(know_a_stop_that_came_before_they_asked) {
    stops::inplace_stop_source source;
    source.request_stop();
    told<int> to;
    auto operation = ex::connect(weft::stackful<weft::task<int>>([&](auto&) {
                                     return static_cast<int>(weft::this_fiber::get_stop_token().stop_requested());
                                 }),
                                 telling<int, stops::inplace_stop_token>{&to, source.get_token()});
    ex::start(operation);
    BOOST_TEST(to.value.value() == 1);
}

BOOST_AUTO_TEST_CASE(leave_the_token_before_they_complete) {
    auto source = std::make_unique<stops::inplace_stop_source>();
    told<int> to;
    to.then = [&] { source.reset(); }; // the operation, which is still there, would fault if it had a callback left
    {
        auto operation = ex::connect(weft::stackful<weft::task<int>>([&](auto&) {
                                         return static_cast<int>(weft::this_fiber::get_stop_token().stop_possible());
                                     }),
                                     telling<int, stops::inplace_stop_token>{&to, source->get_token()});
        ex::start(operation);
    }
    BOOST_TEST(to.value.value() == 1);
    BOOST_TEST(!source);
}

BOOST_AUTO_TEST_CASE(are_awaited_as_senders_by_coroutines_that_know_those) {
    stops::inplace_stop_source source;
    outcome<int> result;
    auto coroutine = [](stops::inplace_stop_source& stop) -> aware<int> {
        co_return co_await weft::stackful<weft::task<int>>([&](auto&) {
            const std::stop_token token = weft::this_fiber::get_stop_token();
            BOOST_TEST(!token.stop_requested());
            stop.request_stop();
            return static_cast<int>(token.stop_requested());
        });
    }(source);
    coroutine.promise().token = source.get_token();
    observe(std::move(coroutine), result);
    BOOST_TEST(result.value.value() == 1);

    const auto stopped = []() -> aware<int> {
        co_return co_await stops_below();
    }();
    stopped.coroutine.get().resume();
    BOOST_TEST(stopped.promise().stopped);
    BOOST_TEST(!stopped.promise().failure);
}

BOOST_AUTO_TEST_SUITE_END()

#if defined(WEFT_TEST_INSTALLED_SENDERS)

BOOST_AUTO_TEST_SUITE(algorithms)

BOOST_AUTO_TEST_CASE(of_senders_take_tasks) {
    const auto both = sync_wait(ex::when_all(tasks::answer(), weft::stackful<weft::task<int>>([](auto&) {
                                                       return weft::await(ex::just(6) | ex::then([](int n) { return n + 1; }));
                                                   })));
    BOOST_REQUIRE(both.has_value());
    BOOST_TEST(std::get<0>(*both) == 42);
    BOOST_TEST(std::get<1>(*both) == 7);
}

BOOST_AUTO_TEST_CASE(of_senders_stop_tasks) {
    std::atomic<bool> waits{false};
    const auto waiting = [&] { return weft::stackful<weft::task<>>([&](auto&) { weft::await(until_stopped{&waits}); }); };
    BOOST_CHECK_THROW(sync_wait(ex::when_all(waiting(), tasks::failing())), std::runtime_error);
    BOOST_TEST(waits.load());
}

BOOST_AUTO_TEST_CASE(bring_a_body_to_another_context) {
    ex::run_loop loop;
    std::thread runner{[&] { loop.run(); }};
    const unsigned here = thread_number();
    const unsigned there = in_body([&] {
        unsigned last = here;
        for (int i = 0; i < 100; ++i) {
            last = weft::await(ex::schedule(loop.get_scheduler()) | ex::then([] { return thread_number(); }));
            BOOST_REQUIRE(last == thread_number());
        }
        return last;
    });
    BOOST_TEST(there != here);
    loop.finish();
    runner.join();
}

BOOST_AUTO_TEST_SUITE_END()

#endif
