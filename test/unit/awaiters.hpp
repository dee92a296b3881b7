// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/bridge/awaitable.hpp>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

// Awaiters of every form, what completes them, and a way to start a coroutine without blocking.

/// Where the caller's frame is: on which stack it runs.
[[gnu::noinline]] inline std::uintptr_t stack_position() {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}
/// Are two positions in frames of one small stack?
inline bool near(std::uintptr_t a, std::uintptr_t b) {
    return (a > b ? a - b : b - a) < std::uintptr_t{96} * 1024;
}

/// A number of the running thread that no other thread ever has. Asked anew at every call, as std::this_thread::get_id
/// is not: compilers take for granted that it is the same throughout a function.
[[gnu::noinline]] inline unsigned thread_number() {
    static std::atomic<unsigned> last{0};
    static thread_local unsigned mine = 0;
    asm volatile("" ::: "memory");
    if (mine == 0) mine = ++last;
    return mine;
}

/// Completes awaited operations: later, by run(), or on threads of its own.
class stage {
public:
    stage() = default;
    stage(const stage&) = delete;
    stage& operator=(const stage&) = delete;
    ~stage() { join(); }

    void later(std::coroutine_handle<> h) {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(h);
    }
    /// Resumes what waits, and what comes to wait meanwhile.
    void run() {
        while (run_one()) {}
    }
    bool run_one() {
        std::coroutine_handle<> next;
        {
            const std::lock_guard lock{mutex_};
            if (waiting_.empty()) return false;
            next = waiting_.front();
            waiting_.pop_front();
        }
        next.resume();
        return true;
    }
    /// Forgets what waits: its coroutines are destroyed by others.
    void forget() {
        const std::lock_guard lock{mutex_};
        waiting_.clear();
    }

    template <class Fn>
    void on_a_thread(Fn fn) {
        const std::lock_guard lock{mutex_};
        threads_.emplace_back(std::move(fn));
    }
    /// Waits for all threads, also for those that threads start.
    void join() {
        for (;;) {
            std::thread next;
            {
                const std::lock_guard lock{mutex_};
                if (threads_.empty()) return;
                next = std::move(threads_.back());
                threads_.pop_back();
            }
            next.join();
        }
    }

private:
    std::mutex mutex_;
    std::deque<std::coroutine_handle<>> waiting_;
    std::vector<std::thread> threads_;
};

enum class form { returns_void, returns_bool, returns_handle };

enum class place {
    ready,         // await_ready says so
    refused,       // await_suspend says that the coroutine goes on: false, or its own handle (void: as `inside`)
    inside,        // await_suspend resumes the coroutine itself
    before_return, // another thread resumes it, and is through with that before await_suspend returns
    later,         // the same thread, later
    another_thread // another thread, whenever it comes to it
};
inline constexpr place all_places[] = {place::ready,         place::refused, place::inside,
                                       place::before_return, place::later,   place::another_thread};

enum class fails { nowhere, in_ready, in_suspend, in_resume };
inline constexpr fails all_fails[] = {fails::nowhere, fails::in_ready, fails::in_suspend, fails::in_resume};

inline std::ostream& operator<<(std::ostream& out, place p) {
    static constexpr const char* names[] = {"ready", "refused", "inside", "before_return", "later", "another_thread"};
    return out << names[static_cast<int>(p)];
}
inline std::ostream& operator<<(std::ostream& out, fails f) {
    static constexpr const char* names[] = {"nowhere", "in_ready", "in_suspend", "in_resume"};
    return out << names[static_cast<int>(f)];
}

/// What an awaiter throws on demand.
struct awaiter_failure {
    fails where;
};

/// What was called of an awaiter.
struct calls {
    std::atomic<int> ready{0}, suspend{0}, resume{0};
    std::uintptr_t ready_stack = 0, suspend_stack = 0, resume_stack = 0;
};

/// What the result of an awaiter is made of.
template <class T>
struct sample;
template <>
struct sample<int> {
    static int make() { return 42; }
    static bool is(int v) { return v == 42; }
};
template <>
struct sample<void> {
    static void make() {}
};
template <>
struct sample<int&> {
    static inline int object = 0;
    static int& make() { return object; }
    static bool is(int& v) { return &v == &object; }
};
template <>
struct sample<std::unique_ptr<int>&&> {
    static inline std::unique_ptr<int> object;
    static std::unique_ptr<int>&& make() {
        object = std::make_unique<int>(43);
        return std::move(object);
    }
    static bool is(std::unique_ptr<int>&& v) { return v && *v == 43; }
};
template <>
struct sample<std::unique_ptr<int>> {
    static std::unique_ptr<int> make() { return std::make_unique<int>(44); }
    static bool is(std::unique_ptr<int> v) { return v && *v == 44; }
};

/// An awaiter that does what it is told, in one of the three forms. Can neither be copied nor moved.
template <form Form, class T>
class scripted {
public:
    scripted(stage& s, calls& c, place where, fails when = fails::nowhere) : stage_{s}, calls_{c}, where_{where}, when_{when} {}
    scripted(const scripted&) = delete;
    scripted& operator=(const scripted&) = delete;

    bool await_ready() {
        ++calls_.ready;
        calls_.ready_stack = stack_position();
        if (when_ == fails::in_ready) throw awaiter_failure{when_};
        return where_ == place::ready;
    }

    auto await_suspend(std::coroutine_handle<> h) {
        ++calls_.suspend;
        calls_.suspend_stack = stack_position();
        if (when_ == fails::in_suspend) throw awaiter_failure{when_};
        if constexpr (Form == form::returns_void) {
            complete(h);
        } else if constexpr (Form == form::returns_bool) {
            if (where_ == place::refused) return false;
            complete(h);
            return true;
        } else {
            if (where_ == place::refused) return h;
            complete(h);
            return static_cast<std::coroutine_handle<>>(std::noop_coroutine());
        }
    }

    T await_resume() {
        ++calls_.resume;
        calls_.resume_stack = stack_position();
        if (when_ == fails::in_resume) throw awaiter_failure{when_};
        return sample<T>::make();
    }

private:
    // Once the coroutine is resumed this awaiter may be gone.
    void complete(std::coroutine_handle<> h) {
        switch (where_) {
        case place::before_return:
            std::thread{[h] { h.resume(); }}.join();
            break;
        case place::later:
            stage_.later(h);
            break;
        case place::another_thread:
            stage_.on_a_thread([h] { h.resume(); });
            break;
        default:
            h.resume();
        }
    }

    stage& stage_;
    calls& calls_;
    place where_;
    fails when_;
};

/// A plain awaiter, and the two places of operator co_await: which one was found shows in the value.
struct plain_awaiter {
    int value = 7;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
    int await_resume() const noexcept { return value; }
};
struct with_member {
    plain_awaiter operator co_await() const& { return {1}; }
    plain_awaiter operator co_await() && { return {2}; }
};
struct with_free {};
inline plain_awaiter operator co_await(const with_free&) {
    return {3};
}
inline plain_awaiter operator co_await(with_free&&) {
    return {4};
}

/// A coroutine that runs when its handle is resumed, and destroys itself at its end.
struct detour {
    struct promise_type {
        detour get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<> handle;
};

/// Completes on a thread of its own. Copyable; needs nothing.
struct on_new_thread {
    stage* where;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
        where->on_a_thread([h] { h.resume(); });
    }
    void await_resume() const noexcept {}
};

/// Waits for stage::run. Copyable.
struct until_run {
    stage* where;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const { where->later(h); }
    void await_resume() const noexcept {}
};

/// The result of a coroutine that was started.
template <class T>
struct outcome {
    using stored = std::conditional_t<std::is_void_v<T>, std::monostate,
                                      std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, T>>;
    std::optional<stored> value;
    std::exception_ptr failure;
    std::atomic<bool> done{false};
};

/// Awaits something at once and keeps its result in an outcome. Destroys itself at its end; a suspended one is
/// destroyed by its handle.
struct observer {
    struct promise_type {
        observer get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<> handle;
};

template <class Awaitable, class T>
observer observe(Awaitable awaitable, outcome<T>& result) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(awaitable);
            result.value.emplace();
        } else if constexpr (std::is_reference_v<T>) {
            result.value = std::addressof(co_await std::move(awaitable));
        } else {
            result.value.emplace(co_await std::move(awaitable));
        }
    } catch (...) {
        result.failure = std::current_exception();
    }
    result.done = true;
}

/// Counts the objects of its kind that are alive.
class counted {
public:
    explicit counted(int& alive) : alive_{&alive} { ++*alive_; }
    counted(const counted& other) : alive_{other.alive_} { ++*alive_; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*alive_; }

private:
    int* alive_;
};

/// Does the compiler make symmetric transfer a tail call here? GCC does so from -O2 on, Clang always.
/// Asked of coroutines that have nothing to do with weft.
inline bool transfers_are_tail_calls() {
    struct chain {
        struct promise_type {
            std::coroutine_handle<> next;
            std::uintptr_t position = 0;
            chain get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
            std::suspend_always initial_suspend() noexcept { return {}; }
            auto final_suspend() noexcept {
                struct go_on {
                    bool await_ready() noexcept { return false; }
                    std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
                        return h.promise().next;
                    }
                    void await_resume() noexcept {}
                };
                return go_on{};
            }
            void return_void() {}
            void unhandled_exception() { std::terminate(); }
        };
        std::coroutine_handle<promise_type> handle;
    };
    const auto make = [](std::uintptr_t& position) -> chain {
        position = stack_position();
        co_return;
    };
    std::uintptr_t positions[8] = {};
    std::vector<chain> chains;
    for (auto& position : positions) chains.push_back(make(position));
    for (std::size_t i = 0; i < chains.size(); ++i)
        chains[i].handle.promise().next =
            i + 1 < chains.size() ? std::coroutine_handle<>{chains[i + 1].handle} : std::noop_coroutine();
    chains[0].handle.resume();
    for (const chain& c : chains) c.handle.destroy();
    return positions[7] == positions[1];
}

/// How long a chain of transfers may be here: unbounded where they are tail calls, else a stack has to hold it.
inline int many_transfers() {
    return transfers_are_tail_calls() ? 1'000'000 : 1'000;
}
