// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "awaiters.hpp"

#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

weft::task<int> answer() {
    co_return 42;
}

weft::task<> count_up(int& n) {
    ++n;
    co_return;
}

weft::task<int&> refer_to(int& n) {
    co_return n;
}

weft::task<const int&> refer_to_const(int& n) {
    co_return n;
}

weft::task<int&&> refer_to_rvalue(int& n) {
    co_return std::move(n);
}

weft::task<std::unique_ptr<int>> boxed(int n) {
    co_return std::make_unique<int>(n);
}

weft::task<std::string> converted(const char* text) {
    co_return text;
}

template <class T = void>
weft::task<T> failing() {
    throw std::runtime_error{"it failed"};
    co_return T{};
}
template <>
weft::task<void> failing<void>() {
    throw std::runtime_error{"it failed"};
    co_return;
}

bool says_it_failed(const std::runtime_error& e) {
    return e.what() == std::string{"it failed"};
}

} // namespace

BOOST_AUTO_TEST_SUITE(results)

BOOST_AUTO_TEST_CASE(a_value_is_returned) {
    BOOST_TEST(weft::sync_wait(answer()) == 42);
}

BOOST_AUTO_TEST_CASE(nothing_is_returned_by_a_task_of_void) {
    int n = 0;
    static_assert(std::is_void_v<decltype(weft::sync_wait(count_up(n)))>);
    weft::sync_wait(count_up(n));
    BOOST_TEST(n == 1);
}

BOOST_AUTO_TEST_CASE(a_reference_names_the_object_itself) {
    int n = 1;
    static_assert(std::is_same_v<decltype(weft::sync_wait(refer_to(n))), int&>);
    static_assert(std::is_same_v<decltype(weft::sync_wait(refer_to_const(n))), const int&>);
    BOOST_TEST(&weft::sync_wait(refer_to(n)) == &n);
    BOOST_TEST(&weft::sync_wait(refer_to_const(n)) == &n);
    weft::sync_wait([](int& m) -> weft::task<> {
        BOOST_TEST(&co_await refer_to(m) == &m);
        int&& rvalue = co_await refer_to_rvalue(m);
        BOOST_TEST(&rvalue == &m);
    }(n));
}

BOOST_AUTO_TEST_CASE(what_can_only_be_moved_is_moved_out) {
    const std::unique_ptr<int> box = weft::sync_wait(boxed(5));
    BOOST_REQUIRE(box);
    BOOST_TEST(*box == 5);
}

BOOST_AUTO_TEST_CASE(the_operand_of_co_return_converts) {
    BOOST_TEST(weft::sync_wait(converted("text")) == "text");
}

weft::task<std::vector<int>> listed() {
    co_return {1, 2, 3};
}
weft::task<std::pair<int, std::string>> paired() {
    co_return {4, "text"};
}
weft::task<const std::string> constant() {
    co_return {"constant"};
}
weft::task<const std::unique_ptr<int>> constant_box() {
    co_return std::make_unique<int>(6);
}

BOOST_AUTO_TEST_CASE(the_operand_of_co_return_may_be_a_braced_list) {
    BOOST_TEST((weft::sync_wait(listed()) == std::vector{1, 2, 3}));
    BOOST_TEST((weft::sync_wait(paired()) == std::pair{4, std::string("text")}));
    BOOST_TEST(weft::sync_wait(constant()) == "constant");
}

BOOST_AUTO_TEST_CASE(a_constant_result_is_moved_out_too) {
    static_assert(std::is_same_v<decltype(weft::sync_wait(constant_box())), const std::unique_ptr<int>>);
    BOOST_TEST(*weft::sync_wait(constant_box()) == 6);
}

template <class T, class U>
concept returns = requires(typename weft::task<T>::promise_type& p, U&& u) { p.return_value(std::forward<U>(u)); };

BOOST_AUTO_TEST_CASE(the_operand_of_co_return_converts_implicitly_alone) {
    struct by_force {
        explicit by_force(int) {}
    };
    static_assert(!returns<by_force, int>);
    static_assert(returns<by_force, by_force>);
    static_assert(returns<long, short>);
    static_assert(!returns<int&, const int&>);
    static_assert(!returns<int&&, int&>);
}

struct base {
    int n = 1;
};
struct derived : base {};

// What a reference of a task may be made of (a task that is given anything else does not compile).
BOOST_AUTO_TEST_CASE(a_reference_is_made_of_what_lasts_and_of_no_temporary) {
    using weft::detail::refers_to_what_lasts;
    static_assert(refers_to_what_lasts<const std::string&, std::string&>);
    static_assert(refers_to_what_lasts<const base&, derived&>);
    static_assert(refers_to_what_lasts<const int&, const int&>);
    static_assert(refers_to_what_lasts<int&, std::reference_wrapper<int>>);
    static_assert(refers_to_what_lasts<const int&, std::reference_wrapper<int>>);
    static_assert(refers_to_what_lasts<const int&, std::reference_wrapper<const int>>);
    static_assert(refers_to_what_lasts<std::string&&, std::string>);
    static_assert(refers_to_what_lasts<const char (&)[2], const char (&)[2]>);
    static_assert(!refers_to_what_lasts<const std::string&, const char*>);
    static_assert(!refers_to_what_lasts<const std::string&, const char (&)[2]>);
    static_assert(!refers_to_what_lasts<const std::string&, std::string>);
    static_assert(!refers_to_what_lasts<const base&, derived>);
    static_assert(!refers_to_what_lasts<const long&, int&>);
    static_assert(!refers_to_what_lasts<std::string&&, const char*>);
    int n = 1;
    derived d;
    BOOST_TEST(&weft::sync_wait([](int& m) -> weft::task<const int&> { co_return std::ref(m); }(n)) == &n);
    BOOST_TEST(&weft::sync_wait([](derived& m) -> weft::task<const base&> { co_return m; }(d)) == &d);
}

BOOST_AUTO_TEST_CASE(an_exception_arrives_with_its_type) {
    BOOST_CHECK_EXCEPTION(weft::sync_wait(failing()), std::runtime_error, says_it_failed);
    BOOST_CHECK_EXCEPTION(weft::sync_wait(failing<std::string>()), std::runtime_error, says_it_failed);
    weft::sync_wait([]() -> weft::task<> { BOOST_CHECK_EXCEPTION(co_await failing(), std::runtime_error, says_it_failed); }());
}

BOOST_AUTO_TEST_CASE(a_result_whose_constructor_throws_is_an_exception_of_the_task) {
    struct refuses {
        refuses(int) { throw std::runtime_error{"it failed"}; }
    };
    const auto make = []() -> weft::task<refuses> { co_return 1; };
    BOOST_CHECK_EXCEPTION(weft::sync_wait(make()), std::runtime_error, says_it_failed);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(life)

BOOST_AUTO_TEST_CASE(nothing_runs_before_it_is_awaited) {
    int n = 0;
    const auto task = count_up(n);
    BOOST_TEST(n == 0);
    weft::sync_wait(task);
    BOOST_TEST(n == 1);
}

BOOST_AUTO_TEST_CASE(a_task_destroyed_before_it_runs_destroys_its_parameters) {
    int alive = 0;
    {
        const auto task = [](counted) -> weft::task<> {
            BOOST_ERROR("it ran");
            co_return;
        }(counted{alive});
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(a_task_destroyed_while_suspended_destroys_its_locals) {
    stage s;
    int alive = 0;
    bool ended = false;
    outcome<void> result;
    {
        auto task = [](stage& where, int& n, bool& reached) -> weft::task<> {
            const counted local{n};
            co_await until_run{&where};
            reached = true;
        }(s, alive, ended);
        const observer o = observe(std::move(task), result);
        BOOST_TEST(alive == 1);
        o.handle.destroy();
    }
    s.forget();
    BOOST_TEST(alive == 0);
    BOOST_TEST(!ended);
    BOOST_TEST(!result.done.load());
}

BOOST_AUTO_TEST_CASE(moving_a_task_moves_the_coroutine) {
    int n = 0;
    auto first = count_up(n);
    weft::task<> second{std::move(first)};
    weft::task<> third;
    third = std::move(second);
    third.swap(second);
    weft::sync_wait(second);
    BOOST_TEST(n == 1);

    int alive = 0;
    auto replaced = [](counted) -> weft::task<> { co_return; }(counted{alive});
    BOOST_TEST(alive == 1);
    replaced = count_up(n);
    BOOST_TEST(alive == 0);
    weft::sync_wait(replaced);
    BOOST_TEST(n == 2);
}

BOOST_AUTO_TEST_CASE(the_result_lives_as_long_as_the_task) {
    int alive = 0;
    {
        const auto task = [](int& n) -> weft::task<counted> { co_return counted{n}; }(alive);
        {
            const counted copy = weft::sync_wait(task);
            BOOST_TEST(alive == 2);
        }
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(transfer)

BOOST_AUTO_TEST_CASE(a_task_goes_on_with_the_one_that_awaits_it) {
    stage s;
    std::string order;
    outcome<void> result;
    observe(
        [](stage& where, std::string& log) -> weft::task<> {
            log += "a";
            co_await [](stage& there, std::string& lines) -> weft::task<> {
                lines += "b";
                co_await until_run{&there};
                lines += "c";
            }(where, log);
            log += "d";
        }(s, order),
        result);
    BOOST_TEST(order == "ab");
    s.run();
    BOOST_TEST(order == "abcd");
    BOOST_TEST(result.done.load());
}

weft::task<std::uintptr_t> position_now() {
    co_return stack_position();
}

BOOST_AUTO_TEST_CASE(a_loop_of_tasks_that_complete_at_once_does_not_grow_the_stack) {
    const bool tail_calls = transfers_are_tail_calls();
    const int times = many_transfers();
    BOOST_TEST_MESSAGE("transfers are tail calls here: " << tail_calls);
#if defined(__clang__)
    BOOST_TEST(tail_calls);
#endif
    const std::uintptr_t used = weft::sync_wait([](int n) -> weft::task<std::uintptr_t> {
        const std::uintptr_t first = co_await position_now();
        std::uintptr_t last = first;
        for (int i = 0; i < n; ++i) last = co_await position_now();
        co_return first > last ? first - last : last - first;
    }(times));
    if (tail_calls) BOOST_TEST(used < 4096u);
}

weft::task<int> nested(int depth, std::uintptr_t& deepest) {
    if (depth == 0) {
        deepest = stack_position();
        co_return 0;
    }
    co_return 1 + co_await nested(depth - 1, deepest);
}

BOOST_AUTO_TEST_CASE(deep_nesting_does_not_grow_the_stack) {
    std::uintptr_t shallow = 0, deep = 0;
    BOOST_TEST(weft::sync_wait(nested(1, shallow)) == 1);
    const int depth = many_transfers();
    BOOST_TEST(weft::sync_wait(nested(depth, deep)) == depth);
    if (transfers_are_tail_calls()) BOOST_TEST((shallow > deep ? shallow - deep : deep - shallow) < 4096u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(waiting)

BOOST_AUTO_TEST_CASE(an_lvalue_task_can_be_waited_for) {
    auto task = answer();
    BOOST_TEST(weft::sync_wait(task) == 42);
    const auto constant = answer();
    BOOST_TEST(weft::sync_wait(constant) == 42);
}

BOOST_AUTO_TEST_CASE(any_awaitable_can_be_waited_for) {
    BOOST_TEST(weft::sync_wait(plain_awaiter{}) == 7);
    const plain_awaiter plain;
    BOOST_TEST(weft::sync_wait(plain) == 7);

    const with_member member;
    BOOST_TEST(weft::sync_wait(member) == 1);
    BOOST_TEST(weft::sync_wait(with_member{}) == 2);

    const with_free free;
    BOOST_TEST(weft::sync_wait(free) == 3);
    BOOST_TEST(weft::sync_wait(with_free{}) == 4);

    weft::sync_wait(std::suspend_never{});
}

template <class T>
struct gives {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    T await_resume() const { return sample<T>::make(); }
};

BOOST_AUTO_TEST_CASE(the_result_has_the_type_that_the_awaiter_gives) {
    static_assert(std::is_same_v<decltype(weft::sync_wait(gives<int>{})), int>);
    static_assert(std::is_same_v<decltype(weft::sync_wait(gives<int&>{})), int&>);
    static_assert(std::is_same_v<decltype(weft::sync_wait(gives<void>{})), void>);
    BOOST_TEST(sample<int&>::is(weft::sync_wait(gives<int&>{})));
    BOOST_TEST(sample<std::unique_ptr<int>>::is(weft::sync_wait(gives<std::unique_ptr<int>>{})));
    static_assert(std::is_same_v<decltype(weft::sync_wait(gives<std::unique_ptr<int>&&>{})), std::unique_ptr<int>&&>);
    BOOST_TEST(*weft::sync_wait(gives<std::unique_ptr<int>&&>{}) == 43);
}

struct gives_pointer {
    int* pointer;
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int*& await_resume() noexcept { return pointer; }
};

BOOST_AUTO_TEST_CASE(pointers_and_references_to_pointers_are_not_mixed_up) {
    int n = 0;
    BOOST_TEST(weft::sync_wait([](int* p) -> weft::task<int*> { co_return p; }(&n)) == &n);
    gives_pointer awaiter{&n};
    int*& reference = weft::sync_wait(awaiter);
    BOOST_TEST(&reference == &awaiter.pointer);
}

BOOST_AUTO_TEST_CASE(it_blocks_until_another_thread_has_completed_the_awaitable) {
    stage s;
    const unsigned here = thread_number();
    unsigned there = 0;
    const int result = weft::sync_wait([](stage& where, unsigned& number) -> weft::task<int> {
        co_await on_new_thread{&where};
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
        number = thread_number();
        co_return 8;
    }(s, there));
    BOOST_TEST(result == 8);
    BOOST_TEST(there != here);
    BOOST_TEST(there != 0u);
}

BOOST_AUTO_TEST_CASE(exceptions_come_from_other_threads_too) {
    stage s;
    BOOST_CHECK_EXCEPTION(weft::sync_wait([](stage& where) -> weft::task<> {
                              co_await on_new_thread{&where};
                              throw std::runtime_error{"it failed"};
                          }(s)),
                          std::runtime_error, says_it_failed);
}

BOOST_AUTO_TEST_CASE(many_waits_end_on_other_threads_while_the_waiter_goes_on) {
    for (int i = 0; i < 300; ++i) {
        stage s;
        BOOST_REQUIRE(weft::sync_wait([](stage& where, int n) -> weft::task<int> {
                          co_await on_new_thread{&where};
                          co_return n;
                      }(s, i)) == i);
    }
}

BOOST_AUTO_TEST_CASE(exceptions_of_each_function_of_an_awaiter_arrive) {
    for (const fails when : {fails::in_ready, fails::in_suspend, fails::in_resume}) {
        stage s;
        calls c;
        scripted<form::returns_void, int> awaiter{s, c, place::inside, when};
        BOOST_CHECK_EXCEPTION(weft::sync_wait(awaiter), awaiter_failure,
                              [when](const awaiter_failure& f) { return f.where == when; });
    }
}

BOOST_AUTO_TEST_CASE(an_exception_of_operator_co_await_arrives) {
    struct refuses {
        plain_awaiter operator co_await() const { throw std::runtime_error{"it failed"}; }
    };
    BOOST_CHECK_EXCEPTION(weft::sync_wait(refuses{}), std::runtime_error, says_it_failed);
}

BOOST_AUTO_TEST_SUITE_END()
