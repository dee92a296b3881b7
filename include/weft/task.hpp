// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>
#include <weft/detail/awaiter.hpp>
#include <weft/detail/awaiter_storage.hpp>

#include <cassert>
#include <concepts>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <variant>

/// \file
/// The least that is needed to use weft with no other coroutine library.
///
///     weft::task<int> answer() { co_return 42; }
///     weft::task<int> doubled() { co_return 2 * co_await answer(); }
///     int n = weft::sync_wait(doubled());
namespace weft {

template <class T = void>
class task;

namespace detail {

/// Who is told that a task has ended, if that is no coroutine. It may destroy the task.
class task_observer {
public:
    virtual void task_ended() noexcept = 0;

protected:
    ~task_observer() = default;
};

class task_promise_base {
public:
    /// Ends the task by going on with the coroutine that awaits it.
    struct to_awaiting {
        bool await_ready() const noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
            const task_promise_base& promise = self.promise();
            const std::coroutine_handle<> next = promise.awaiting_;
            if (promise.observer_) [[unlikely]]
                promise.observer_->task_ended();
            return next;
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    to_awaiting final_suspend() const noexcept { return {}; }
    void awaited_by(std::coroutine_handle<> awaiting) noexcept { awaiting_ = awaiting; }
    void observed_by(task_observer& observer) noexcept { observer_ = &observer; }

    stop_provider* stop() const noexcept { return stop_; }
    void stopped_by(stop_provider* stop) noexcept { stop_ = stop; }

private:
    std::coroutine_handle<> awaiting_ = std::noop_coroutine();
    task_observer* observer_ = nullptr;
    stop_provider* stop_ = nullptr;
};

/// A reference of type T made of `U` names what U names, or something that it says by a conversion function: no
/// temporary that the conversion makes, and none that is U itself, if T would be an lvalue.
template <class T, class U>
concept refers_to_what_lasts =
    (std::is_lvalue_reference_v<T> == std::is_lvalue_reference_v<U> &&
     std::is_convertible_v<std::add_pointer_t<U>, std::add_pointer_t<T>>) ||
    (std::is_lvalue_reference_v<T> && !std::is_const_v<std::remove_reference_t<T>>) || // binds to no temporary
    requires(U&& u) { std::forward<U>(u).operator T(); } ||
    (std::is_lvalue_reference_v<T> && requires(U&& u) { std::forward<U>(u).operator std::remove_cvref_t<T>&(); });

template <class T>
class task_promise : public task_promise_base {
    static_assert(std::is_reference_v<T> || std::move_constructible<std::remove_cv_t<T>>,
                  "weft::task<T>: T is void, a reference, or a type whose objects can be moved, as the result is moved out: "
                  "return a std::unique_ptr to one that cannot be moved");
    using stored = std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, std::remove_cv_t<T>>;
    using taken = std::conditional_t<std::is_reference_v<T>, T, std::remove_cv_t<T>>;

public:
    task<T> get_return_object() noexcept;
    void unhandled_exception() { result_.template emplace<2>(unhandled_in_hand()); }

    // The default is for `co_return {…}`.
    template <class U = std::remove_cvref_t<T>>
        requires std::convertible_to<U, T>
    void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
        if constexpr (std::is_reference_v<T>) {
            static_assert(refers_to_what_lasts<T, U>,
                          "weft::task: a task of a reference cannot return a temporary, which is gone before anybody sees the "
                          "reference: return an object that lives on, or make it a task of a value");
            T reference = std::forward<U>(value);
            result_.template emplace<1>(std::addressof(reference));
        } else {
            result_.template emplace<1>(std::forward<U>(value));
        }
    }

    taken&& take() {
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
    void unhandled_exception() { failure_ = unhandled_in_hand(); }
    void return_void() const noexcept {}
    void take() const {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    std::exception_ptr failure_;
};

/// What makes a task<T> a sender; defined in weft/senders.hpp. `Late` makes it be looked at only when it is needed.
template <class T, class Late>
struct task_sender;

} // namespace detail

/// A coroutine that begins when it is awaited, and gives its result to the one that awaits it, once. Runs on whatever
/// thread resumes it. Owns the coroutine: destroying a task that is suspended destroys what it has done so far, which must
/// not be waiting for an operation of Asio (lib/doc/cancellation.md).
///
/// Stackful bodies of any type await it by weft::await(task), other tasks and most coroutine types by co_await. What only
/// coroutines of another library can await, an asio::awaitable for one, a task awaits by asio::co_spawn(executor,
/// std::move(awaitable), weft::use_fiber) in a stackful body of its own.
template <class T>
class [[nodiscard]] task {
public:
    using promise_type = detail::task_promise<T>; ///< for the compiler

    /// Empty: no coroutine.
    task() noexcept = default;
    /// Made by its promise.
    explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
    /// `other` is empty afterwards.
    task(task&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    /// Destroys the coroutine that this owned.
    task& operator=(task&& other) noexcept {
        task{std::move(other)}.swap(*this);
        return *this;
    }
    ~task() {
        if (handle_) handle_.destroy();
    }

    /// Exchanges the coroutines.
    void swap(task& other) noexcept { std::swap(handle_, other.handle_); }

    /// Runs the task; the result is its value, moved out, or its exception.
    /// \pre the task is not empty and was not awaited before; it lives until it has completed.
    auto operator co_await() const noexcept {
        assert(handle_ && !handle_.done() && "weft: a task is awaited once, and not after it was moved from");
        return awaiter{handle_};
    }

    /// Refused, by a sentence, where an asio::awaitable co_awaits a task: Asio calls what it does not know with its frame.
    template <class Frame>
        requires requires(Frame* frame) { frame->attach_thread(nullptr); }
    detail::refused operator()(Frame*) const {
        static_assert(detail::refuse<Frame>, "weft::task: an asio::awaitable cannot co_await it: give the awaitable a stackful "
                                             "body, weft::stackful([&](auto&) { return weft::await(task); })");
        return {};
    }

    /// A task is a sender, by weft/senders.hpp: it completes with its result, with its exception, or stopped.
    template <class Receiver>
    auto connect(Receiver receiver) && -> typename detail::task_sender<T, Receiver>::template operation<Receiver> {
        return {std::move(*this), std::move(receiver)};
    }
    /// So that it is one in P2300's coroutines, too, which would take it for an awaitable and not know it stopped.
    template <class Promise>
    auto as_awaitable(Promise& promise) && -> decltype(detail::task_sender<T, Promise>::await_in(std::declval<task>(), promise)) {
        return detail::task_sender<T, Promise>::await_in(std::move(*this), promise);
    }
    /// The ways in which it completes, for P2300.
    template <class Self, class... Env>
    static consteval auto get_completion_signatures() -> typename detail::task_sender<T, Self>::completion_signatures {
        return {};
    }

private:
    template <class, class>
    friend struct detail::task_sender;

    struct awaiter {
        using takes_any_handle = void; // the first of the two

        std::coroutine_handle<promise_type> handle;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
            handle.promise().awaited_by(awaiting);
            return handle;
        }
        template <detail::has_stop_provider P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) const noexcept {
            stopped_by(awaiting.promise().stop());
            return await_suspend(std::coroutine_handle<>{awaiting});
        }
        T await_resume() const { return handle.promise().take(); }
        void stopped_by(detail::stop_provider* stop) const noexcept { handle.promise().stopped_by(stop); }
    };

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
        promise_type(one_shot_event& done, stop_provider* stop, Args&...) noexcept : done_{done}, stop_{stop} {}
        sync_waiter get_return_object() noexcept {
            return sync_waiter{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct wake {
                bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> self) const noexcept { self.promise().done_.set(); }
                void await_resume() const noexcept {}
            };
            return wake{};
        }
        void return_void() const noexcept {}
        void unhandled_exception() { failure_ = unhandled_in_hand(); }
        std::exception_ptr failure() const noexcept { return failure_; }
        stop_provider* stop() const noexcept { return stop_; }

    private:
        one_shot_event& done_;
        stop_provider* stop_;
        std::exception_ptr failure_;
    };

    explicit sync_waiter(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
    ~sync_waiter() { handle_.destroy(); }
    sync_waiter(const sync_waiter&) = delete;

    /// Awaits an awaiter, but for its result.
    template <class Awaiter>
    static sync_waiter run(one_shot_event&, stop_provider*, Awaiter& awaiter) {
        struct completion {
            Awaiter* awaiter;
            bool await_ready() const { return static_cast<bool>(awaiter->await_ready()); }
            auto await_suspend(std::coroutine_handle<promise_type> self) const { return awaiter->await_suspend(self); }
            void await_resume() const noexcept {}
        };
        co_await completion{&awaiter};
    }

    void start() const { handle_.resume(); }

    void rethrow_failure() const {
        if (const std::exception_ptr failure = handle_.promise().failure()) std::rethrow_exception(failure);
    }

private:
    std::coroutine_handle<promise_type> handle_;
};

template <class Awaitable>
auto sync_wait_stopped_by(stop_provider* stop, Awaitable&& awaitable, awaiter_storage<Awaitable&&>& kept) ->
    typename await_result_of<Awaitable&&>::type {
    constexpr bool possible = awaitable_in<Awaitable&&, sync_waiter::promise_type>;
    static_assert(possible, "weft::sync_wait: this is not awaitable here: it needs await_ready, await_suspend(any "
                            "std::coroutine_handle) and await_resume, or an operator co_await");
    if constexpr (possible) {
        using result = typename await_result_of<Awaitable&&>::type;
        const storage_end<ends_with_call<Awaitable, result>, awaiter_storage<Awaitable&&>> end{kept};
        auto&& awaiter =
            kept.awaiter.make([&]() -> decltype(auto) { return get_awaiter(std::forward<Awaitable>(awaitable)); });
        one_shot_event done;
        const auto waiter = sync_waiter::run(done, stop, awaiter);
        waiter.start();
        done.wait();
        waiter.rethrow_failure();
        return awaiter.await_resume();
    } else if constexpr (!detail::awaitable<Awaitable>) {
        return {};
    }
}

} // namespace detail

/// Awaits any awaitable and blocks the calling thread until it has completed; returns its result or throws its
/// exception. await_resume runs on the calling thread. What its result may refer to, an awaiter that operator co_await
/// returned by value, lives to the end of the full-expression. (`kept` holds it: leave it out.)
/// \pre not called on a thread that the awaitable needs to complete.
template <class Awaitable>
WEFT_NO_DANGLING auto sync_wait(Awaitable&& awaitable, detail::awaiter_storage<Awaitable&&>&& kept = {}) ->
    typename detail::await_result_of<Awaitable&&>::type {
    return detail::sync_wait_stopped_by<Awaitable>(nullptr, std::forward<Awaitable>(awaitable), kept);
}

} // namespace weft
