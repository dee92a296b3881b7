// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>

#include <coroutine>
#include <exception>
#include <iterator>
#include <utility>

namespace {

/// The frame of a stackless coroutine; it is never elided, because the functions that make one are not inlined.
class frame {
public:
    struct promise_type {
        int number = 0;
        frame get_return_object() { return frame{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        std::suspend_always yield_value(int n) noexcept {
            number = n;
            return {};
        }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };

    frame(frame&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    ~frame() {
        if (handle_) handle_.destroy();
    }
    [[gnu::always_inline]] void resume() { handle_.resume(); }
    int number() const { return handle_.promise().number; }

private:
    explicit frame(std::coroutine_handle<promise_type> handle) : handle_{handle} {}
    std::coroutine_handle<promise_type> handle_;
};

[[gnu::noinline]] frame suspend_forever() {
    for (;;) co_await std::suspend_always{};
}

[[gnu::noinline]] frame end_at_once() {
    co_return;
}

[[gnu::noinline]] frame count() {
    for (int n = 0;; n = (n + 1) & 0xffff) co_yield n;
}

struct plain_coroutine {
    static constexpr const char* name = "plain coroutine";
    struct usual {}; // the heap
    using pooled = usual;

    template <class Body, class Stacks>
    class coroutine;

    struct range {
        frame counting;
        struct iterator {
            frame* counting;
            int operator*() const { return counting->number(); }
            void operator++() { counting->resume(); }
        };
        iterator begin() {
            counting.resume();
            return {&counting};
        }
    };
    static range numbers() { return {count()}; }
};

template <class Stacks>
class plain_coroutine::coroutine<bench::flat, Stacks> : public frame {
public:
    explicit coroutine(Stacks) : frame(suspend_forever()) {}
};
template <class Stacks>
class plain_coroutine::coroutine<bench::nothing, Stacks> : public frame {
public:
    explicit coroutine(Stacks) : frame(end_at_once()) {}
};

const bool registered = bench::register_peer<plain_coroutine>();

} // namespace
