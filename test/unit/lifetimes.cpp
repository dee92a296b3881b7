// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What an await returns may refer to the awaiter, or to what await_transform returned: they live to the end of the
// full-expression, as with co_await in a plain coroutine, which leaves the same trace.

#include "awaiters.hpp"
#include "coroutine_types.hpp"

#include <weft/await.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

std::string trace;

/// Leaves a trace of its life.
struct traced {
    const char* name;
    explicit traced(const char* n) : name(n) { trace += std::string("+") + name + " "; }
    traced(const traced&) = delete;
    ~traced() { trace += std::string("-") + name + " "; }
};

/// Gives a T that refers to its own text. Suspends or is ready.
template <class T>
struct referring : traced {
    std::string text = "a text that is too long to be kept in place";
    bool ready;
    referring(const char* n, bool is_ready) : traced(n), ready(is_ready) {}
    ~referring() { text = "gone"; }

    bool await_ready() const noexcept { return ready; }
    bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
    T await_resume() { return static_cast<T>(text); }
};

// Operands whose awaiter comes by value: from a member, from a function, from await_transform, from both.
template <class T>
struct by_member : traced {
    bool ready;
    explicit by_member(bool r) : traced("operand"), ready(r) {}
    referring<T> operator co_await() const { return {"awaiter", ready}; }
};
template <class T>
struct by_function : traced {
    bool ready;
    explicit by_function(bool r) : traced("operand"), ready(r) {}
};
template <class T>
referring<T> operator co_await(const by_function<T>& operand) {
    return {"awaiter", operand.ready};
}
template <class T>
struct to_awaiter {
    bool ready;
};
template <class T>
struct to_operand {
    bool ready;
};

/// A task whose promise makes operands of those.
struct transforming {
    struct promise_type : ending_promise<int, promise_type> {
        transforming get_return_object() { return transforming{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        template <class T>
        referring<T> await_transform(to_awaiter<T> o) {
            return {"awaiter", o.ready};
        }
        template <class T>
        by_member<T> await_transform(to_operand<T> o) {
            return by_member<T>(o.ready);
        }
        template <class T>
        const by_member<T>& await_transform(const by_member<T>& o) {
            return o;
        }
        template <class T>
        const by_function<T>& await_transform(const by_function<T>& o) {
            return o;
        }
    };
    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine.get()}; }

    explicit transforming(std::coroutine_handle<promise_type> h) : coroutine{h} {}
    owned_handle<promise_type> coroutine;
};

/// A task of int whose promise has no await_transform.
using untransforming = symmetric<int>;

void use(std::string_view text) {
    trace += text == "a text that is too long to be kept in place" ? "used " : "DANGLES ";
}
int use_both(std::string_view a, std::string_view b) {
    use(a);
    use(b);
    return 0;
}

template <class R, class Operand>
std::string plainly(bool ready) {
    trace.clear();
    weft::sync_wait([](bool is_ready) -> R {
        use(co_await Operand{is_ready});
        trace += "; ";
        co_return 0;
    }(ready));
    return trace;
}
template <class R, class Operand>
std::string by_co(bool ready) {
    trace.clear();
    weft::sync_wait(weft::stackful<R>([&](auto& co) {
        use(co.await(Operand{ready}));
        trace += "; ";
        return 0;
    }));
    return trace;
}
template <class R, class Operand>
std::string by_weft(bool ready) {
    trace.clear();
    weft::sync_wait(weft::stackful<R>([&](auto&) {
        use(weft::await(Operand{ready}));
        trace += "; ";
        return 0;
    }));
    return trace;
}
template <class Operand>
std::string by_sync_wait(bool ready) {
    trace.clear();
    use(weft::sync_wait(Operand{ready}));
    trace += "; ";
    return trace;
}

// GCC makes the arguments of a call from right to left on x86-64: there a temporary operand ends before its awaiter.
std::string as_this_compiler_does(std::string expected) {
    if (weft::detail::storage_outlives_operand)
        if (const auto at = expected.find("-awaiter -operand "); at != expected.npos)
            expected.replace(at, 18, "-operand -awaiter ");
    return expected;
}

template <class T>
void check_ways() {
    for (const bool ready : {true, false}) {
        const std::string member = as_this_compiler_does(plainly<untransforming, by_member<T>>(ready));
        BOOST_TEST(member.find("DANGLES") == member.npos);
        BOOST_TEST((by_co<untransforming, by_member<T>>(ready)) == member);
        BOOST_TEST((by_weft<untransforming, by_member<T>>(ready)) == member);
        BOOST_TEST(by_sync_wait<by_member<T>>(ready) == member);

        const std::string function = as_this_compiler_does(plainly<untransforming, by_function<T>>(ready));
        BOOST_TEST((by_co<untransforming, by_function<T>>(ready)) == function);
        BOOST_TEST((by_weft<untransforming, by_function<T>>(ready)) == function);
        BOOST_TEST(by_sync_wait<by_function<T>>(ready) == function);

        BOOST_TEST((by_co<transforming, by_member<T>>(ready)) ==
                   as_this_compiler_does(plainly<transforming, by_member<T>>(ready)));
        BOOST_TEST((by_co<transforming, to_awaiter<T>>(ready)) == (plainly<transforming, to_awaiter<T>>(ready)));
        BOOST_TEST((by_co<transforming, to_operand<T>>(ready)) == (plainly<transforming, to_operand<T>>(ready)));
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(results)

BOOST_AUTO_TEST_CASE(by_reference_refer_to_an_awaiter_that_lives) {
    check_ways<std::string&>();
}
BOOST_AUTO_TEST_CASE(by_constant_reference_refer_to_an_awaiter_that_lives) {
    check_ways<const std::string&>();
}
BOOST_AUTO_TEST_CASE(by_rvalue_reference_refer_to_an_awaiter_that_lives) {
    check_ways<std::string&&>();
}
BOOST_AUTO_TEST_CASE(that_are_views_refer_to_an_awaiter_that_lives) {
    check_ways<std::string_view>();
}

BOOST_AUTO_TEST_CASE(have_the_type_that_the_awaiter_gives) {
    weft::sync_wait(weft::stackful<untransforming>([](auto& co) {
        static_assert(std::is_same_v<decltype(co.await(by_member<std::string&&>(true))), std::string&&>);
        static_assert(std::is_same_v<decltype(weft::await(by_member<std::string&&>(true))), std::string&&>);
        static_assert(std::is_same_v<decltype(weft::sync_wait(by_member<std::string&&>(true))), std::string&&>);
        static_assert(std::is_same_v<decltype(co.await(by_member<const std::string&>(true))), const std::string&>);
        static_assert(std::is_same_v<decltype(co.await(by_member<std::string_view>(true))), std::string_view>);
        return 0;
    }));
}

BOOST_AUTO_TEST_CASE(of_two_awaits_in_one_call_live_together) {
    weft::sync_wait(weft::stackful<untransforming>([](auto& co) {
        const by_member<std::string&> a(false), b(true);
        use_both(co.await(a), weft::await(b));
        trace.clear();
        return use_both(co.await(a), co.await(b));
    }));
    BOOST_TEST(trace == "+awaiter +awaiter used used -awaiter -awaiter -operand -operand ");
}

BOOST_AUTO_TEST_CASE(can_be_ranges) {
    struct range {
        std::vector<int> numbers{1, 2, 3};
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
        std::vector<int>& await_resume() { return numbers; }
    };
    struct owned_range : range {
        std::vector<int> await_resume() { return numbers; }
    };
    const int sum = weft::sync_wait(weft::stackful<weft::task<int>>([](auto& co) {
        int n = 0;
        range named;
        for (const int i : co.await(named)) n = 10 * n + i;
        for (const int i : co.await(owned_range{})) n = 10 * n + i;
        for (const int i : weft::await(owned_range{})) n = 10 * n + i;
        return n;
    }));
    BOOST_TEST(sum == 123'123'123);
}

BOOST_AUTO_TEST_CASE(that_cannot_be_moved_are_made_where_they_are_wanted) {
    struct immovable {
        int n;
        explicit immovable(int i) : n(i) {}
        immovable(const immovable&) = delete;
    };
    struct gives_it {
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
        immovable await_resume() const { return immovable(5); }
    };
    BOOST_TEST(weft::sync_wait(gives_it{}).n == 5);
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) {
        BOOST_TEST(co.await(gives_it{}).n == 5);
        BOOST_TEST(weft::await(gives_it{}).n == 5);
    }));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(destructors)

/// The awaiter of a temporary, which its destructor needs.
struct registry : traced {
    int registered = 0;
    registry() : traced("operand") {}
    ~registry() { trace += registered == 0 ? "empty " : "NOT EMPTY "; }
    struct awaiter {
        registry& to;
        explicit awaiter(registry& r) : to(r) { ++to.registered; }
        awaiter(const awaiter&) = delete;
        ~awaiter() { --to.registered; }
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
        int await_resume() const noexcept { return 7; }
    };
    awaiter operator co_await() { return awaiter(*this); }
};

BOOST_AUTO_TEST_CASE(of_awaiters_with_a_result_that_is_a_number_find_their_temporary_operand) {
    trace.clear();
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) {
        BOOST_TEST(co.await(registry()) == 7);
        BOOST_TEST(weft::await(registry()) == 7);
    }));
    BOOST_TEST(weft::sync_wait(registry()) == 7);
    BOOST_TEST(trace == "+operand empty -operand +operand empty -operand +operand empty -operand ");
}

struct throws_in : traced {
    fails where;
    explicit throws_in(fails w) : traced("awaiter"), where(w) {
        if (where == fails::nowhere) throw std::runtime_error("in the constructor");
    }
    static bool fail(bool now) { return now ? throw std::runtime_error("it failed") : false; }
    bool await_ready() const { return fail(where == fails::in_ready); }
    bool await_suspend(std::coroutine_handle<>) const { return fail(where == fails::in_suspend); }
    throws_in& await_resume() {
        fail(where == fails::in_resume);
        return *this;
    }
};
struct makes_what_throws {
    fails where;
    throws_in operator co_await() const { return throws_in(where); }
};

BOOST_AUTO_TEST_CASE(run_once_whichever_function_throws) {
    for (const fails where : all_fails) {
        weft::sync_wait(weft::stackful<weft::task<>>([&](auto& co) {
            trace.clear();
            BOOST_CHECK_THROW(co.await(makes_what_throws{where}), std::runtime_error);
            BOOST_CHECK_THROW(weft::await(makes_what_throws{where}), std::runtime_error);
        }));
        BOOST_CHECK_THROW(weft::sync_wait(makes_what_throws{where}), std::runtime_error);
        BOOST_TEST(trace == "+awaiter -awaiter +awaiter -awaiter +awaiter -awaiter ");
    }
}

struct parks : referring<std::string&> {
    parks() : referring("awaiter", false) {}
    void await_suspend(std::coroutine_handle<>) const noexcept {}
};
struct makes_what_parks {
    parks operator co_await() const { return {}; }
};

BOOST_AUTO_TEST_CASE(run_once_if_the_body_is_destroyed_in_the_await) {
    for (const bool ambient : {false, true}) {
        trace.clear();
        outcome<void> result;
        const observer o = observe(weft::stackful<weft::task<>>([&](auto& co) {
                                       use(ambient ? weft::await(makes_what_parks{}) : co.await(makes_what_parks{}));
                                   }),
                                   result);
        BOOST_TEST(trace == "+awaiter ");
        o.handle.destroy();
        BOOST_TEST(trace == "+awaiter -awaiter ");
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(yields)

/// Its co_yield gives a reference into an awaiter that yield_value returns by value.
struct talk {
    struct promise_type {
        int asked = 0;
        talk get_return_object() { return talk{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        by_member<std::string&> yield_value(int n) {
            ++asked;
            return by_member<std::string&>(n % 2);
        }
        std::suspend_always yield_value(const char*) {
            ++asked;
            return {};
        }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    explicit talk(std::coroutine_handle<promise_type> h) : coroutine{h} {}
    owned_handle<promise_type> coroutine;
};

BOOST_AUTO_TEST_CASE(give_references_into_an_awaiter_that_lives) {
    trace.clear();
    const auto plain = []() -> talk {
        use(co_yield 1);
        trace += "; ";
        use(co_yield 2);
    }();
    plain.coroutine.get().resume();
    const std::string expected = trace;
    trace.clear();
    const auto stackful = weft::stackful<talk>([](auto& co) {
        use(co.yield(1));
        trace += "; ";
        use(co.yield(2));
    });
    stackful.coroutine.get().resume();
    BOOST_TEST(trace == expected);
    BOOST_TEST(trace.find("DANGLES") == trace.npos);
}

BOOST_AUTO_TEST_CASE(do_not_ask_the_promise_of_a_coroutine_that_is_being_destroyed) {
    int asked = 0;
    {
        const auto left = weft::stackful<talk>([&](auto& co) {
            try {
                co.yield("suspended");
            } catch (const weft::forced_unwind&) {
                BOOST_CHECK_THROW(co.yield("again"), weft::forced_unwind);
                asked = co.promise().asked;
                throw;
            }
        });
        left.coroutine.get().resume();
    }
    BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_SUITE_END()
