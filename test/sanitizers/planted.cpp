// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// One error at a time, named by the argument; each must be found by the sanitizer that is made for it.

#include "jumps.hpp"
#include "malloced_stacks.hpp"

#include <weft/fiber.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>

namespace {

int* volatile escaped;

[[gnu::noinline]] void publish(int* local) {
    escaped = local;
}

// No assembly in here: the frames of functions with some, weft's inline switch included, Clang does not watch in this
// way.
[[gnu::noinline]] void let_escape() {
    int local[4] = {1, 2, 3, 4};
    publish(local);
}

int read_escaped() {
    return *static_cast<volatile int*>(escaped);
}

/// The frame that `escaped` points into has returned before the fiber suspends; it is read when the fiber goes on.
void use_after_return() {
    weft::fiber f{[](weft::fiber_ref self) {
        let_escape();
        self.suspend();
        std::exit(read_escaped() ? 0 : 1);
    }};
    f.resume();
    f.resume();
}

/// The same, read from outside.
void use_after_return_from_outside() {
    weft::fiber f{[](weft::fiber_ref self) {
        let_escape();
        self.suspend();
    }};
    f.resume();
    std::exit(read_escaped() ? 0 : 1);
}

/// The same across an await.
void use_after_return_across_an_await() {
    weft::sync_wait(weft::stackful<weft::task<>>([](auto& co) {
        struct at_once {
            bool await_ready() const noexcept { return false; }
            bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
            void await_resume() const noexcept {}
        };
        let_escape();
        co.await(at_once{});
        std::exit(read_escaped() ? 0 : 1);
    }));
}

/// The same across a bare switch.
void use_after_return_across_a_jump() {
    jumping j{[](jumping& self) {
        let_escape();
        self.leave();
        std::exit(read_escaped() ? 0 : 1);
    }};
    j.enter();
    j.enter();
}

/// Of an array that lies on a fiber's stack, after a switch.
void overflow() {
    weft::fiber f{[](weft::fiber_ref self) {
        char text[16];
        std::memset(text, 'x', sizeof text);
        self.suspend();
        volatile std::size_t length = sizeof text + 1;
        std::memset(text, 'y', length);
        asm volatile("" : : "r"(text) : "memory");
    }};
    f.resume();
    f.resume();
}

/// Two fibers on two threads, with nothing between them: the stacks are taken and given back where the threads are
/// begun and joined.
void race() {
    int shared = 0;
    const auto count = [&](weft::fiber_ref self) {
        for (int i = 0; i < 1000; ++i) {
            ++shared;
            if (i % 10 == 0) self.suspend();
        }
    };
    weft::fiber one{count}, two{count};
    const auto run = [](weft::fiber& f) {
        while (!f.done()) f.resume();
    };
    std::thread a{run, std::ref(one)}, b{run, std::ref(two)};
    a.join();
    b.join();
}

/// A fiber resumed by two threads, one after the other, but with nothing that says so.
void race_on_a_fiber() {
    int steps = 0;
    weft::fiber f{[&](weft::fiber_ref self) {
        for (;;) {
            ++steps;
            self.suspend();
        }
    }};
    int turn = 0;
    std::thread other{[&] {
        while (__atomic_load_n(&turn, __ATOMIC_RELAXED) == 0) {}
        f.resume();
    }};
    f.resume();
    __atomic_store_n(&turn, 1, __ATOMIC_RELAXED);
    other.join();
}

// A fiber begins with the registers of who resumes it, and the first functions on its stack save some there.
[[gnu::always_inline]] inline void forget_in_registers() {
#if defined(__x86_64__)
    asm volatile("xorl %%ebx, %%ebx\n\txorl %%r12d, %%r12d\n\txorl %%r13d, %%r13d\n\t"
                 "xorl %%r14d, %%r14d\n\txorl %%r15d, %%r15d"
                 :
                 :
                 : "rbx", "r12", "r13", "r14", "r15", "cc");
#elif defined(__aarch64__)
    asm volatile("mov x19, xzr\n\tmov x20, xzr\n\tmov x21, xzr\n\tmov x22, xzr\n\tmov x23, xzr\n\t"
                 "mov x24, xzr\n\tmov x25, xzr\n\tmov x26, xzr\n\tmov x27, xzr\n\tmov x28, xzr"
                 :
                 :
                 : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28");
#endif
}

/// A fiber that waits and that nobody has a handle of any more: the handle is lost. (What the fiber owns counts as
/// referred to as long as it has its stack.)
void leak_in_a_fiber() {
    std::thread{[] {
        auto* const f = new weft::fiber{[](weft::fiber_ref self) {
            int* const memory = new int[100];
            memory[0] = 1;
            self.suspend();
            delete[] memory;
        }};
        forget_in_registers();
        f->resume();
    }}.join();
}

/// What only the stack of a fiber referred to that has ended.
void leak_by_a_fiber_that_has_ended() {
    std::thread{[] {
        weft::fiber f{[](weft::fiber_ref self) {
            int* volatile memory = new int[100];
            self.suspend();
            *memory = 1;
        }};
        f.resume();
        f.resume();
    }}.join();
}

/// What only the stack of a context refers to that was given up.
void leak_in_a_context() {
    std::thread{[] {
        jumping j{[](jumping& self) {
            int* const memory = new int[100];
            memory[0] = 1;
            self.leave();
            delete[] memory;
        }};
        j.enter();
    }}.join();
}

/// What one fiber left on a stack, read by the next one on it.
void uninitialized() {
    weft::fiber f{[](weft::fiber_ref self) {
        int local;
        asm volatile("" : : "r"(&local) : "memory");
        self.suspend();
        if (*static_cast<volatile int*>(&local) == 12345) std::puts("12345");
    }};
    f.resume();
    f.resume();
}

/// Memory that has a tag, for a stack pointer that cannot have it.
void tagged_stack() {
    weft::fiber f{std::allocator_arg, malloced_stacks{}, [] {}};
    f.resume();
}

constexpr struct {
    const char* name;
    void (*run)();
} errors[] = {
    {"use_after_return", use_after_return},
    {"use_after_return_from_outside", use_after_return_from_outside},
    {"use_after_return_across_an_await", use_after_return_across_an_await},
    {"use_after_return_across_a_jump", use_after_return_across_a_jump},
    {"overflow", overflow},
    {"race", race},
    {"race_on_a_fiber", race_on_a_fiber},
    {"leak_in_a_fiber", leak_in_a_fiber},
    {"leak_by_a_fiber_that_has_ended", leak_by_a_fiber_that_has_ended},
    {"leak_in_a_context", leak_in_a_context},
    {"uninitialized", uninitialized},
    {"tagged_stack", tagged_stack},
};

} // namespace

int main(int count, char** arguments) {
    for (const auto& error : errors)
        if (count == 2 && std::strcmp(arguments[1], error.name) == 0) {
            error.run();
            return 0;
        }
    std::puts("planted: names no error");
    return 2;
}
