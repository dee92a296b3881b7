// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Fibers in every state, for a debugger to look at when look_here() is called; see checks.py. With the argument `abort`
// the program aborts there, for a core file; with `many` there are thousands of fibers instead. What is looked for in
// backtraces has external linkage and a name without parameters, and is found without debug information, too.

#include <weft/fiber.hpp>
#include <weft/generator.hpp>
#include <weft/stack.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <array>
#include <atomic>
#include <coroutine>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string_view>
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

/// For one fiber.
struct static_stack {
    static weft::stack allocate() noexcept {
        alignas(16) static std::byte memory[128 * 1024];
        return {sizeof memory, memory + sizeof memory};
    }
    static void deallocate(weft::stack&) noexcept {}
};

// Enough for several slabs of records; then every tenth of them is destroyed.
void look_at_many() {
    std::vector<weft::fiber> many;
    for (int i = 0; i != 9000; ++i) many.emplace_back(weft::fiber_options{.name = "many"}, [] {});
    look_here();
    for (std::size_t i = 0; i < many.size(); i += 10) many[i] = {};
    look_here();
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view wanted = argc > 1 ? argv[1] : "";
    wants_core = wanted == "abort";
    if (wanted == "many") {
        look_at_many();
        return 0;
    }
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
    fiber large{fiber_options{.name = "large"}, [captured = std::array<char, 24 * 1024>{}] {
                    asm volatile("" : : "r"(&captured) : "memory");
                    calls_parks();
                }};
    large.resume();

    fiber outer{fiber_options{.name = "outer"}, [](weft::fiber_ref self) {
                    fiber inner{std::allocator_arg, weft::guarded_stack{}, fiber_options{.name = "inner"},
                                [self] { suspends_outer(self); }};
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
                        fiber last{std::allocator_arg, static_stack{}, fiber_options{.name = "last"}, [] {
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
