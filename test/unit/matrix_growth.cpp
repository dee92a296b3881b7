// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "coroutine_types.hpp"
#include "matrix.hpp"

#include <weft/await.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>

// Awaiting tasks that complete at once, again and again, grows neither the body's stack nor the one of whoever resumes
// it, where the compiler makes symmetric transfer a tail call. Where it does not (GCC without optimisation), the body's
// stack still does not grow; the resumer's does, as under an ordinary coroutine that awaits such tasks, until the body
// waits for something that has not completed.

namespace {

int as_many_as_ten_million() {
    if (!transfers_are_tail_calls()) return 1'000; // a stack has to hold them
#if defined(WEFT_TEST_EMULATED) || WEFT_ASAN || WEFT_TSAN
    return 100'000;
#else
    return 10'000'000;
#endif
}

/// The stretch of a stack that a repeated call uses.
struct stretch {
    std::uintptr_t lowest = UINTPTR_MAX, highest = 0;
    void note(std::uintptr_t position) {
        lowest = std::min(lowest, position);
        highest = std::max(highest, position);
    }
    std::size_t length() const { return highest - lowest; }
};

weft::task<std::uintptr_t> position_now() {
    co_return stack_position();
}

struct seen {
    stretch body, resumer;
    std::uintptr_t first = 0, after_a_wait = 0;
};

// A call of its own for each await, so that what an await left on the body's stack would be below the next one.
template <class Await>
[[gnu::noinline]] void await_one(Await& await, seen& s) {
    s.body.note(stack_position());
    s.resumer.note(await(position_now()));
}

template <class R, class Way>
seen measure(int times) {
    seen s;
    stage where;
    outcome<int> result;
    observe(weft::stackful<R>([&](auto& co) {
                const auto await = [&](auto&& operand) -> decltype(auto) {
                    return Way::await(co, std::forward<decltype(operand)>(operand));
                };
                s.first = await(position_now());
                for (int i = 0; i < times; ++i) await_one(await, s);
                await(until_run{&where});
                s.after_a_wait = await(position_now());
                return 0;
            }),
            result);
    finish(where, result.done);
    return s;
}

weft::task<std::size_t> ordinary(int times) {
    stretch s;
    for (int i = 0; i < times; ++i) s.note(co_await position_now());
    co_return s.length();
}

struct by_weft_await {
    template <class Co, class Operand>
    static decltype(auto) await(Co&, Operand&& o) {
        return weft::await(std::forward<Operand>(o));
    }
};
struct by_co_await {
    template <class Co, class Operand>
    static decltype(auto) await(Co& co, Operand&& o) {
        return co.await(std::forward<Operand>(o));
    }
};

template <class R, class Way>
void check() {
    const int times = as_many_as_ten_million();
    const seen s = measure<R, Way>(times);
    const std::size_t after = s.first > s.after_a_wait ? s.first - s.after_a_wait : s.after_a_wait - s.first;
    BOOST_TEST_MESSAGE(times << " awaits: body " << s.body.length() << ", resumer " << s.resumer.length());
    BOOST_TEST(s.body.length() == 0u);
    BOOST_TEST(after < 4096u);
    if (transfers_are_tail_calls())
        BOOST_TEST(s.resumer.length() < 1024u);
    else
        BOOST_TEST(s.resumer.length() <= 3 * weft::sync_wait(ordinary(times)));
}

} // namespace

BOOST_AUTO_TEST_SUITE(ten_million_tasks_that_complete_at_once)

BOOST_AUTO_TEST_CASE(awaited_by_a_task) {
    check<weft::task<int>, by_co_await>();
    check<weft::task<int>, by_weft_await>();
}

BOOST_AUTO_TEST_CASE(awaited_by_a_task_with_await_transform) {
    check<watched<int>, by_co_await>();
    check<watched<int>, by_weft_await>();
}

BOOST_AUTO_TEST_SUITE_END()
