// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "awaiters.hpp"

#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <typeinfo>
#include <utility>

// Every form of awaiter, completed at every place, with every outcome, awaited in a stackful body: it must be called as
// an ordinary coroutine calls it.

struct by_co {
    template <class Co, class Awaiter>
    static decltype(auto) await(Co& co, Awaiter& awaiter) {
        return co.await(awaiter);
    }
};

template <form Form, class T>
weft::task<bool> awaited_by_an_ordinary_coroutine(scripted<Form, T>& awaiter) {
    if constexpr (std::is_void_v<T>) {
        co_await awaiter;
        co_return true;
    } else {
        decltype(auto) result = co_await awaiter;
        co_return sample<T>::is(std::forward<decltype(result)>(result));
    }
}

/// Runs until the observed coroutine has ended.
inline void finish(stage& s, const std::atomic<bool>& done) {
    while (!done) {
        s.run();
        s.join();
    }
    s.join(); // a thread that has ended the coroutine may still be on its way out of it
}

/// What runs one case: an ordinary coroutine, or a stackful body, which tells where its stack is.
using runs_case = void(stage&, calls&, outcome<bool>&, std::uintptr_t& body_stack, place, fails);

template <form Form, class T>
void in_an_ordinary_coroutine(stage& s, calls& c, outcome<bool>& result, std::uintptr_t&, place where, fails when) {
    scripted<Form, T> awaiter{s, c, where, when};
    observe(awaited_by_an_ordinary_coroutine(awaiter), result);
    finish(s, result.done);
}

template <class R, class Way, form Form, class T>
void in_a_body(stage& s, calls& c, outcome<bool>& result, std::uintptr_t& body_stack, place where, fails when) {
    using co_type = weft::coroutine_ref<typename R::promise_type>;
    const std::function<bool(co_type&)> body = [&](co_type& co) {
        body_stack = stack_position();
        scripted<Form, T> awaiter{s, c, where, when};
        if constexpr (std::is_void_v<T>) {
            Way::await(co, awaiter);
            return true;
        } else {
            decltype(auto) value = Way::await(co, awaiter);
            return sample<T>::is(std::forward<decltype(value)>(value));
        }
    };
    // A mapping of its own: what touches the stack of a body that is gone, faults.
    observe(weft::stackful<R>(std::allocator_arg, weft::guarded_stack{64 * 1024}, body), result);
    finish(s, result.done);
}

// What is no template is compiled once, and not for each type of result, form and coroutine.
inline void one_case(const char* type, form shape, runs_case& ordinary, runs_case& stackful, place where, fails when) {
    BOOST_TEST_CONTEXT("result " << type << ", form " << static_cast<int>(shape) << ", completes " << where << ", fails "
                                 << when) {
        stage s;
        std::uintptr_t body_stack = 0;
        calls expected_calls;
        outcome<bool> expected;
        ordinary(s, expected_calls, expected, body_stack, where, when);

        calls c;
        outcome<bool> result;
        stackful(s, c, result, body_stack, where, when);

        BOOST_TEST(c.ready.load() == expected_calls.ready.load());
        BOOST_TEST(c.suspend.load() == expected_calls.suspend.load());
        BOOST_TEST(c.resume.load() == expected_calls.resume.load());
        BOOST_TEST(near(c.ready_stack, body_stack));
        if (c.suspend) BOOST_TEST(!near(c.suspend_stack, body_stack));
        if (c.resume) BOOST_TEST(near(c.resume_stack, body_stack));

        BOOST_TEST(!result.failure == !expected.failure);
        BOOST_TEST(result.value.has_value() == expected.value.has_value());
        if (result.value) BOOST_TEST(*result.value);
        if (result.failure) {
            try {
                std::rethrow_exception(result.failure);
            } catch (const awaiter_failure& f) {
                BOOST_TEST(f.where == when);
            }
        }
    }
}

template <class R, class Way, form Form, class T>
void all_cases() {
    for (const place where : all_places)
        for (const fails when : all_fails)
            one_case(typeid(T).name(), Form, in_an_ordinary_coroutine<Form, T>, in_a_body<R, Way, Form, T>, where, when);
}

template <class R, class Way, class T>
void all_forms() {
    all_cases<R, Way, form::returns_void, T>();
    all_cases<R, Way, form::returns_bool, T>();
    all_cases<R, Way, form::returns_handle, T>();
}

template <class R, class Way>
void whole_matrix() {
    all_forms<R, Way, void>();
    all_forms<R, Way, int>();
    all_forms<R, Way, int&>();
    all_forms<R, Way, std::unique_ptr<int>>();
    all_forms<R, Way, std::unique_ptr<int>&&>();
}
