// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "allocations.hpp"
#include "awaiters.hpp"
#include "child.hpp"
#include "coroutine_types.hpp"
#include "foreign.hpp"
#include "matrix.hpp"

#include <weft/generator.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <coroutine>
#include <csignal>
#include <stdexcept>
#include <string>
#include <typeinfo>

#include <pthread.h>

using weft_test::lets_foreign_out;
using weft_test::raise_foreign;

namespace {

template <class R>
using co_of = weft::coroutine_ref<typename R::promise_type>;

/// Counts what is taken and notes where it lies.
struct noted_stacks {
    struct notes {
        int taken = 0, returned = 0;
        std::uintptr_t lowest = 0, highest = 0;
    };
    notes* to;

    weft::stack allocate() const {
        const weft::stack s = weft::guarded_stack{64 * 1024}.allocate();
        ++to->taken;
        to->highest = reinterpret_cast<std::uintptr_t>(s.sp);
        to->lowest = to->highest - s.size;
        return s;
    }
    void deallocate(const weft::stack& s) const noexcept {
        ++to->returned;
        weft::guarded_stack{64 * 1024}.deallocate(s);
    }
};

/// There is no stack.
struct no_stacks {
    weft::stack allocate() const { throw std::bad_alloc{}; }
    void deallocate(const weft::stack&) const noexcept {}
};

/// Where a coroutine waits until the test resumes it.
struct parking {
    std::coroutine_handle<> parked;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept { parked = h; }
    void await_resume() const noexcept {}
};

/// Notes which handle it is given.
struct handle_seen {
    const std::type_info* promise_type = nullptr;
    void* promise = nullptr;
    void* address = nullptr;

    bool await_ready() const noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> h) noexcept {
        promise_type = &typeid(P);
        promise = &h.promise();
        address = h.address();
        return false;
    }
    void await_resume() const noexcept {}
};

struct immovable_awaiter : plain_awaiter {
    explicit immovable_awaiter(int n) : plain_awaiter{n} {}
    immovable_awaiter(const immovable_awaiter&) = delete;
};
struct makes_immovable {
    immovable_awaiter operator co_await() const { return immovable_awaiter{5}; }
};

int depth_first(int depth, auto&& at_the_bottom) {
    volatile int keep = depth; // a frame on every level
    return depth == 0 ? at_the_bottom() : depth_first(depth - 1, at_the_bottom) + (keep == depth ? 1 : 1000);
}

} // namespace

BOOST_AUTO_TEST_SUITE(results)

BOOST_AUTO_TEST_CASE(what_the_body_returns_is_the_result) {
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<int>>([](auto&) { return 42; })) == 42);

    bool ran = false;
    weft::sync_wait(weft::stackful<weft::task<>>([&](auto&) { ran = true; }));
    BOOST_TEST(ran);

    int n = 0;
    BOOST_TEST(&weft::sync_wait(weft::stackful<weft::task<int&>>([&](auto&) -> int& { return n; })) == &n);

    const auto box = weft::sync_wait(weft::stackful<weft::task<std::unique_ptr<int>>>([](auto&) { return std::make_unique<int>(3); }));
    BOOST_REQUIRE(box);
    BOOST_TEST(*box == 3);
}

BOOST_AUTO_TEST_CASE(it_converts_as_the_operand_of_co_return_does) {
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<long>>([](auto&) { return short{3}; })) == 3);
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<std::string>>([](auto&) { return "text"; })) == "text");
    std::string kept = "kept";
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<std::string>>([&](auto&) -> std::string& { return kept; })) == "kept");
    BOOST_TEST(kept == "kept");
}

BOOST_AUTO_TEST_CASE(it_may_be_an_rvalue_reference_or_constant) {
    std::string text = "a text that is too long to be kept in place";
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<std::string>>([&](auto&) -> std::string&& {
                   return std::move(text);
               })) == "a text that is too long to be kept in place");
    BOOST_TEST(text == ""); // moved out of, not copied
    int n = 0;
    int&& named = weft::sync_wait(weft::stackful<weft::task<int&&>>([&](auto&) -> int&& { return std::move(n); }));
    BOOST_TEST(&named == &n);
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<std::string>>([](auto&) -> const std::string { return "c"; })) == "c");
}

BOOST_AUTO_TEST_CASE(an_exception_of_the_body_goes_to_the_coroutine) {
    auto task = weft::stackful<weft::task<int>>([](auto&) -> int { throw std::runtime_error{"it failed"}; });
    BOOST_CHECK_EXCEPTION(weft::sync_wait(task), std::runtime_error,
                          [](const auto& e) { return e.what() == std::string{"it failed"}; });

    const auto values = weft::stackful<pull<int>>([](auto& co) {
        co.yield(1);
        throw std::runtime_error{"no more"};
    });
    BOOST_TEST(*values.next() == 1);
    BOOST_CHECK_THROW(values.next(), std::runtime_error);
    BOOST_TEST(values.handle().done());
}

BOOST_AUTO_TEST_CASE(an_unhandled_exception_that_throws_on_leaves_the_resume) {
    // Before any suspension: after one, Clang destroys the locals of such a coroutine twice, of a plain one too.
    const auto talk = weft::stackful<dialogue>([](auto&) { throw std::runtime_error{"it failed"}; });
    BOOST_CHECK_THROW(talk.say(""), std::runtime_error);
    BOOST_TEST(talk.done());
}

#if !defined(__clang__)
BOOST_AUTO_TEST_CASE(an_unhandled_exception_leaves_the_resume_of_a_body_that_was_suspended_too) {
    parking here;
    int alive = 0;
    {
        const auto task = weft::stackful<rethrowing>([&](auto& co) -> int {
            const counted local{alive};
            co.await(here);
            throw std::runtime_error{"it failed"};
        });
        task.handle().resume();
        BOOST_TEST(alive == 1);
        BOOST_CHECK_THROW(here.parked.resume(), std::runtime_error);
        BOOST_TEST(alive == 0);
        BOOST_TEST(task.handle().done());
    }
    BOOST_TEST(alive == 0);
}
#endif

BOOST_AUTO_TEST_CASE(a_promise_that_would_let_exceptions_go_gets_a_result_all_the_same) {
    parking here;
    const auto task = weft::stackful<rethrowing>([&](auto& co) {
        co.await(here);
        return 7;
    });
    task.handle().resume();
    here.parked.resume();
    BOOST_TEST(task.handle().promise().value == 7);
}

BOOST_AUTO_TEST_CASE(the_body_may_be_moved_in_and_be_mutable) {
    auto task = weft::stackful<weft::task<int>>([box = std::make_unique<int>(4)](auto&) mutable {
        ++*box;
        return *box;
    });
    BOOST_TEST(weft::sync_wait(task) == 5);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(awaiters)

BOOST_AUTO_TEST_CASE(are_called_by_a_task_as_an_ordinary_coroutine_calls_them) {
    whole_matrix<weft::task<bool>, by_co>();
}

BOOST_AUTO_TEST_CASE(are_called_by_a_task_that_begins_at_once_as_an_ordinary_coroutine_calls_them) {
    all_forms<eager<bool>, by_co, int>();
}

BOOST_AUTO_TEST_CASE(are_called_through_await_transform_as_an_ordinary_coroutine_calls_them) {
    all_forms<watched<bool>, by_co, int>(); // the rest of that matrix: matrix_transform.cpp
}

BOOST_AUTO_TEST_CASE(an_awaiter_may_name_the_coroutine_that_goes_on) {
    std::string order;
    parking here;
    auto next = [](std::string& log) -> detour {
        log += "other;";
        co_return;
    }(order);
    struct hand_over {
        parking& where;
        std::coroutine_handle<> next;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const noexcept {
            where.parked = h;
            return next;
        }
        void await_resume() const noexcept {}
    };
    outcome<void> result;
    observe(weft::stackful<weft::task<>>([&](auto& co) {
                order += "before;";
                co.await(hand_over{here, next.handle});
                order += "after;";
            }),
            result);
    BOOST_TEST(order == "before;other;");
    here.parked.resume();
    BOOST_TEST(order == "before;other;after;");
    BOOST_TEST(result.done.load());
}

BOOST_AUTO_TEST_CASE(operator_co_await_is_found_as_the_compiler_finds_it) {
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) {
        const plain_awaiter plain;
        BOOST_TEST(co.await(plain) == 7);
        BOOST_TEST(co.await(plain_awaiter{8}) == 8);
        const with_member member;
        BOOST_TEST(co.await(member) == 1);
        BOOST_TEST(co.await(with_member{}) == 2);
        const with_free free;
        BOOST_TEST(co.await(free) == 3);
        BOOST_TEST(co.await(with_free{}) == 4);
    }));
}

BOOST_AUTO_TEST_CASE(neither_the_operand_nor_its_awaiter_is_moved) {
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) {
        immovable_awaiter named{4};
        BOOST_TEST(co.await(named) == 4);
        BOOST_TEST(co.await(immovable_awaiter{6}) == 6);
        BOOST_TEST(co.await(makes_immovable{}) == 5);
    }));
}

BOOST_AUTO_TEST_CASE(a_result_by_rvalue_reference_names_the_object_in_the_awaiter) {
    struct gives_its_own {
        std::string text = "a text that is too long to be kept in place";
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
        std::string&& await_resume() noexcept { return std::move(text); }
    };
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) {
        static_assert(std::is_same_v<decltype(co.await(gives_its_own{})), std::string&&>);
        static_assert(std::is_same_v<decltype(co.await(std::declval<scripted<form::returns_void, int&>&>())), int&>);
        gives_its_own named;
        std::string&& text = co.await(named);
        BOOST_TEST(&text == &named.text);
        BOOST_TEST(std::string(co.await(gives_its_own{})) == "a text that is too long to be kept in place");
    }));
}

BOOST_AUTO_TEST_CASE(an_exception_of_operator_co_await_appears_at_the_await) {
    struct refuses {
        plain_awaiter operator co_await() const { throw std::runtime_error{"it failed"}; }
    };
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) { BOOST_CHECK_THROW(co.await(refuses{}), std::runtime_error); }));
}

BOOST_AUTO_TEST_CASE(a_body_goes_on_after_it_caught_an_exception_of_an_awaiter) {
    stage s;
    calls c;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                int caught = 0;
                for (const fails when : {fails::in_ready, fails::in_suspend, fails::in_resume, fails::in_suspend}) {
                    try {
                        co.await(scripted<form::returns_void, int>{s, c, place::later, when});
                    } catch (const awaiter_failure&) {
                        ++caught;
                    }
                    co.await(until_run{&s});
                }
                return caught;
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 4);
}

BOOST_AUTO_TEST_CASE(get_the_handle_of_the_coroutine_with_its_own_promise) {
    const auto check = [](auto&& coroutine, const handle_seen& seen, const void* co_promise, auto handle) {
        using promise = typename std::remove_cvref_t<decltype(coroutine)>::promise_type;
        BOOST_REQUIRE(seen.promise_type);
        BOOST_TEST((*seen.promise_type == typeid(promise)));
        BOOST_TEST(seen.promise == co_promise);
        if (handle) {
            BOOST_TEST(seen.address == handle.address());
            BOOST_TEST(seen.promise == static_cast<void*>(&handle.promise()));
        }
    };
    handle_seen seen;
    const void* promise = nullptr;
    const auto body = [&](auto& co) {
        promise = &co.promise();
        co.await(seen);
        return 0;
    };

    const auto task = weft::stackful<weft::task<int>>(body);
    weft::sync_wait(task);
    check(task, seen, promise, std::coroutine_handle<weft::task<int>::promise_type>{});

    seen = {};
    const auto wrapped = weft::stackful<watched<int>>(body);
    weft::sync_wait(wrapped);
    check(wrapped, seen, promise, wrapped.handle());

    seen = {};
    const auto at_once = weft::stackful<eager<int>>(body);
    check(at_once, seen, promise, at_once.handle());

    seen = {};
    const auto made = weft::stackful<placed>([&](auto& co, int&, std::string&) { return body(co); }, 1, std::string{});
    weft::sync_wait(made);
    check(made, seen, promise, made.handle());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(promises)

BOOST_AUTO_TEST_CASE(await_transform_sees_what_the_body_awaits_and_nothing_else) {
    stage s;
    outcome<int> result;
    const auto task = weft::stackful<watched<int>>([&](auto& co) {
        BOOST_TEST(co.promise().awaited == 0);
        co.await(std::suspend_never{});
        BOOST_TEST(co.promise().awaited == 1);
        co.await(until_run{&s});
        BOOST_TEST(co.await(with_member{}) == 2);
        const with_free free;
        BOOST_TEST(co.await(free) == 3);
        return co.promise().awaited;
    });
    observe([](const watched<int>& t) -> weft::task<int> { co_return co_await t; }(task), result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 4);
    BOOST_TEST(task.handle().promise().awaited == 4);
}

/// Its await_transform turns numbers into awaiters, one of which lives in the promise, and refuses some.
struct numbers {
    struct promise_type : ending_promise<int, promise_type> {
        immovable_awaiter kept{100};

        numbers get_return_object() { return {owned_handle{std::coroutine_handle<promise_type>::from_promise(*this)}}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        immovable_awaiter& await_transform(long) noexcept { return kept; }
        immovable_awaiter await_transform(int n) {
            if (n < 0) throw std::out_of_range{"negative"};
            return immovable_awaiter{n};
        }
        makes_immovable await_transform(char) noexcept { return {}; }
    };
    owned_handle<promise_type> coroutine;
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine.get()}; }
};

BOOST_AUTO_TEST_CASE(await_transform_may_give_anything_that_can_be_awaited_or_throw) {
    const auto sum = weft::stackful<numbers>([](auto& co) {
        BOOST_TEST(co.await(3) == 3);
        BOOST_TEST(co.await(3L) == 100);
        BOOST_TEST(co.await('c') == 5);
        BOOST_CHECK_THROW(co.await(-1), std::out_of_range);
        return 1;
    });
    BOOST_TEST(weft::sync_wait(sum) == 1);
}

BOOST_AUTO_TEST_CASE(a_generator_that_may_await_nothing_yields) {
    const auto values = weft::stackful<pull<int>>([](auto& co) {
        depth_first(20, [&] {
            co.yield(1);
            return 0;
        });
        co.yield(2);
    });
    BOOST_TEST(*values.next() == 1);
    BOOST_TEST(*values.next() == 2);
    BOOST_TEST(!values.next());
}

BOOST_AUTO_TEST_CASE(a_yield_gives_what_its_awaiter_gives_and_throws_what_yield_value_throws) {
    std::string heard;
    const auto talk = weft::stackful<dialogue>([&](auto& co) {
        heard += co.yield("one");
        BOOST_CHECK_THROW(co.yield(""), std::string);
        heard += co.yield("two");
    });
    BOOST_TEST(talk.say("unheard") == "one");
    BOOST_TEST(talk.say("a") == "two");
    talk.say("b");
    BOOST_TEST(talk.done());
    BOOST_TEST(heard == "ab");
}

BOOST_AUTO_TEST_CASE(an_asynchronous_generator_awaits_and_yields) {
    stage s;
    outcome<int> result;
    observe(
        [](stage& where) -> weft::task<int> {
            const auto values = weft::stackful<stream<int>>([&where](auto& co) {
                for (int i = 1; i <= 3; ++i) {
                    co.await(until_run{&where});
                    co.yield(i);
                }
            });
            int sum = 0;
            while (const int* const value = co_await values.next()) sum = 10 * sum + *value;
            co_return sum;
        }(s),
        result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 123);
}

BOOST_AUTO_TEST_CASE(an_asynchronous_generator_awaits_and_yields_from_any_depth_by_either_await_and_fails) {
    stage s;
    int alive = 0;
    const auto consume = [](stage& where, int& counter, int stop_at) -> weft::task<int> {
        const auto values = weft::stackful<stream<int>>([&where, &counter](auto& co) {
            const counted local{counter};
            for (int i = 1; i <= 3; ++i)
                depth_first(10, [&] {
                    weft::await(until_run{&where});
                    co.await(on_new_thread{&where});
                    co.yield(i);
                    return 0;
                });
            throw std::runtime_error{"no more"};
        });
        int sum = 0;
        try {
            while (sum < stop_at) sum = 10 * sum + *co_await values.next();
        } catch (const std::runtime_error&) {
            sum = -sum;
        }
        co_return sum;
    };
    for (const auto& [stop_at, expected] : {std::pair{1000, -123}, std::pair{10, 12}}) { // the second one is left early
        outcome<int> result;
        observe(consume(s, alive, stop_at), result);
        finish(s, result.done);
        BOOST_TEST(result.value.value() == expected);
        BOOST_TEST(alive == 0);
    }
}

weft::task<int> awaits_an_ordinary(stage& s, int n) {
    co_await until_run{&s};
    co_return n;
}
template <class R>
R ordinary(stage& s, int n) {
    co_await until_run{&s};
    co_return n;
}

template <class R, class... Args>
int sum_of_operands(Args... args) {
    stage s;
    outcome<int> result;
    const auto task = weft::stackful<R>(
        [&](auto& co, auto&...) {
            int sum = co.await(awaits_an_ordinary(s, 1)) + weft::await(awaits_an_ordinary(s, 1));
            sum += co.await(ordinary<symmetric<int>>(s, 10)) + weft::await(ordinary<symmetric<int>>(s, 10));
            sum += co.await(ordinary<watched<int>>(s, 100)) + weft::await(ordinary<watched<int>>(s, 100));
            sum += co.await(ordinary<eager<int>>(s, 1'000)) + weft::await(ordinary<eager<int>>(s, 1'000));
            const auto other = weft::stackful<R>([&](auto&, auto&...) { return 10'000; }, args...);
            return sum + co.await(other);
        },
        args...);
    observe([](const R& t) -> weft::task<int> { co_return co_await t; }(task), result);
    finish(s, result.done);
    return result.value.value();
}

BOOST_AUTO_TEST_CASE(coroutines_of_each_type_are_operands_in_bodies_of_each_type) {
    BOOST_TEST(sum_of_operands<weft::task<int>>() == 12'222);
    BOOST_TEST(sum_of_operands<symmetric<int>>() == 12'222);
    BOOST_TEST(sum_of_operands<watched<int>>() == 12'222);
    BOOST_TEST((sum_of_operands<placed>(1, std::string{"one"})) == 12'222);
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_begins_when_it_is_made_does_so) {
    stage s;
    std::string order;
    const auto task = weft::stackful<eager<int>>([&](auto& co) {
        order += "begins;";
        co.await(until_run{&s});
        order += "ends;";
        return 6;
    });
    order += "made;";
    BOOST_TEST(order == "begins;made;");
    s.run();
    BOOST_TEST(order == "begins;made;ends;");
    BOOST_TEST(weft::sync_wait(task) == 6);

    const auto failed = weft::stackful<eager<int>>([](auto&) -> int { throw std::runtime_error{"it failed"}; });
    BOOST_CHECK_THROW(weft::sync_wait(failed), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_promise_is_made_from_the_arguments_and_allocates_with_them) {
    using promise = placed::promise_type;
    promise::allocated = promise::freed = 0;
    {
        const int* number_in_body = nullptr;
        const auto task = weft::stackful<placed>(
            [&](auto& co, int& n, std::string& text) {
                number_in_body = &n;
                BOOST_TEST(co.promise().number == 7);
                BOOST_TEST(co.promise().text == text);
                ++n;
                return n;
            },
            7, std::string{"seven"});
        BOOST_TEST(promise::allocated == 1);
        BOOST_TEST(promise::from_arguments == 2);
        BOOST_TEST(weft::sync_wait(task) == 8);
        BOOST_TEST(promise::seen_number == number_in_body);
        BOOST_TEST(promise::freed == 0);
    }
    BOOST_TEST(promise::freed == 1);
}

BOOST_AUTO_TEST_CASE(arguments_have_the_types_that_are_named) {
    int n = 1;
    const auto task = weft::stackful<placed, int&, const std::string&>(
        [&](auto&, int& number, const std::string&) {
            BOOST_TEST(&number == &n);
            return 0;
        },
        n, std::string{});
    BOOST_TEST((placed::promise_type::seen_number == &n));
    weft::sync_wait(task);

    const auto moved = weft::stackful<weft::task<int>, std::unique_ptr<int>>(
        [](auto&, std::unique_ptr<int>& box) { return *box; }, std::make_unique<int>(9));
    BOOST_TEST(weft::sync_wait(moved) == 9);
}

BOOST_AUTO_TEST_CASE(a_promise_sees_the_arguments_of_the_coroutine_and_none_of_wefts) {
    using promise = curious::promise_type;
    promise::freed = 0;
    {
        const auto none = weft::stackful<curious>([](auto&) { return 0; });
        BOOST_TEST(promise::allocated_with == 0u);
        BOOST_TEST(none.handle().promise().made_from == 0u);
        const auto two = weft::stackful<curious>([](auto&, int&, char&) { return 0; }, 1, 'c');
        BOOST_TEST(promise::allocated_with == 2u);
        BOOST_TEST(two.handle().promise().made_from == 2u);
        weft::sync_wait(none);
        weft::sync_wait(two);
    }
    BOOST_TEST(promise::freed == 2);
}

BOOST_AUTO_TEST_CASE(a_function_that_returns_nothing_can_be_a_coroutine) {
    stage s;
    int alive = 0;
    bool ended = false;
    weft::stackful<void, detached, counted>(
        [&](auto& co, detached, counted&) {
            const counted local{alive};
            co.await(until_run{&s});
            ended = true;
        },
        detached{}, counted{alive});
    BOOST_TEST(alive == 2);
    s.run();
    BOOST_TEST(ended);
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(making)

weft::task<int> by_conversion() {
    return weft::stackful([](auto& co) { return co.await(plain_awaiter{}); });
}
watched<int> watched_by_conversion() {
    return weft::stackful([](auto& co) { return co.await(plain_awaiter{}); });
}
pull<int> generator_by_conversion(noted_stacks::notes& notes) {
    return weft::stackful(std::allocator_arg, noted_stacks{&notes}, [](auto& co) { co.yield(11); });
}

BOOST_AUTO_TEST_CASE(without_a_type_it_becomes_what_the_function_returns) {
    BOOST_TEST(weft::sync_wait(by_conversion()) == 7);
    BOOST_TEST(weft::sync_wait(watched_by_conversion()) == 7);
    noted_stacks::notes notes;
    BOOST_TEST(*generator_by_conversion(notes).next() == 11);
    BOOST_TEST(notes.taken == 1);
    BOOST_TEST(notes.returned == 1);
}

BOOST_AUTO_TEST_CASE(the_body_runs_on_a_stack_of_the_allocator_that_is_taken_when_it_begins) {
    noted_stacks::notes notes;
    {
        const auto task = weft::stackful<weft::task<std::uintptr_t>>(std::allocator_arg, noted_stacks{&notes},
                                                                     [](auto&) { return stack_position(); });
        BOOST_TEST(notes.taken == 0);
        const std::uintptr_t position = weft::sync_wait(task);
        BOOST_TEST(notes.taken == 1);
        BOOST_TEST(notes.lowest < position);
        BOOST_TEST(position < notes.highest);
        BOOST_TEST(notes.returned == 1);

        const auto with_arguments = weft::stackful<weft::task<int>>(std::allocator_arg, noted_stacks{&notes},
                                                                    [](auto&, int n) { return n; }, 3);
        BOOST_TEST(weft::sync_wait(with_arguments) == 3);
        const auto never_run = weft::stackful<weft::task<>>(std::allocator_arg, noted_stacks{&notes}, [](auto&) {});
    }
    BOOST_TEST(notes.taken == 2);
    BOOST_TEST(notes.returned == 2);
    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<int>>(std::allocator_arg, weft::guarded_stack{256 * 1024}, [](auto&) {
                   volatile char large[200 * 1024];
                   large[0] = 1;
                   return static_cast<int>(large[0]);
               })) == 1);
}

template <class R>
void check_unborn() {
    using promise = typename R::promise_type;
    int alive = 0;
    const auto make = [&] { return weft::stackful<R>([c = counted{alive}](auto&) { BOOST_ERROR("it ran"); }); };
    BOOST_CHECK_THROW(make(), typename R::refusal);
    BOOST_TEST(alive == 0);
    BOOST_TEST(promise::alive == 0);
    BOOST_TEST(promise::frames == 0);
}

BOOST_AUTO_TEST_CASE(what_get_return_object_throws_is_thrown_by_the_call_and_nothing_is_left) {
    check_unborn<unborn<false>>();
    check_unborn<unborn<true>>();
}

BOOST_AUTO_TEST_CASE(a_stack_that_cannot_be_had_is_an_exception_inside_the_coroutine) {
    bool ran = false;
    auto task = weft::stackful<weft::task<>>(std::allocator_arg, no_stacks{}, [&](auto&) { ran = true; });
    BOOST_CHECK_THROW(weft::sync_wait(task), std::bad_alloc);
    auto wrapped = weft::stackful<watched<int>>(std::allocator_arg, no_stacks{}, [&](auto&) { return 1; });
    BOOST_CHECK_THROW(weft::sync_wait(wrapped), std::bad_alloc);
    auto at_once = weft::stackful<eager<int>>(std::allocator_arg, no_stacks{}, [&](auto&) { return 1; });
    BOOST_CHECK_THROW(weft::sync_wait(at_once), std::bad_alloc);
    BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(what_moving_the_body_throws_is_thrown_by_the_call) {
    struct cannot_be_copied_twice {
        int copies = 0;
        cannot_be_copied_twice() = default;
        cannot_be_copied_twice(const cannot_be_copied_twice&) { throw std::runtime_error{"it failed"}; }
        void operator()(co_of<weft::task<>>&) {}
    };
    const cannot_be_copied_twice body;
    BOOST_CHECK_THROW((void)weft::stackful<weft::task<>>(body), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(destruction)

BOOST_AUTO_TEST_CASE(a_body_that_never_began_is_destroyed_without_running) {
    int alive = 0;
    {
        const auto task = weft::stackful<weft::task<>>([c = counted{alive}](auto&) { BOOST_ERROR("it ran"); });
        const auto wrapped = weft::stackful<watched<int>>([c = counted{alive}](auto&) {
            BOOST_ERROR("it ran");
            return 0;
        });
        BOOST_TEST(alive == 2);
    }
    BOOST_TEST(alive == 0);
}

struct logs_its_end {
    std::string& log;
    const char* name;
    std::uintptr_t& position;
    ~logs_its_end() {
        log += name;
        position = stack_position();
    }
};

BOOST_AUTO_TEST_CASE(a_suspended_body_is_unwound_on_its_own_stack_before_the_promise_dies) {
    std::string log;
    parking here;
    std::uintptr_t began = 0, ended = 0;
    {
        const auto task = weft::stackful<watched<int>>([&](auto& co) {
            co.promise().log = &log;
            began = stack_position();
            const logs_its_end outer{log, "outer;", ended};
            depth_first(5, [&] {
                const logs_its_end inner{log, "inner;", ended};
                co.await(here);
                log += "not reached;";
                return 0;
            });
            return 0;
        });
        task.handle().resume();
        BOOST_TEST(here.parked.address() == task.handle().address());
        BOOST_TEST(log == "");
    }
    BOOST_TEST(log == "inner;outer;promise;");
    BOOST_TEST(near(began, ended));
    BOOST_TEST(!near(ended, stack_position()));
}

BOOST_AUTO_TEST_CASE(forced_unwind_that_is_swallowed_is_met_again) {
    parking here;
    int met = 0;
    {
        outcome<void> result;
        const observer o = observe(weft::stackful<weft::task<>>([&](auto& co) {
                                       for (int i = 0; i < 3; ++i) {
                                           try {
                                               co.await(here);
                                           } catch (const std::exception&) {
                                               BOOST_ERROR("forced_unwind is no std::exception");
                                           } catch (const weft::forced_unwind&) {
                                               ++met;
                                           }
                                       }
                                   }),
                                   result);
        o.handle.destroy();
        BOOST_TEST(!result.done.load());
    }
    BOOST_TEST(met == 3);
}

BOOST_AUTO_TEST_CASE(fibers_between_the_body_and_the_await_are_unwound_too) {
    parking here;
    int alive = 0;
    {
        outcome<void> result;
        const observer o = observe(weft::stackful<weft::task<>>([&](auto& co) {
                                       const counted outer{alive};
                                       weft::fiber inner{[&] {
                                           const counted local{alive};
                                           co.await(here);
                                           BOOST_ERROR("it went on");
                                       }};
                                       inner.resume();
                                       BOOST_ERROR("it went on");
                                   }),
                                   result);
        BOOST_TEST(alive == 2);
        o.handle.destroy();
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(a_generator_left_early_unwinds_its_body) {
    int alive = 0;
    {
        const auto values = weft::stackful<pull<int>>([&](auto& co) {
            const counted local{alive};
            for (int i = 0;; ++i) co.yield(i);
        });
        values.next();
        values.next();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(a_body_that_suspends_itself_is_unwound_and_the_coroutine_fails) {
    int alive = 0;
    auto task = weft::stackful<weft::task<>>([&](auto& co) {
        const counted local{alive};
        co.await(plain_awaiter{}); // which leaves nothing behind
        weft::this_fiber::suspend();
        BOOST_ERROR("it went on");
    });
    BOOST_CHECK_EXCEPTION(weft::sync_wait(task), weft::fiber_error, [](const weft::fiber_error& e) {
        return std::string{e.what()}.find("co.await") != std::string::npos;
    });
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(depth)

BOOST_AUTO_TEST_CASE(a_body_awaits_from_deep_recursion) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                return depth_first(200, [&] {
                    co.await(until_run{&s});
                    co.await(on_new_thread{&s});
                    return 1;
                });
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 201);
}

BOOST_AUTO_TEST_CASE(a_generator_inside_the_body_is_suspended_with_it) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                int sum = 0;
                for (const int v : weft::generator<int>{[&](auto& out) {
                         for (int i = 1; i <= 4; ++i) {
                             co.await(until_run{&s});
                             out.yield(i + 0);
                         }
                     }}) {
                    co.await(until_run{&s});
                    sum = 10 * sum + v;
                }
                return sum;
            }),
            result);
    BOOST_TEST(!result.done.load());
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 1234);
}

BOOST_AUTO_TEST_CASE(a_stackful_generator_coroutine_inside_the_body_awaits_through_it) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                const auto values = weft::stackful<pull<int>>([&](auto& inner) {
                    for (int i = 1; i <= 3; ++i) {
                        co.await(until_run{&s});
                        inner.yield(i);
                    }
                });
                int sum = 0;
                while (const int* const value = values.next()) sum = 10 * sum + *value;
                return sum;
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 123);
}

BOOST_AUTO_TEST_CASE(a_chain_of_fibers_migrates_between_threads) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                int hops = 0;
                weft::fiber middle{[&] {
                    weft::fiber innermost{[&] {
                        for (int i = 0; i < 20; ++i) {
                            const unsigned before = thread_number();
                            co.await(on_new_thread{&s});
                            if (thread_number() != before) ++hops;
                            weft::this_fiber::suspend();
                        }
                    }};
                    while (!innermost.done()) {
                        innermost.resume();
                        try {
                            throw hops;
                        } catch (const int& caught) {
                            co.await(on_new_thread{&s});
                            BOOST_REQUIRE(caught == hops);
                        }
                        weft::this_fiber::suspend();
                    }
                }};
                while (!middle.done()) middle.resume();
                return hops;
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 20);
}

BOOST_AUTO_TEST_CASE(bodies_await_each_other) {
    stage s;
    outcome<int> result;
    const auto inner = [&](int n) {
        return weft::stackful<weft::task<int>>([&s, n](auto& co) {
            co.await(until_run{&s});
            return n;
        });
    };
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                int sum = 0;
                for (int i = 1; i <= 3; ++i) sum = 10 * sum + co.await(inner(i));
                return sum;
            }),
            result);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 123);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(exceptions)

struct raises_on_resumption {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const { raise_foreign(); }
};
struct raises_on_suspension {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const { raise_foreign(); }
    void await_resume() const noexcept {}
};

BOOST_AUTO_TEST_CASE(a_body_awaits_in_a_catch_block_and_rethrows_its_own) {
    stage s;
    const auto body = [&s](int mine) {
        return weft::stackful<weft::task<>>([&s, mine](auto& co) {
            try {
                throw mine;
            } catch (...) {
                co.await(until_run{&s});
                co.await(on_new_thread{&s});
                co.await(until_run{&s});
                throw;
            }
        });
    };
    outcome<void> results[3];
    for (int i = 0; i < 3; ++i) observe(body(i), results[i]);
    for (int i = 0; i < 3; ++i) {
        finish(s, results[i].done);
        BOOST_REQUIRE(results[i].failure);
        try {
            std::rethrow_exception(results[i].failure);
        } catch (const int& thrown) {
            BOOST_TEST(thrown == i);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_destructor_awaits_while_an_exception_passes) {
    stage s;
    outcome<int> result;
    observe(weft::stackful<weft::task<int>>([&](auto& co) {
                const auto at_the_end = [&] {
                    BOOST_TEST(std::uncaught_exceptions() == 1);
                    co.await(until_run{&s});
                    BOOST_TEST(std::uncaught_exceptions() == 1);
                };
                struct guard {
                    const decltype(at_the_end)& run;
                    ~guard() { run(); }
                };
                try {
                    const guard g{at_the_end};
                    throw 5;
                } catch (const int& thrown) {
                    return thrown;
                }
            }),
            result);
    BOOST_TEST(std::uncaught_exceptions() == 0);
    finish(s, result.done);
    BOOST_TEST(result.value.value() == 5);
}

// What is no C++ exception goes on to whoever has resumed the coroutine, a body's and any other's.
BOOST_AUTO_TEST_CASE(another_languages) {
    BOOST_TEST(lets_foreign_out([] {
        weft::task<int> t = weft::stackful([](auto&) -> int { raise_foreign(); });
        weft::sync_wait(t);
    }));
    BOOST_TEST(lets_foreign_out([] {
        weft::task<> t = weft::stackful([](auto& co) { co.await([]() -> weft::task<> { raise_foreign(); co_return; }()); });
        weft::sync_wait(t);
    }));
    BOOST_TEST(lets_foreign_out([] {
        const auto inner = []() -> weft::task<int> { raise_foreign(); co_return 1; };
        const auto outer = [&]() -> weft::task<int> { co_return co_await inner(); };
        weft::sync_wait(outer());
    }));
    BOOST_TEST(lets_foreign_out([] { weft::sync_wait(raises_on_resumption{}); }));
    int sum = 0;
    BOOST_TEST(lets_foreign_out([&] {
        for (int v : weft::generator<int>{[](auto& out) {
                 out.yield(1);
                 raise_foreign();
             }})
            sum += v;
    }));
    BOOST_TEST(sum == 1);
}

BOOST_AUTO_TEST_CASE(another_languages_out_of_await_suspend_is_told) {
    const auto end = weft_test::in_child([] {
        weft::task<> t = weft::stackful([](auto& co) { co.await(raises_on_suspension{}); });
        weft::sync_wait(t);
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
    BOOST_TEST(end.said.starts_with("weft: what is no C++ exception"), end);
}

#if defined(__GLIBC__) && defined(__GLIBCXX__) && !WEFT_TSAN // whose pthread_exit asks for the stack of a thread
BOOST_AUTO_TEST_CASE(the_end_of_the_thread_unwinds_the_body_and_what_waits_for_it) {
    static int alive;
    struct counted {
        counted() { ++alive; }
        ~counted() { --alive; }
    };
    pthread_t thread;
    const auto run = [](void*) -> void* {
        const counted of_the_thread;
        weft::task<> t = weft::stackful([](auto& co) {
            const counted of_the_body;
            co.await(std::suspend_never{});
            ::pthread_exit(&alive);
        });
        weft::sync_wait(t);
        return nullptr;
    };
    BOOST_REQUIRE(::pthread_create(&thread, nullptr, run, nullptr) == 0);
    void* left = nullptr;
    ::pthread_join(thread, &left);
    BOOST_TEST(left == &alive);
    BOOST_TEST(alive == 0);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(costs)

BOOST_AUTO_TEST_CASE(an_await_allocates_nothing) {
    parking here;
    outcome<void> result;
    observe(weft::stackful<weft::task<>>([&](auto& co) {
                for (int i = 0; i < 1000; ++i) co.await(here);
            }),
            result);
    BOOST_TEST(allocations_in([&] {
                   while (!result.done) here.parked.resume();
               }) == 0u);

    BOOST_TEST(weft::sync_wait(weft::stackful<weft::task<std::size_t>>([&](auto& co) {
                   return allocations_in([&] {
                       for (int i = 0; i < 1000; ++i) {
                           co.await(plain_awaiter{});
                           co.await(std::suspend_never{});
                       }
                   });
               })) == 0u);
    BOOST_TEST(weft::sync_wait(weft::stackful<watched<std::size_t>>([&](auto& co) {
                   return allocations_in([&] {
                       for (int i = 0; i < 1000; ++i) co.await(plain_awaiter{});
                   });
               })) == 0u);
}

BOOST_AUTO_TEST_CASE(a_body_that_is_being_unwound_can_await_what_is_ready) {
    // Every switch out of it would throw forced_unwind: what is ready costs none.
    parking here;
    int ready = 0;
    outcome<void> result;
    const observer o = observe(weft::stackful<weft::task<>>([&](auto& co) {
                                   try {
                                       co.await(here);
                                   } catch (const weft::forced_unwind&) {
                                       for (int i = 0; i < 10; ++i) {
                                           co.await(std::suspend_never{});
                                           ++ready;
                                       }
                                       throw;
                                   }
                               }),
                               result);
    o.handle.destroy();
    BOOST_TEST(ready == 10);
}

weft::task<int> at_once(int n) {
    co_return n;
}

BOOST_AUTO_TEST_CASE(a_loop_of_tasks_that_complete_at_once_does_not_grow_the_stack) {
    const int times = many_transfers();
    auto task = weft::stackful<weft::task<int>>([times](auto& co) {
        int sum = 0;
        for (int i = 0; i < times; ++i) sum += co.await(at_once(1));
        return sum;
    });
    BOOST_TEST(weft::sync_wait(task) == times);

    auto wrapped = weft::stackful<watched<int>>([times](auto& co) {
        int sum = 0;
        for (int i = 0; i < times; ++i) sum += co.await(at_once(1));
        return sum;
    });
    BOOST_TEST(weft::sync_wait(wrapped) == times);
}

BOOST_AUTO_TEST_CASE(going_on_at_once_grows_no_stack_whatever_the_compiler_does) {
    auto task = weft::stackful<weft::task<int>>([](auto& co) {
        for (int i = 0; i < 1'000'000; ++i) co.await(plain_awaiter{});
        return 1;
    });
    BOOST_TEST(weft::sync_wait(task) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
