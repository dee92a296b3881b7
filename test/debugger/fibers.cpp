// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Fibers in every state, for a debugger to look at when look_here() is called; see checks.py. With an argument the
// program aborts there, for a core file. What is looked for in backtraces has external linkage and a name without
// parameters, and is found without debug information, too.

#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <atomic>
#include <coroutine>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#define APART extern "C" [[gnu::noinline, gnu::used]]

static bool wants_core = false;

APART void look_here() {
    if (wants_core) std::raise(SIGABRT);
    asm volatile("");
}

APART void look_from_main(const weft::fiber& parked, const weft::fiber& empty, const weft::generator<int>& numbers,
                          const weft::task<>& root, const weft::stack& memory) {
    asm volatile("" : : "r"(&parked), "r"(&empty), "r"(&numbers), "r"(&root), "r"(&memory) : "memory");
}

APART void parks_here() {
    weft::this_fiber::suspend();
    asm volatile("");
}

APART void calls_parks() {
    parks_here();
    asm volatile("");
}

APART void parks_in_crowd() {
    weft::this_fiber::suspend();
    asm volatile("");
}

APART void suspends_outer(weft::fiber_ref outer) {
    outer.suspend();
    asm volatile("");
}

APART void resumes_inner(weft::fiber& inner) {
    inner.resume();
    asm volatile("");
}

APART void resumes_last(weft::fiber& last) {
    last.resume();
    asm volatile("");
}

APART void resumes_elsewhere(weft::fiber& f) {
    f.resume();
    asm volatile("");
}

APART void waits_for_end(std::atomic<int>& stage) {
    stage = 1;
    stage.notify_all();
    stage.wait(1);
    asm volatile("");
}

namespace {

/// Never completes by itself.
struct event {
    std::coroutine_handle<> waiting;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept { waiting = h; }
    void await_resume() const noexcept {}
};

} // namespace

APART void awaits_deep(weft::coroutine_ref<weft::task<>::promise_type>& co, event& e) {
    co.await(e);
    asm volatile("");
}

weft::task<> inner_body(event& e) {
    return weft::stackful<weft::task<>>([&e](auto& co) {
        weft::this_fiber::get().set_name("inner body");
        awaits_deep(co, e);
    });
}

weft::task<> between(event& e) {
    co_await inner_body(e);
}

APART void awaits_between(weft::coroutine_ref<weft::task<>::promise_type>& co, event& e) {
    co.await(between(e));
    asm volatile("");
}

weft::task<> outer_body(event& e) {
    return weft::stackful<weft::task<>>([&e](auto& co) {
        weft::this_fiber::get().set_name("outer body");
        awaits_between(co, e);
    });
}

weft::task<> at_the_root(event& e) {
    co_await outer_body(e);
}

namespace {

struct detached {
    struct promise_type {
        detached get_return_object() const noexcept { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept {}
    };
};

detached start(weft::task<>& t) {
    co_await t;
}

} // namespace

int main(int argc, char**) {
    wants_core = argc > 1;
    using weft::fiber;
    using weft::fiber_options;

    fiber parked{fiber_options{.name = "parked"}, [] { calls_parks(); }};
    parked.resume();
    const weft::generator<int> numbers{[](auto& out) { out.yield(1); }};
    const fiber fresh{fiber_options{.name = "fresh"}, [] {}};
    fiber ended{fiber_options{.name = "ended"}, [] {}};
    ended.resume();
    fiber guarded{std::allocator_arg, weft::guarded_stack{}, fiber_options{.name = "guarded"}, [] { calls_parks(); }};
    guarded.resume();

    fiber outer{fiber_options{.name = "outer"}, [](weft::fiber_ref self) {
                    fiber inner{std::allocator_arg, weft::guarded_stack{}, fiber_options{.name = "inner"},
                                [self] { suspends_outer(self); }}; // found by way of the outer one
                    resumes_inner(inner);
                }};
    outer.resume();

    event never;
    {
        weft::task<> root = at_the_root(never);
        start(root);

        std::optional<std::vector<fiber>> crowd{std::in_place};
        for (int i = 0; i != 200; ++i)
            crowd->emplace_back(fiber_options{.name = "crowd"}, [] { parks_in_crowd(); }).resume();

        std::atomic<int> stage{0};
        std::thread other{[&] {
            fiber elsewhere{fiber_options{.name = "elsewhere"}, [&] { waits_for_end(stage); }};
            resumes_elsewhere(elsewhere);
        }};
        stage.wait(0);

        fiber first{fiber_options{.name = "first"}, [] {
                        fiber last{fiber_options{.name = "last"}, [] {
                                       {
                                           fiber gone{fiber_options{.name = "gone"}, [] { calls_parks(); }};
                                           gone.resume();
                                       }
                                       look_here();
                                   }};
                        resumes_last(last);
                    }};
        first.resume();

        stage = 2;
        stage.notify_all();
        other.join();
        crowd.reset();
        look_from_main(parked, fiber{}, numbers, root, weft::stack{4096, reinterpret_cast<void*>(0x10000)});
        never.waiting.resume();
    }
    look_from_main(parked, fiber{}, numbers, weft::task<>{}, weft::stack{});
    return parked.done() || !ended.done();
}
