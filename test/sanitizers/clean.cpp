// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program without an error, in which control changes stacks in all the ways that weft has. No sanitizer may say
// anything. It prints nothing and uses little of the C++ library, which need not be instrumented.

#include "jumps.hpp"
#include "malloced_stacks.hpp"

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/generator.hpp>
#include <weft/migration.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <array>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace {

void require(bool right, const char* what) {
    if (right) return;
    std::puts(what);
    std::abort();
}
#define REQUIRE(condition) require(condition, #condition)

/// Uses stack, and depends on what it wrote there.
template <class Fn>
[[gnu::noinline]] int below(int frames, Fn fn) {
    volatile int local[16];
    asm volatile("" : : "r"(local)); // it is known elsewhere: or a compiler may find that nobody needs to watch it
    for (int i = 0; i < 16; ++i) local[i] = frames + i;
    int sum = frames == 0 ? fn() : below(frames - 1, fn);
    for (int i = 0; i < 16; ++i) sum += local[i] - frames - i;
    return sum;
}

void resumed_and_suspended() {
    for (int round = 0; round < 50; ++round) {
        int steps = 0;
        weft::fiber f{[&](weft::fiber_ref self) {
            for (int i = 0; i < 5; ++i)
                steps += below(i, [&] {
                    self.suspend();
                    return 1;
                });
        }};
        while (!f.done()) below(3, [&] { return f.resume(), 0; });
        REQUIRE(steps == 5);
    }
}

struct thrown {
    int value;
};

volatile bool can_throw = true;
int fail(int value) {
    if (can_throw) throw thrown{value};
    return value;
}

void exceptions_in_fibers() {
    for (int round = 0; round < 20; ++round) {
        weft::fiber f{[round](weft::fiber_ref self) {
            try {
                below(10, [&] { return fail(round); });
            } catch (const thrown& t) {
                self.suspend();
                REQUIRE(t.value == round);
                try {
                    throw;
                } catch (const thrown& again) {
                    self.suspend();
                    REQUIRE(again.value == round);
                }
            }
            below(5, [&] { return fail(-round); });
        }};
        int caught = 1;
        try {
            while (!f.done()) f.resume();
        } catch (const thrown& t) {
            caught = t.value;
        }
        REQUIRE(caught == -round);
    }
}

struct counts_ends {
    int& ends;
    ~counts_ends() { ++ends; }
};

void unwound_where_they_wait() {
    int ends = 0;
    for (int round = 0; round < 20; ++round) {
        weft::fiber f{[&](weft::fiber_ref self) {
            const counts_ends one{ends};
            const auto memory = std::make_unique<int>(round);
            weft::fiber inner{[&] {
                const counts_ends two{ends};
                below(10, [&] { return self.suspend(), *memory; });
            }};
            try {
                inner.resume();
            } catch (...) {
                ++ends;
                throw;
            }
        }};
        f.resume();
        weft::fiber never{[] {}};
    }
    REQUIRE(ends == 60);
}

void ranges() {
    int sum = 0;
    for (const int n : weft::generator<int>{[](auto& out) {
             for (int i = 0; i < 100; ++i) below(3, [&] { return out.yield(i + 0), 0; });
         }}) {
        sum += n;
        if (n == 70) break;
    }
    REQUIRE(sum == 70 * 71 / 2);
}

/// Hands its coroutine to a thread of its own.
struct elsewhere {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
        keep(std::thread{[h] { h.resume(); }});
    }
    void await_resume() const noexcept {}

    static void keep(std::thread t) {
        const std::lock_guard lock{mutex};
        running[count++] = std::move(t);
    }
    /// Each is kept by the one before.
    static void join() {
        for (int i = 0; i < 64; ++i) {
            std::thread t;
            {
                const std::lock_guard lock{mutex};
                t = std::move(running[i]);
            }
            if (t.joinable()) t.join();
        }
        count = 0;
    }

    static inline std::mutex mutex;
    static inline std::thread running[64];
    static inline int count = 0;
};

weft::task<int> one_more(int n) {
    co_await elsewhere{};
    co_return n + 1;
}

void bodies_on_many_threads() {
    const int result = weft::sync_wait(weft::stackful<weft::task<int>>([](auto& co) {
        int n = 0;
        for (int i = 0; i < 10; ++i) {
            n = below(4, [&] { return weft::await(one_more(n)); });
            try {
                throw thrown{n};
            } catch (const thrown& t) {
                n = co.await(one_more(t.value));
            }
            co.await(std::suspend_never{});
        }
        return n;
    }));
    elsewhere::join();
    REQUIRE(result == 20);
}

void handed_from_thread_to_thread() {
    int steps = 0;
    weft::fiber f{[&](weft::fiber_ref self) {
        for (;;) below(2, [&] { return ++steps, self.suspend(), 0; });
    }};
    for (int i = 0; i < 10; ++i) std::thread{[&] { f.resume(); }}.join();
    REQUIRE(steps == 10);
    std::thread{[&] { f = weft::fiber{}; }}.join();
}

void bare_contexts() {
    for (int round = 0; round < 20; ++round) {
        jumping j{[](jumping& self) {
            for (int i = 0; i < 5; ++i)
                below(i, [&] { return self.leave(), 0; });
        }};
        int switches = 0;
        while (!j.ended()) {
            below(2, [&] { return j.enter(), 0; });
            ++switches;
        }
        REQUIRE(switches == 6);
    }
}

// The frames of an abandoned context never return. What comes after them in the same memory is none of their business.
void memory_of_abandoned_contexts() {
    for (int frames = 0; frames < 20; ++frames) {
        static int depth;
        depth = frames;
        {
            jumping abandoned{[](jumping& self) { below(depth, [&] { return self.leave(), 0; }); }};
            abandoned.enter();
        }
        int sum = 0;
        weft::fiber f{[&sum, numbers = std::array<int, 1024>{}](weft::fiber_ref self) mutable {
            for (int& n : numbers) n = below(2, [&] { return self.suspend(), 1; });
            for (const int n : numbers) sum += n;
        }};
        while (!f.done()) f.resume();
        REQUIRE(sum == 1024);
    }
}

// What waits when the program ends, and can be reached: what it owns is not lost. On each kind of stack.
struct all_that_waits {
    weft::fiber pooled, mapped, of_malloc, holds, captures, outer;
    weft::generator<int> numbers{[](auto& out) {
        int* const memory = new int[100]{};
        for (int i = 0;; ++i) out.yield(i + memory[99]);
    }};
    weft::fiber_context context;
};
[[gnu::used]] all_that_waits* reachable; // also to a compiler that sees nobody read it

[[gnu::noinline]] void owns_and_waits(weft::fiber_ref self) {
    int* volatile memory = new int[100];
    self.suspend();
    delete[] memory;
}

// To find uses after return AddressSanitizer keeps variables in frames of its own, where LeakSanitizer does not look for
// those that wait; not so in a function with assembly.
[[gnu::noinline]] void owns_and_resumes(weft::fiber_context& context) {
    int* volatile memory = new int[100];
    asm volatile("");
    context = std::move(context).resume();
    delete[] memory;
}

void wait_to_the_end() {
    reachable = new all_that_waits;
    reachable->pooled = weft::fiber{owns_and_waits};
    reachable->mapped = weft::fiber{std::allocator_arg, weft::guarded_stack{64 * 1024}, owns_and_waits};
#if !WEFT_HWASAN // which tags them
    reachable->of_malloc = weft::fiber{std::allocator_arg, malloced_stacks{}, owns_and_waits};
#endif
    reachable->holds = weft::fiber{[](weft::fiber_ref self) {
        try {
            throw std::array<int, 1000>{};
        } catch (const std::array<int, 1000>&) {
            self.suspend();
        }
    }};
    reachable->captures = weft::fiber{[memory = std::make_unique<int>(1)](weft::fiber_ref self) { self.suspend(); }};
    reachable->outer = weft::fiber{[](weft::fiber_ref self) {
        weft::fiber inner{[self] { owns_and_waits(self); }};
        inner.resume();
    }};
    for (weft::fiber* f : {&reachable->pooled, &reachable->mapped,
#if !WEFT_HWASAN
                           &reachable->of_malloc,
#endif
                           &reachable->holds, &reachable->captures, &reachable->outer})
        f->resume();
    static_cast<void>(reachable->numbers.begin());
    reachable->context = weft::fiber_context{[](weft::fiber_context&& caller) {
        owns_and_resumes(caller);
        return std::move(caller);
    }};
    reachable->context = std::move(reachable->context).resume();
}

} // namespace

int main() {
    weft::set_migration_handler([](const weft::migration_report&) {}); // caught exceptions move with the fiber, on purpose
    resumed_and_suspended();
    exceptions_in_fibers();
    unwound_where_they_wait();
    ranges();
    bodies_on_many_threads();
    handed_from_thread_to_thread();
    bare_contexts();
    memory_of_abandoned_contexts();
    // To Valgrind it is possibly lost: weft has pointers into stacks, and none to where these begin.
    if (!WEFT_VALGRIND) wait_to_the_end();
}
