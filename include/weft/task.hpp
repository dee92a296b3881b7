// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/awaiter.hpp>

#include <cassert>
#include <concepts>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

/// The least that is needed to use weft with no other coroutine library.
///
///     weft::task<int> answer() { co_return 42; }
///     weft::task<int> doubled() { co_return 2 * co_await answer(); }
///     int n = weft::sync_wait(doubled());
namespace weft {

template <class T = void>
class task;

namespace detail {

class task_promise_base {
public:
    /// Ends the task by going on with the coroutine that awaits it.
    struct to_awaiting {
        bool await_ready() const noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
            return self.promise().awaiting_;
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    to_awaiting final_suspend() const noexcept { return {}; }
    void awaited_by(std::coroutine_handle<> awaiting) noexcept { awaiting_ = awaiting; }

private:
    std::coroutine_handle<> awaiting_ = std::noop_coroutine();
};

template <class T>
class task_promise : public task_promise_base {
    using stored = std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, T>;

public:
    task<T> get_return_object() noexcept;
    void unhandled_exception() noexcept { result_.template emplace<2>(std::current_exception()); }

    template <std::convertible_to<T> U>
    void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
        if constexpr (std::is_reference_v<T>) {
            T reference = std::forward<U>(value);
            result_.template emplace<1>(std::addressof(reference));
        } else {
            result_.template emplace<1>(std::forward<U>(value));
        }
    }

    T&& take() {
        if (result_.index() == 2) std::rethrow_exception(std::get<2>(result_));
        if constexpr (std::is_reference_v<T>)
            return static_cast<T&&>(*std::get<1>(result_));
        else
            return std::move(std::get<1>(result_));
    }

private:
    std::variant<std::monostate, stored, std::exception_ptr> result_;
};

template <>
class task_promise<void> : public task_promise_base {
public:
    task<void> get_return_object() noexcept;
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }
    void return_void() const noexcept {}
    void take() const {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    std::exception_ptr failure_;
};

} // namespace detail

/// A coroutine that begins when it is awaited, and gives its result to the one that awaits it, once. Runs on whatever
/// thread resumes it. Owns the coroutine: destroying a task that is suspended destroys what it has done so far.
template <class T>
class [[nodiscard]] task {
public:
    using promise_type = detail::task_promise<T>;

    task() noexcept = default;
    explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
    task(task&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    task& operator=(task&& other) noexcept {
        task{std::move(other)}.swap(*this);
        return *this;
    }
    ~task() {
        if (handle_) handle_.destroy();
    }

    void swap(task& other) noexcept { std::swap(handle_, other.handle_); }

    /// Runs the task; the result is its value, moved out, or its exception.
    /// \pre the task is not empty and was not awaited before; it lives until it has completed.
    auto operator co_await() const noexcept {
        assert(handle_ && !handle_.done() && "weft: a task is awaited once, and not after it was moved from");
        struct awaiter {
            std::coroutine_handle<promise_type> handle;
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
                handle.promise().awaited_by(awaiting);
                return handle;
            }
            T await_resume() const { return handle.promise().take(); }
        };
        return awaiter{handle_};
    }

private:
    std::coroutine_handle<promise_type> handle_;
};

template <class T>
task<T> detail::task_promise<T>::get_return_object() noexcept {
    return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}
inline task<void> detail::task_promise<void>::get_return_object() noexcept {
    return task<void>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

namespace detail {

/// Wakes the thread that blocks in sync_wait.
class one_shot_event {
public:
    void set() noexcept {
        const std::lock_guard lock{mutex_}; // notified inside: the waiter destroys the event when it sees it set
        set_ = true;
        changed_.notify_one();
    }
    void wait() noexcept {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return set_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool set_ = false;
};

/// The coroutine that sync_wait blocks on.
class sync_waiter {
public:
    class promise_type {
    public:
        template <class... Args>
        promise_type(one_shot_event& done, Args&...) noexcept : done_{done} {}
        sync_waiter get_return_object() noexcept {
            return sync_waiter{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct wake {
                bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> self) const noexcept { self.promise().done_.set(); }
                void await_resume() const noexcept {}
            };
            return wake{};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure_ = std::current_exception(); }
        std::exception_ptr failure() const noexcept { return failure_; }

    private:
        one_shot_event& done_;
        std::exception_ptr failure_;
    };

    explicit sync_waiter(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
    ~sync_waiter() { handle_.destroy(); }
    sync_waiter(const sync_waiter&) = delete;

    /// The result: a value, or a pointer to what a reference names.
    template <class Operand, class Result>
    static sync_waiter run(one_shot_event&, Operand& operand, std::optional<Result>& result) {
        if constexpr (std::is_pointer_v<Result> && std::is_lvalue_reference_v<decltype(await_resume_of<Operand>())>)
            result = std::addressof(co_await static_cast<Operand&&>(operand));
        else if constexpr (std::is_void_v<decltype(await_resume_of<Operand>())>)
            co_await static_cast<Operand&&>(operand);
        else
            result.emplace(co_await static_cast<Operand&&>(operand));
    }

    void rethrow_failure() const {
        if (const std::exception_ptr failure = handle_.promise().failure()) std::rethrow_exception(failure);
    }

    template <class Operand>
    static auto await_resume_of()
        -> await_result<std::remove_reference_t<decltype(get_awaiter(std::declval<Operand>()))>>;

private:
    std::coroutine_handle<promise_type> handle_;
};

} // namespace detail

/// Awaits any awaitable and blocks the calling thread until it has completed; returns its result or throws its exception.
/// \pre not called on a thread that the awaitable needs to complete.
template <class Awaitable>
auto sync_wait(Awaitable&& awaitable) -> decltype(detail::sync_waiter::await_resume_of<Awaitable&&>()) {
    using result = decltype(detail::sync_waiter::await_resume_of<Awaitable&&>());
    using stored = std::conditional_t<std::is_void_v<result>, std::monostate,
                                      std::conditional_t<std::is_reference_v<result>, std::add_pointer_t<result>, result>>;
    std::optional<stored> value;
    detail::one_shot_event done;
    const auto waiter = detail::sync_waiter::run<Awaitable&&>(done, awaitable, value);
    done.wait();
    waiter.rethrow_failure();
    if constexpr (std::is_reference_v<result>)
        return static_cast<result>(**value);
    else if constexpr (!std::is_void_v<result>)
        return std::move(*value);
}

} // namespace weft
