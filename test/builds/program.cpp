// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program that uses every layer of weft and checks what it sees: compiled once for each of the builds of builds.py,
// with the library's sources compiled alike or not. `abandon`, `misuse` and `mixed` do one thing that ends some of
// them.
//
// UNWINDS is 0 if this file, or the library, is compiled without exceptions.

#if UNWINDS
#    include "../unit/foreign.hpp"
#endif

#include <weft/fiber_context.hpp>
#include <weft/migration.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/switch.hpp>
#include <weft/weft.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <pthread.h>

#if defined(__cpp_lib_jthread) // stop tokens, which not every standard library has
#    define WITH_SENDERS 1
#    define WEFT_EXECUTION_NAMESPACE small_senders
#    include "../unit/small_senders.hpp"
#    include <weft/senders.hpp>
#else
#    define WITH_SENDERS 0
#endif

weft::fiber fiber_of_another_file(weft::fiber_ref outer); // other.cpp: suspends `outer`

namespace {

std::atomic<int> failures{0};
#define CHECK(...) check((__VA_ARGS__), #__VA_ARGS__, __LINE__)
void check(bool right, const char* what, int line) {
    if (right) return;
    std::fprintf(stderr, "line %d: %s\n", line, what);
    ++failures;
}

// On whatever thread it is called: compilers take pthread_self() for constant within a function.
[[gnu::noinline]] pthread_t thread_now() {
    asm volatile("" ::: "memory");
    return ::pthread_self();
}

template <class Fn>
void on_a_thread(Fn fn) {
    std::thread{std::move(fn)}.join();
}

// Counts its living objects.
struct counted {
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    ~counted() { --alive; }
    static inline std::atomic<int> alive{0};
};

// ---------------------------------------------------------------------------------------------------------------------

void fibers() {
    int steps = 0;
    weft::fiber f{[&, part = std::make_unique<int>(1)](weft::fiber_ref self) {
        for (int i = 0; i < 1000; ++i) {
            steps += *part;
            self.suspend();
        }
    }};
    while (!f.done()) f.resume();
    CHECK(steps == 1000);

    std::string order;
    weft::fiber outer{std::allocator_arg, weft::guarded_stack{128 * 1024}, [&](weft::fiber_ref self) {
                          weft::fiber inner{[&] {
                              order += 'a';
                              weft::this_fiber::suspend();
                              order += 'b';
                              self.suspend(); // both
                              order += 'c';
                          }};
                          while (!inner.done()) {
                              inner.resume();
                              order += '.';
                          }
                      }};
    outer.resume();
    order += '|';
    CHECK(order == "a.b|");
    outer.resume();
    CHECK(order == "a.b|c." && outer.done());

    weft::stack_pool pool{64 * 1024, 2};
    for (int round = 0; round < 3; ++round) {
        std::vector<weft::fiber> many;
        for (int i = 0; i < 20; ++i)
            many.emplace_back(std::allocator_arg, pool.allocator(),
                              weft::fiber_options{.floating_point = weft::fp_env::per_fiber, .name = "one of many"},
                              [&](weft::fiber_ref self) {
                                  ++steps;
                                  self.suspend();
                                  ++steps;
                              });
        for (weft::fiber& each : many) each.resume();
        CHECK(std::string_view{many.back().name()} == "one of many" && weft::stack_usage(many[0]) != 0);
        for (weft::fiber& each : many) each.resume();
    }
    CHECK(steps == 1000 + 3 * 20 * 2 && pool.idle() == 2);
}

struct tree {
    std::unique_ptr<tree> left, right;
    int value = 0;
};
std::unique_ptr<tree> grow(int from, int to) {
    if (from >= to) return nullptr;
    const int middle = (from + to) / 2;
    return std::make_unique<tree>(grow(from, middle), grow(middle + 1, to), middle);
}
void walk(const tree* t, weft::yielder<int>& out) {
    if (!t) return;
    walk(t->left.get(), out);
    out.yield(t->value);
    walk(t->right.get(), out);
}

void generators() {
    const auto root = grow(0, 500);
    int next = 0;
    for (const int v : weft::generator<int>{[&](auto& out) { walk(root.get(), out); }}) CHECK(v == next++);
    CHECK(next == 500);
}

// ---------------------------------------------------------------------------------------------------------------------

weft::task<int> number(int n) {
    co_return n;
}

// Whoever likes to may resume it.
struct until_resumed {
    std::coroutine_handle<>& waiting;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { waiting = h; }
    void await_resume() const noexcept {}
};

// Begins at once, and ends wherever it comes to its end.
struct started {
    struct promise_type {
        started get_return_object() const noexcept { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::abort(); }
    };
};
started start(weft::task<void>& t, bool& done) {
    co_await t;
    done = true;
}

// Wants the handle of a coroutine with a promise.
struct choosy {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) const noexcept {
        static_assert(!std::is_void_v<Promise>);
        return !h;
    }
    int await_resume() const noexcept { return 3; }
};

// A generator of coroutines that may await nothing.
struct pull {
    struct promise_type {
        int value = 0;
        pull get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        std::suspend_always yield_value(int v) noexcept {
            value = v;
            return {};
        }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::abort(); }
        template <class U>
        void await_transform(U&&) = delete;
    };
    std::coroutine_handle<promise_type> handle;
};

int compare(const void* a, const void* b) {
    return weft::await(number(*static_cast<const int*>(a))) - weft::await(number(*static_cast<const int*>(b)));
}

weft::task<int> sorted() {
    return weft::stackful([](auto&) {
        std::array<int, 50> values;
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i * 37 % values.size());
        std::qsort(values.data(), values.size(), sizeof(int), &compare);
        return std::is_sorted(values.begin(), values.end()) ? 1 : 0;
    });
}

void bodies() {
    int sum = 0;
    weft::task<int> t = weft::stackful([&](auto& co) {
        for (int i = 0; i < 100; ++i) sum += co.await(number(i)) + weft::await(number(1));
        co.await(std::suspend_never{});
        return sum + weft::await(choosy{}) + co.await(choosy{});
    });
    CHECK(weft::sync_wait(t) == 4950 + 100 + 6);
    CHECK(weft::sync_wait(sorted()) == 1);

    const pthread_t here = thread_now();
    for (const bool ambient : {false, true}) {
        std::coroutine_handle<> waiting;
        bool done = false;
        weft::task<void> away = weft::stackful([&](auto& co) {
            const weft::fiber_ref self = weft::this_fiber::get();
            if (ambient)
                weft::await(until_resumed{waiting});
            else
                co.await(until_resumed{waiting});
            CHECK(thread_now() != here && weft::this_fiber::get() == self);
            CHECK(weft::await(number(5)) == 5);
        });
        start(away, done);
        CHECK(!done && waiting);
        on_a_thread([&] { waiting.resume(); });
        CHECK(done && thread_now() == here);
    }

    const pull numbers = weft::stackful<pull>([](auto& co) {
        for (int i = 1; i <= 10; ++i) co.yield(i);
    });
    for (int i = 1; i <= 10; ++i) {
        numbers.handle.resume();
        CHECK(numbers.handle.promise().value == i);
    }
    numbers.handle.resume();
    CHECK(numbers.handle.done());
    numbers.handle.destroy();
}

#if WITH_SENDERS
void senders() {
    weft::task<int> t = weft::stackful([](auto& co) {
        return co.await(small_senders::just(40)) + weft::await(small_senders::just(2));
    });
    CHECK(weft::sync_wait(t) == 42);
    std::stop_source source;
    source.request_stop();
    weft::task<bool> asks = weft::stackful([](auto&) { return weft::this_fiber::get_stop_token().stop_requested(); });
    CHECK(weft::sync_wait(asks, source.get_token()));
}
#endif

// ---------------------------------------------------------------------------------------------------------------------

void migration() {
    // The same statement is resumed on one thread after the other: nothing of a thread may be remembered.
    std::atomic<int> right{0};
    weft::fiber f{[&](weft::fiber_ref self) {
        for (int i = 0; i < 30; ++i) {
            const pthread_t before = thread_now();
            if (i % 2 == 0)
                self.suspend();
            else
                weft::this_fiber::suspend();
            right += thread_now() != before && weft::this_fiber::get() == self;
        }
    }};
    f.resume();
    for (int i = 0; i < 15; ++i) {
        on_a_thread([&] { f.resume(); });
        f.resume();
    }
    CHECK(f.done() && right == 30);

    std::atomic<int> total{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                weft::task<void> t = weft::stackful([&](auto& co) {
                    for (int k = 0; k < 20; ++k) total += co.await(number(1));
                });
                weft::sync_wait(t);
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(total == 4 * 50 * 20);
}

void contexts() {
    int sum = 0;
    weft::fiber_context other{[&](weft::fiber_context&& caller) {
        for (int i = 1; i <= 4; ++i) {
            sum += i;
            caller = std::move(caller).resume();
        }
        return std::move(caller);
    }};
    for (int i = 0; i < 4; ++i) other = std::move(other).resume();
    other = std::move(other).resume_with([&](weft::fiber_context&& caller) {
        sum *= 2;
        return std::move(caller);
    });
    CHECK(sum == 20 && !other);

    alignas(64) static std::byte memory[32 * 1024];
    weft::context c = weft::make_context(memory + sizeof memory, sizeof memory, [](weft::transfer t) {
        for (;;) {
            ++*static_cast<int*>(t.data);
            t = weft::jump_context(t.from, t.data);
        }
    });
    for (int i = 0; i < 10; ++i) c = weft::jump_context(c, &sum).from;
    CHECK(sum == 30);
}

// ---------------------------------------------------------------------------------------------------------------------

#if UNWINDS
struct own_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class Error, class Fn>
bool throws(Fn fn) {
    try {
        fn();
    } catch (const Error&) {
        return true;
    }
    return false;
}

// Suspends while an exception passes.
struct suspends_at_exit {
    ~suspends_at_exit() { weft::this_fiber::suspend(); }
};

void exceptions() {
    CHECK(throws<weft::not_in_fiber>([] { weft::this_fiber::suspend(); }));
    CHECK(throws<weft::not_in_fiber>([] { weft::await(number(1)); }));
    CHECK(throws<weft::fiber_error>([] { weft::fiber{}.resume(); }));
    CHECK(throws<std::logic_error>([] { weft::fiber{}.resume(); }));
    CHECK(throws<std::invalid_argument>([] { weft::guarded_stack{1}; }));
    CHECK(throws<std::bad_alloc>([] { // two such cannot be, on any system
        weft::stack_pool pool{~std::size_t{0} / 2 - 1024 * 1024};
        pool.allocate();
        pool.allocate();
    }));

    weft::fiber thrower{[] { throw own_error{"of a fiber"}; }};
    CHECK(throws<own_error>([&] { thrower.resume(); }) && thrower.done());

    // What is no C++ exception.
    CHECK(weft_test::lets_foreign_out([] { weft::fiber{[] { weft_test::raise_foreign(); }}.resume(); }));
#if defined(__GLIBC__) && defined(_LIBCPP_VERSION) // unit.fiber has it with the other C++ library
    on_a_thread([] {
        const counted of_the_thread;
        weft::fiber f{[] {
            const counted of_the_body;
            pthread_exit(nullptr);
        }};
        f.resume();
    });
    CHECK(counted::alive == 0);
#endif

    // Each fiber has its own exceptions, and so has the thread. (The warning that one migrates is not wanted.)
    weft::set_migration_handler([](const weft::migration_report&) noexcept {});
    std::string seen;
    const auto handles = [&](const char* name) {
        return [&seen, name](weft::fiber_ref self) {
            try {
                try {
                    throw own_error{name};
                } catch (...) {
                    self.suspend();
                    CHECK(std::current_exception() != nullptr);
                    self.suspend();
                    throw;
                }
            } catch (const own_error& e) {
                seen += e.what();
            }
        };
    };
    weft::fiber a{handles("a")}, b{handles("b")};
    try {
        throw own_error{"main"};
    } catch (...) {
        a.resume();
        b.resume();
        CHECK(throws<own_error>([] { throw; }));
    }
    CHECK(std::current_exception() == nullptr);
    a.resume();
    b.resume();
    on_a_thread([&] { a.resume(); }); // one of them elsewhere
    b.resume();
    CHECK(seen == "ab" && a.done() && b.done());

    weft::fiber passing{[] {
        try {
            suspends_at_exit guard;
            throw own_error{"passing"};
        } catch (const own_error&) {
            CHECK(std::uncaught_exceptions() == 0);
        }
    }};
    passing.resume();
    CHECK(std::uncaught_exceptions() == 0);
    on_a_thread([&] {
        CHECK(std::uncaught_exceptions() == 0);
        passing.resume();
    });
    CHECK(passing.done() && std::uncaught_exceptions() == 0);

    // Unwinding, through the frames of two fibers.
    {
        weft::fiber outer{[&](weft::fiber_ref self) {
            const counted one;
            weft::fiber inner{[&] {
                const counted two;
                try {
                    self.suspend();
                } catch (...) {
                    seen += 'u';
                    throw;
                }
            }};
            inner.resume();
        }};
        outer.resume();
        CHECK(counted::alive == 2);
    }
    CHECK(counted::alive == 0 && seen == "abu");

    // Across the bridge, both ways.
    const auto fails = []() -> weft::task<int> {
        throw own_error{"of a task"};
        co_return 0;
    };
    weft::task<void> t = weft::stackful([&](auto& co) {
        CHECK(throws<own_error>([&] { co.await(fails()); }));
        CHECK(throws<own_error>([&] { weft::await(fails()); }));
        try {
            throw own_error{"held"};
        } catch (...) {
            CHECK(co.await(number(7)) == 7);
            throw;
        }
    });
    CHECK(throws<own_error>([&] { weft::sync_wait(t); }));

    weft::fiber_context other{[&](weft::fiber_context&& caller) {
        weft::fiber_context back;
        try {
            throw own_error{"in a fiber_context"};
        } catch (const own_error&) {
            caller = std::move(caller).resume();
            CHECK(throws<own_error>([] { throw; }));
        }
        return std::move(caller);
    }};
    other = std::move(other).resume();
    CHECK(std::current_exception() == nullptr);
    other = std::move(other).resume();
}
#endif

// ---------------------------------------------------------------------------------------------------------------------
// What some builds do not survive.

void abandon() {
    const counted all;
    {
        weft::fiber f{[](weft::fiber_ref self) {
            const counted local;
            self.suspend();
        }};
        f.resume();
        weft::fiber never{[part = counted{}] {}}; // to be destroyed without running: always allowed
    }
    CHECK(counted::alive == 1);
}

void misuse() {
    weft::fiber f{[] {}};
    f.resume();
    f.resume();
}

// A fiber of this file waits for one of another, which was compiled without exceptions.
void mixed() {
    weft::fiber outer{[](weft::fiber_ref self) {
        weft::fiber inner = fiber_of_another_file(self);
        inner.resume(); // suspends both
    }};
    outer.resume();
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "abandon") {
        abandon();
    } else if (what == "misuse") {
        misuse();
    } else if (what == "mixed") {
        mixed();
    } else {
        fibers();
        generators();
        bodies();
#if WITH_SENDERS
        senders();
#endif
        migration();
        contexts();
#if UNWINDS
        exceptions();
#endif
    }
    if (failures != 0) return 1;
    std::puts(UNWINDS ? "all is well" : "all is well, without exceptions");
    return 0;
}
