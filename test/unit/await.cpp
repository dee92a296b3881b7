// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "allocations.hpp"
#include "awaiters.hpp"
#include "coroutine_types.hpp"
#include "matrix.hpp"

#include <weft/await.hpp>
#include <weft/detail/operation_start.hpp>
#include <weft/generator.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

struct ambient {
    template <class Co, class Awaiter>
    static decltype(auto) await(Co&, Awaiter& awaiter) {
        return weft::await(awaiter);
    }
};

/// As `scripted`, for an awaiter that wants to know the promise of whoever awaits it.
template <class T>
class wants_promise {
public:
    wants_promise(stage& s, calls& c, place where, fails when) : inner_{s, c, where, when} {}

    bool await_ready() { return inner_.await_ready(); }
    template <class P>
    auto await_suspend(std::coroutine_handle<P> h) {
        static_assert(!std::is_void_v<P>);
        const void* const promise = &h.promise(); // names the frame, as the handle does
        if (std::coroutine_handle<P>::from_promise(*static_cast<P*>(const_cast<void*>(promise))) != h) std::abort();
        return inner_.await_suspend(h);
    }
    T await_resume() { return inner_.await_resume(); }

private:
    scripted<form::returns_handle, T> inner_;
};

/// Takes any handle by an unconstrained template, whose return type is found by compiling it: with a promise that
/// works.
struct deduces {
    void* promise = nullptr;
    bool await_ready() const noexcept { return false; }
    auto await_suspend(auto handle) noexcept {
        promise = &handle.promise();
        return false;
    }
    void await_resume() const noexcept {}
};

/// Where a coroutine waits until the test resumes it; `Promised` if it wants a promise.
template <bool Promised>
struct parking {
    std::coroutine_handle<> parked;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept { parked = h; }
    void await_resume() const noexcept {}
};
template <>
struct parking<true> {
    std::coroutine_handle<> parked;
    bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
        parked = h;
    }
    void await_resume() const noexcept {}
};

/// A task of a library that insists on operations of its own.
struct strict_operation {
    weft::detail::await_request* request;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const {
        if (!request) throw std::runtime_error{"nothing to do"};
        const auto next = request->start(*request, h);
        return next ? next : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
};
struct strict {
    struct promise_type : ending_promise<int, promise_type> {
        strict get_return_object() { return {owned_handle{std::coroutine_handle<promise_type>::from_promise(*this)}}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        strict_operation await_transform(strict_operation operation) noexcept { return operation; }
    };
    owned_handle<promise_type> coroutine;
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine.get()}; }
};
enum class adapts { well, throws, gives_what_throws };
adapts strict_adapter = adapts::well;

template <class T>
T call_through(int depth, const std::function<T()>& fn) {
    volatile char frame[64];
    frame[0] = static_cast<char>(depth);
    T result = depth == 0 ? fn() : call_through(depth - 1, fn);
    BOOST_TEST(frame[0] == static_cast<char>(depth));
    return result;
}

weft::task<int> at_once(int n) {
    co_return n;
}

template <class Error, class Fn>
void check_sentence(Fn&& fn, const char* words) {
    BOOST_CHECK_EXCEPTION(fn(), Error, [&](const Error& e) {
        BOOST_TEST_MESSAGE(e.what());
        return std::string{e.what()}.find(words) != std::string::npos;
    });
}

} // namespace

template <class Promise>
struct weft::ambient_adapter<strict, Promise> {
    static constexpr bool available = true;
    static strict_operation wait(detail::await_request& request) {
        if (strict_adapter == adapts::throws) throw std::out_of_range{"not today"};
        return {strict_adapter == adapts::well ? &request : nullptr};
    }
};

BOOST_AUTO_TEST_SUITE(awaiters)

BOOST_AUTO_TEST_CASE(are_called_in_a_task_as_an_ordinary_coroutine_calls_them) {
    whole_matrix<weft::task<bool>, ambient>();
}

BOOST_AUTO_TEST_CASE(are_called_in_a_coroutine_whose_promise_takes_any_awaiter) {
    all_forms<watched<bool>, ambient, int>();
    all_forms<watched<bool>, ambient, void>();
}

BOOST_AUTO_TEST_CASE(are_called_in_a_coroutine_that_begins_at_once) {
    all_forms<eager<bool>, ambient, int>();
}

BOOST_AUTO_TEST_CASE(get_a_promise_if_they_want_one) {
    for (const place where : all_places)
        for (const fails when : all_fails) {
            BOOST_TEST_CONTEXT("completes " << where << ", fails " << when) {
                stage s;
                calls c;
                outcome<int> result;
                const std::function<int(weft::coroutine_ref<weft::task<int>::promise_type>&)> body = [&](auto&) {
                    return weft::await(wants_promise<int>{s, c, where, when});
                };
                observe(weft::stackful<weft::task<int>>(std::allocator_arg, weft::guarded_stack{64 * 1024}, body), result);
                finish(s, result.done);
                const bool fails_here = when != fails::nowhere && !(when == fails::in_suspend && where == place::ready);
                if (fails_here) {
                    BOOST_REQUIRE(result.failure);
                    BOOST_CHECK_EXCEPTION(std::rethrow_exception(result.failure), awaiter_failure,
                                          [&](const awaiter_failure& f) { return f.where == when; });
                } else {
                    BOOST_REQUIRE(result.value);
                    BOOST_TEST(*result.value == 42);
                }
                BOOST_TEST(c.ready.load() == 1);
                BOOST_TEST(c.suspend.load() == (where != place::ready && when != fails::in_ready));
                BOOST_TEST(c.resume.load() == (!fails_here || when == fails::in_resume));
            }
        }
}

BOOST_AUTO_TEST_CASE(may_take_any_handle_by_a_template) {
    weft::sync_wait(weft::stackful<weft::task<>>([](auto&) {
        deduces awaiter;
        weft::await(awaiter);
        BOOST_TEST(awaiter.promise);
    }));
}

BOOST_AUTO_TEST_CASE(are_found_through_operator_co_await) {
    weft::sync_wait(weft::stackful<weft::task<>>([](auto&) {
        const plain_awaiter plain;
        BOOST_TEST(weft::await(plain) == 7);
        BOOST_TEST(weft::await(plain_awaiter{8}) == 8);
        const with_member member;
        BOOST_TEST(weft::await(member) == 1);
        BOOST_TEST(weft::await(with_member{}) == 2);
        const with_free free;
        BOOST_TEST(weft::await(free) == 3);
        BOOST_TEST(weft::await(with_free{}) == 4);
        BOOST_TEST(weft::await(at_once(5)) == 5);
    }));
}

BOOST_AUTO_TEST_CASE(an_exception_of_operator_co_await_appears_at_the_await) {
    struct refuses {
        plain_awaiter operator co_await() const { throw std::runtime_error{"it failed"}; }
    };
    weft::sync_wait(weft::stackful<weft::task<>>([](auto&) { BOOST_CHECK_THROW(weft::await(refuses{}), std::runtime_error); }));
}

BOOST_AUTO_TEST_CASE(reach_a_library_that_insists_on_its_own_operations_through_an_adapter) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<strict>([&](auto&) {
                strict_adapter = adapts::well;
                weft::await(until_run{&s});
                weft::await(on_new_thread{&s});
                strict_adapter = adapts::throws;
                BOOST_CHECK_THROW(weft::await(until_run{&s}), std::out_of_range);
                strict_adapter = adapts::gives_what_throws;
                BOOST_CHECK_THROW(weft::await(until_run{&s}), std::runtime_error);
                strict_adapter = adapts::well;
                return weft::await(plain_awaiter{});
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 7);
}

BOOST_AUTO_TEST_CASE(a_promise_that_takes_any_awaiter_sees_the_wait) {
    stage s;
    outcome<int> result;
    const auto task = weft::stackful<watched<int>>([&](auto& co) {
        weft::await(until_run{&s});
        BOOST_TEST(co.promise().awaited == 1);
        calls c;
        weft::await(wants_promise<int>{s, c, place::refused, fails::nowhere});
        return co.promise().awaited;
    });
    observe([](const watched<int>& t) -> weft::task<int> { co_return co_await t; }(task), result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 2);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(places)

BOOST_AUTO_TEST_CASE(ten_plain_calls_below_the_body) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto&) {
                return call_through<int>(10, [&] {
                    weft::await(until_run{&s});
                    weft::await(on_new_thread{&s});
                    return 10;
                });
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 10);
}

stage* comparisons;
int compare_later(const void* a, const void* b) {
    weft::await(until_run{comparisons});
    const int x = *static_cast<const int*>(a), y = *static_cast<const int*>(b);
    return (x > y) - (x < y);
}

BOOST_AUTO_TEST_CASE(inside_the_comparator_of_a_c_function) {
    stage s;
    comparisons = &s;
    std::array<std::array<int, 8>, 2> numbers{{{5, 2, 8, 1, 7, 3, 6, 4}, {1, 8, 2, 7, 3, 6, 4, 5}}};
    outcome<void> results[2];
    for (int i = 0; i < 2; ++i)
        observe(weft::stackful<weft::task<>>([&array = numbers[static_cast<std::size_t>(i)]](auto&) {
                    std::qsort(array.data(), array.size(), sizeof(int), compare_later);
                }),
                results[i]);
    BOOST_TEST(!results[0].done.load());
    s.run(); // one comparison of one, one of the other, in turn
    for (int i = 0; i < 2; ++i) {
        BOOST_TEST(results[i].done.load());
        BOOST_TEST(std::is_sorted(numbers[static_cast<std::size_t>(i)].begin(), numbers[static_cast<std::size_t>(i)].end()));
    }
}

struct awaits_all_its_life {
    stage& s;
    int& lives;
    awaits_all_its_life(stage& where, int& n) : s{where}, lives{n} {
        weft::await(until_run{&s});
        ++lives;
    }
    ~awaits_all_its_life() {
        weft::await(until_run{&s});
        --lives;
    }
};

BOOST_AUTO_TEST_CASE(in_a_constructor_and_in_a_destructor) {
    stage s;
    int lives = 0;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto&) {
                int seen = 0;
                try {
                    const awaits_all_its_life first{s, lives};
                    const awaits_all_its_life second{s, lives};
                    seen = lives;
                    throw 3; // the destructors await while it passes
                } catch (const int& n) {
                    return 10 * seen + n;
                }
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 23);
    BOOST_TEST(lives == 0);
}

BOOST_AUTO_TEST_CASE(in_a_catch_block) {
    stage s;
    outcome<void> results[2];
    for (int i = 0; i < 2; ++i)
        observe(weft::stackful<weft::task<>>([&s, i](auto&) {
                    try {
                        throw i;
                    } catch (...) {
                        weft::await(until_run{&s});
                        weft::await(on_new_thread{&s});
                        throw;
                    }
                }),
                results[i]);
    for (int i = 0; i < 2; ++i) {
        finish(s, results[i].done);
        BOOST_CHECK_EXCEPTION(std::rethrow_exception(results[i].failure), int, [i](int n) { return n == i; });
    }
}

BOOST_AUTO_TEST_CASE(outside_of_a_fiber_there_is_nobody_to_suspend) {
    check_sentence<weft::not_in_fiber>([] { weft::await(plain_awaiter{}); }, "use it below weft::stackful; use co_await in a coroutine without");
    check_sentence<weft::not_in_fiber>([] { weft::await(std::suspend_never{}); }, "outside of a stackful body");
}

BOOST_AUTO_TEST_CASE(in_a_plain_fiber_there_is_nobody_who_would_resume_it) {
    weft::fiber fiber{[] { check_sentence<weft::not_in_fiber>([] { weft::await(plain_awaiter{}); }, "run it below weft::stackful"); }};
    fiber.resume();
    BOOST_TEST(fiber.done());
}

BOOST_AUTO_TEST_CASE(in_a_generator_coroutine_of_its_own_there_is_nobody_who_would_resume_it) {
    const auto values = weft::stackful<pull<int>>([](auto& co) {
        check_sentence<weft::not_in_fiber>([] { weft::await(plain_awaiter{}); }, "its coroutine type refuses operations of others");
        co.yield(1);
    });
    BOOST_TEST(*values.next() == 1);
}

BOOST_AUTO_TEST_CASE(the_nearest_body_is_suspended_and_not_the_one_around_it) {
    stage s;
    std::string order;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto&) {
                const auto inner = weft::stackful<eager<int>>([&](auto&) { // begins on this stack, above
                    order += "inner waits;";
                    weft::await(until_run{&s});
                    order += "inner goes on;";
                    return 4;
                });
                order += "outer goes on;";
                return 10 + weft::await(inner);
            }),
            result);
    BOOST_TEST(order == "inner waits;outer goes on;");
    finish(s, result.done);
    BOOST_TEST(order == "inner waits;outer goes on;inner goes on;");
    BOOST_TEST(result.value.value() == 14);
}

BOOST_AUTO_TEST_CASE(a_generator_is_suspended_with_the_body_around_it) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto&) {
                int sum = 0;
                for (const int v : weft::generator<int>{[&](auto& out) {
                         for (int i = 1; i <= 3; ++i) {
                             weft::await(until_run{&s});
                             weft::await(on_new_thread{&s});
                             out.yield(i + 0);
                         }
                     }})
                    sum = 10 * sum + v;
                const auto values = weft::stackful<pull<int>>([&](auto& co) { // its own type can await nothing
                    for (int i = 4; i <= 6; ++i) {
                        weft::await(until_run{&s});
                        weft::await(on_new_thread{&s});
                        co.yield(i);
                    }
                });
                while (const int* const v = values.next()) sum = 10 * sum + *v;
                return sum;
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 123456);
}

BOOST_AUTO_TEST_CASE(a_chain_of_plain_fibers_migrates_with_the_body) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto&) {
                int hops = 0;
                weft::fiber middle{[&] {
                    weft::fiber innermost{[&] {
                        for (int i = 0; i < 20; ++i) {
                            const unsigned before = thread_number();
                            weft::await(on_new_thread{&s});
                            if (thread_number() != before) ++hops;
                            if (i % 3 == 0) weft::this_fiber::suspend();
                        }
                    }};
                    while (!innermost.done()) {
                        innermost.resume();
                        weft::await(on_new_thread{&s});
                    }
                }};
                middle.resume();
                BOOST_TEST(middle.done());
                return hops;
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 20);
}

BOOST_AUTO_TEST_CASE(many_bodies_migrate_at_once) {
    stage s;
    constexpr int bodies = 20, hops = 20;
    outcome<int> results[bodies];
    for (auto& result : results)
        observe(weft::stackful<weft::task<int>>([&](auto&) {
                    int n = 0;
                    for (int i = 0; i < hops; ++i) {
                        weft::await(on_new_thread{&s});
                        ++n;
                    }
                    return n;
                }),
                result);
    for (auto& result : results) {
        finish(s, result.done);
        BOOST_TEST(result.value.value() == hops);
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(starts)

using weft::detail::operation_start;
using outcome_of_start = operation_start::outcome;

BOOST_AUTO_TEST_CASE(a_completion_inside_of_a_start_is_left_to_the_starter) {
    operation_start completed, dropped, in_place, pending;
    BOOST_TEST(completed.ticket().completed());
    BOOST_TEST(dropped.ticket().dropped());
    BOOST_TEST(in_place.ticket().completed_in_place());
    BOOST_TEST((completed.ended() == outcome_of_start::completed));
    BOOST_TEST((dropped.ended() == outcome_of_start::dropped));
    BOOST_TEST((in_place.ended() == outcome_of_start::elsewhere));
    BOOST_TEST((pending.ended() == outcome_of_start::pending));
    BOOST_TEST(!pending.ticket().completed()); // over
}

BOOST_AUTO_TEST_CASE(a_start_that_suspends_is_no_outer_call_of_what_its_thread_does_then) {
    std::optional<outcome_of_start> outcomes[3];
    weft::detail::start_ticket tickets[3];
    const auto starter = [&](int n) {
        return weft::fiber{[&, n](weft::fiber_ref self) {
            operation_start here;
            tickets[n] = here.ticket();
            self.suspend();
            outcomes[n] = here.ended();
        }};
    };
    weft::fiber a = starter(0), b = starter(1), c = starter(2);
    a.resume();
    b.resume();
    c.resume();
    BOOST_TEST(!tickets[1].completed()); // on this thread, but outside of it
    a.resume(); // not the last one that began
    std::thread{[&] {
        BOOST_TEST(!tickets[2].dropped());
        b.resume(); // on another thread than it began on
    }}.join();
    c.resume();
    BOOST_TEST((outcomes[0] == outcome_of_start::pending));
    BOOST_TEST((outcomes[1] == outcome_of_start::elsewhere));
    BOOST_TEST((outcomes[2] == outcome_of_start::elsewhere));
}

BOOST_AUTO_TEST_CASE(the_exception_of_a_pending_operation_is_kept_for_it) {
    std::exception_ptr kept;
    try {
        throw std::runtime_error{"x"};
    } catch (...) {
        operation_start pending, gone;
        BOOST_TEST(gone.ticket().completed());
        BOOST_TEST((gone.ended(&kept) == outcome_of_start::completed));
        BOOST_TEST((kept == nullptr));
        BOOST_TEST((pending.ended(&kept) == outcome_of_start::pending));
    }
    BOOST_CHECK_THROW(std::rethrow_exception(kept), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(destruction)

template <bool Promised>
void check_unwinding() {
    parking<Promised> here;
    int alive = 0;
    outcome<void> result;
    const observer o = observe(weft::stackful<weft::task<>>([&](auto&) {
                                   const counted outer{alive};
                                   weft::fiber inner{[&] {
                                       const counted local{alive};
                                       weft::await(here);
                                       BOOST_ERROR("it went on");
                                   }};
                                   inner.resume();
                               }),
                               result);
    BOOST_TEST(alive == 2);
    o.handle.destroy();
    BOOST_TEST(alive == 0);
    BOOST_TEST(!result.done.load());
}

BOOST_AUTO_TEST_CASE(a_suspended_body_is_unwound) {
    check_unwinding<false>();
}

BOOST_AUTO_TEST_CASE(so_is_one_that_waits_for_an_awaiter_with_a_promise) {
    check_unwinding<true>();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(costs)

template <class R, bool Promised>
std::size_t allocations_of_1000_awaits() {
    parking<Promised> here;
    outcome<int> result;
    int awaits = 0;
    observe(weft::stackful<R>([&](auto&) {
                for (awaits = 0; awaits < 1000; ++awaits) weft::await(here);
                return 0;
            }),
            result);
    const std::size_t counted = allocations_in([&] {
        while (!result.done) here.parked.resume();
    });
    BOOST_TEST(awaits == 1000);
    return counted;
}

BOOST_AUTO_TEST_CASE(an_await_allocates_nothing) {
    BOOST_TEST((allocations_of_1000_awaits<weft::task<int>, false>()) == 0u);
    BOOST_TEST((allocations_of_1000_awaits<watched<int>, false>()) == 0u);
}

BOOST_AUTO_TEST_CASE(neither_does_one_that_needs_a_promise) {
    BOOST_TEST((allocations_of_1000_awaits<weft::task<int>, true>()) == 0u);
    BOOST_TEST((allocations_of_1000_awaits<watched<int>, true>()) == 0u);
}

BOOST_AUTO_TEST_CASE(a_body_that_is_being_unwound_can_await_what_is_ready) {
    // Every switch out of it would throw forced_unwind: what is ready costs none.
    parking<false> here;
    int ready = 0;
    outcome<void> result;
    const observer o = observe(weft::stackful<weft::task<>>([&](auto&) {
                                   try {
                                       weft::await(here);
                                   } catch (const weft::forced_unwind&) {
                                       for (int i = 0; i < 10; ++i) {
                                           weft::await(std::suspend_never{});
                                           ++ready;
                                       }
                                       throw;
                                   }
                               }),
                               result);
    o.handle.destroy();
    BOOST_TEST(ready == 10);
}

BOOST_AUTO_TEST_CASE(a_loop_of_tasks_that_complete_at_once_does_not_grow_the_stack) {
    const int times = many_transfers();
    auto task = weft::stackful<weft::task<int>>([times](auto&) {
        int sum = 0;
        for (int i = 0; i < times; ++i) sum += weft::await(at_once(1));
        return sum;
    });
    BOOST_TEST(weft::sync_wait(task) == times);

    calls c;
    stage s;
    auto with_promise = weft::stackful<weft::task<int>>([&](auto&) {
        for (int i = 0; i < times; ++i) weft::await(wants_promise<int>{s, c, place::refused, fails::nowhere});
        return c.resume.load();
    });
    BOOST_TEST(weft::sync_wait(with_promise) == times);
}

BOOST_AUTO_TEST_CASE(going_on_at_once_grows_no_stack_whatever_the_compiler_does) {
    auto task = weft::stackful<weft::task<int>>([](auto&) {
        for (int i = 0; i < 1'000'000; ++i) weft::await(plain_awaiter{});
        return 1;
    });
    BOOST_TEST(weft::sync_wait(task) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
