// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "awaiters.hpp"

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

// Coroutine types as other libraries write them, each with one thing that a stackful body has to respect.

/// The owner of a coroutine.
template <class Promise>
class owned_handle {
public:
    owned_handle() = default;
    explicit owned_handle(std::coroutine_handle<Promise> h) noexcept : handle_{h} {}
    owned_handle(owned_handle&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    owned_handle& operator=(owned_handle&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~owned_handle() {
        if (handle_) handle_.destroy();
    }
    std::coroutine_handle<Promise> get() const noexcept { return handle_; }

private:
    std::coroutine_handle<Promise> handle_;
};

/// A synchronous generator: its coroutines yield, and may await nothing.
template <class T>
class pull {
public:
    struct promise_type {
        const T* value = nullptr;
        std::exception_ptr failure;

        pull get_return_object() { return pull{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        std::suspend_always yield_value(const T& v) noexcept {
            value = std::addressof(v);
            return {};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure = std::current_exception(); }
        template <class U>
        void await_transform(U&&) = delete;
    };

    /// The next value, or null.
    const T* next() const {
        const auto h = coroutine_.get();
        h.promise().value = nullptr;
        h.resume();
        if (h.promise().failure) std::rethrow_exception(h.promise().failure);
        return h.promise().value;
    }
    auto handle() const { return coroutine_.get(); }

private:
    explicit pull(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// The same, with the other way to forbid co_await, and with a co_yield that gives an answer back.
class dialogue {
public:
    struct promise_type {
        std::string said, answer;

        dialogue get_return_object() { return dialogue{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        auto yield_value(std::string v) {
            if (v.empty()) throw std::string{"nothing was said"};
            struct listen {
                promise_type* promise;
                bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> h) noexcept { promise = &h.promise(); }
                std::string await_resume() const { return promise->answer; }
            };
            said = std::move(v);
            return listen{nullptr};
        }
        void return_void() const noexcept {}
        void unhandled_exception() { throw; }
        void await_transform() = delete;
    };

    std::string say(std::string answer) const {
        coroutine_.get().promise().answer = std::move(answer);
        coroutine_.get().resume();
        return coroutine_.get().promise().said;
    }
    bool done() const { return coroutine_.get().done(); }

private:
    explicit dialogue(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// What coroutines that can be awaited have in common: they begin then, and continue the one that awaits them.
template <class Promise>
struct awaits_end {
    std::coroutine_handle<Promise> handle;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
        handle.promise().awaiting = awaiting;
        return handle;
    }
    auto await_resume() const {
        if (handle.promise().failure) std::rethrow_exception(handle.promise().failure);
        return std::move(*handle.promise().value);
    }
};

template <class T, class Promise>
struct ending_promise {
    std::coroutine_handle<> awaiting = std::noop_coroutine();
    std::optional<T> value;
    std::exception_ptr failure;

    auto final_suspend() const noexcept {
        struct go_on {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) const noexcept {
                return h.promise().awaiting;
            }
            void await_resume() const noexcept {}
        };
        return go_on{};
    }
    void return_value(T v) { value.emplace(std::move(v)); }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
};

/// A task as cppcoro writes it: begins when it is awaited, hands control on symmetrically, awaits whatever there is.
template <class T>
class symmetric {
public:
    struct promise_type : ending_promise<T, promise_type> {
        symmetric get_return_object() { return symmetric{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
    };

    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine_.get()}; }
    auto handle() const { return coroutine_.get(); }

private:
    explicit symmetric(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// A task whose promise takes any awaiter, wraps it and counts it. Its functions insist on handles of its own promise.
template <class T>
class watched {
public:
    template <class Operand>
    struct watching {
        Operand&& operand;
        watching(Operand&& o) : operand{std::forward<Operand>(o)} {}
        watching(const watching&) = delete;

        using awaiter_type = decltype(weft::detail::get_awaiter(std::declval<Operand>()));
        awaiter_type awaiter = weft::detail::get_awaiter(std::forward<Operand>(operand));

        bool await_ready() { return awaiter.await_ready(); }
        template <class P>
            requires requires(awaiter_type& a, std::coroutine_handle<P> h) { a.await_suspend(h); }
        auto await_suspend(std::coroutine_handle<P> h) {
            static_assert(std::is_same_v<P, typename watched::promise_type>);
            return awaiter.await_suspend(h);
        }
        decltype(auto) await_resume() { return awaiter.await_resume(); }
    };

    struct promise_type : ending_promise<T, promise_type> {
        int awaited = 0;
        std::string* log = nullptr;

        ~promise_type() {
            if (log) *log += "promise;";
        }
        watched get_return_object() { return watched{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        auto initial_suspend() const noexcept {
            struct begin {
                bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type>) const noexcept {}
                void await_resume() const noexcept {}
            };
            return begin{};
        }
        template <class Operand>
        watching<Operand> await_transform(Operand&& operand) {
            ++awaited;
            return watching<Operand>{std::forward<Operand>(operand)};
        }
    };

    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine_.get()}; }
    auto handle() const { return coroutine_.get(); }

private:
    explicit watched(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// A task that begins when it is made, so that it may end on another thread while it comes to be awaited.
template <class T>
class eager {
public:
    struct promise_type : ending_promise<T, promise_type> {
        std::atomic<bool> second{false}; // of ending and being awaited, one has happened

        eager get_return_object() { return eager{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct go_on {
                bool await_ready() const noexcept { return false; }
                std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
                    return h.promise().second.exchange(true) ? h.promise().awaiting : std::noop_coroutine();
                }
                void await_resume() const noexcept {}
            };
            return go_on{};
        }
    };

    auto operator co_await() const noexcept {
        struct awaits_begun : awaits_end<promise_type> {
            bool await_ready() const noexcept { return false; }
            bool await_suspend(std::coroutine_handle<> awaiting) const noexcept {
                this->handle.promise().awaiting = awaiting;
                return !this->handle.promise().second.exchange(true);
            }
        };
        return awaits_begun{{coroutine_.get()}};
    }
    auto handle() const { return coroutine_.get(); }

private:
    explicit eager(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// A task whose promise is made from the coroutine's arguments and allocates with them.
class placed {
public:
    struct promise_type : ending_promise<int, promise_type> {
        static inline int allocated = 0, freed = 0, from_arguments = 0;
        static inline const int* seen_number = nullptr;

        int number;
        std::string text;

        promise_type() = delete;
        promise_type(int& n, const std::string& t) : number{n}, text{t} { seen_number = &n; }
        template <class... Args>
        static void* operator new(std::size_t size, Args&...) {
            from_arguments = sizeof...(Args);
            ++allocated;
            return std::malloc(size);
        }
        static void operator delete(void* frame) {
            ++freed;
            std::free(frame);
        }
        placed get_return_object() { return placed{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
    };

    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine_.get()}; }
    auto handle() const { return coroutine_.get(); }

private:
    explicit placed(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// A task whose promise takes whatever arguments the coroutine has, and notes how many.
class curious {
public:
    struct promise_type : ending_promise<int, promise_type> {
        static inline std::size_t allocated_with = 99;
        static inline int freed = 0;
        std::size_t made_from;

        template <class... Args>
        promise_type(Args&...) : made_from{sizeof...(Args)} {}
        template <class... Args>
        static void* operator new(std::size_t size, Args&...) {
            allocated_with = sizeof...(Args);
            return std::malloc(size);
        }
        static void operator delete(void* frame) {
            ++freed;
            std::free(frame);
        }
        curious get_return_object() { return curious{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
    };

    auto operator co_await() const noexcept { return awaits_end<promise_type>{coroutine_.get()}; }
    auto handle() const { return coroutine_.get(); }

private:
    explicit curious(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// An asynchronous generator: its coroutines await and yield.
template <class T>
class stream {
public:
    struct promise_type {
        std::coroutine_handle<> consumer = std::noop_coroutine();
        const T* value = nullptr;
        std::exception_ptr failure;

        struct to_consumer {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
                return h.promise().consumer;
            }
            void await_resume() const noexcept {}
        };

        stream get_return_object() { return stream{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        to_consumer final_suspend() noexcept {
            value = nullptr;
            return {};
        }
        to_consumer yield_value(const T& v) noexcept {
            value = std::addressof(v);
            return {};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure = std::current_exception(); }
    };

    /// Awaits the next value: a pointer to it, or null.
    auto next() const noexcept {
        struct awaiter {
            std::coroutine_handle<promise_type> handle;
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> consumer) const noexcept {
                handle.promise().consumer = consumer;
                return handle;
            }
            const T* await_resume() const {
                if (handle.promise().failure) std::rethrow_exception(handle.promise().failure);
                return handle.promise().value;
            }
        };
        return awaiter{coroutine_.get()};
    }

private:
    explicit stream(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// A task whose promise lets an exception of its body go to whoever resumes it; what it returns is for who asks.
class rethrowing {
public:
    struct promise_type {
        int value = 0;
        rethrowing get_return_object() { return rethrowing{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_value(int v) noexcept { value = v; }
        void unhandled_exception() { throw; }
    };

    auto handle() const { return coroutine_.get(); }

private:
    explicit rethrowing(std::coroutine_handle<promise_type> h) : coroutine_{h} {}
    owned_handle<promise_type> coroutine_;
};

/// A coroutine of which no object can be made. `Transforms`: its promise has an await_transform.
template <bool Transforms>
struct unborn {
    struct refusal {};
    struct promise_base {
        static inline int alive = 0, frames = 0;
        promise_base() { ++alive; }
        promise_base(const promise_base&) = delete;
        ~promise_base() { --alive; }
        static void* operator new(std::size_t size) {
            ++frames;
            return std::malloc(size);
        }
        static void operator delete(void* frame) {
            --frames;
            std::free(frame);
        }
        unborn get_return_object() { throw refusal{}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    struct transforming_promise : promise_base {
        template <class Operand>
        Operand&& await_transform(Operand&& o) const noexcept {
            return std::forward<Operand>(o);
        }
    };
    using promise_type = std::conditional_t<Transforms, transforming_promise, promise_base>;
};

/// A coroutine of functions that return nothing: begins at once and destroys itself at its end.
struct detached {};

template <class... Args>
struct std::coroutine_traits<void, detached, Args...> {
    struct promise_type {
        void get_return_object() const noexcept {}
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
};
