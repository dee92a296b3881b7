// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>
#include <weft/detail/awaiter.hpp>
#include <weft/detail/awaiter_storage.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// Gives a coroutine its own promise. Never suspends it. Takes any handle, as an await_transform may ask of an awaiter.
template <class Promise>
struct own_promise {
    Promise* promise = nullptr;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> self) noexcept {
        promise = &std::coroutine_handle<Promise>::from_address(self.address()).promise();
        return false;
    }
    Promise& await_resume() const noexcept { return *promise; }
};

/// Awaits an operand as R's coroutines do it: through the promise's await_transform, and with R's handle.
template <class Promise, class Operand>
class promised_wait {
    using transformed = decltype(std::declval<Promise&>().await_transform(std::declval<Operand>()));
    using awaiter = decltype(get_awaiter(std::declval<transformed>()));

public:
    promised_wait(Promise& promise, Operand operand)
        : operand_(std::move(operand)), transformed_(promise.await_transform(std::move(operand_))),
          awaiter_(get_awaiter(static_cast<transformed&&>(transformed_))) {}
    promised_wait(const promised_wait&) = delete;
    promised_wait& operator=(const promised_wait&) = delete;

    /// The operand of the driver's co_await. A small object of its own: GCC 12 copies an lvalue operand.
    struct reference {
        promised_wait* wait;
        bool await_ready() const { return wait->awaiter_.await_ready(); }
        auto await_suspend(std::coroutine_handle<> driver) const {
            return wait->awaiter_.await_suspend(std::coroutine_handle<Promise>::from_address(driver.address()));
        }
        void await_resume() const { wait->awaiter_.await_resume(); }
    };
    reference get() noexcept { return {this}; }

private:
    Operand operand_;
    transformed transformed_;
    awaiter awaiter_;
};

/// R's coroutines can end without a result, as P2300's do when they are stopped.
template <class Promise>
concept can_be_stopped = requires(Promise& p) {
    { p.unhandled_stopped() } -> std::convertible_to<std::coroutine_handle<>>;
};

/// Ends a driver in that way. It is not resumed any more.
template <class Promise>
struct stopped_end {
    Promise& promise;

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const { return promise.unhandled_stopped(); }
    [[noreturn]] void await_resume() const noexcept { std::terminate(); }
};

/// Who knows the stop token of a driver with this promise; weft/senders.hpp also asks the promises of P2300.
template <class Promise>
class promise_stop {
public:
    explicit promise_stop(Promise& promise) noexcept : promise_(promise) {}
    promise_stop(const promise_stop&) = delete;
    promise_stop& operator=(const promise_stop&) = delete;

    stop_provider* provider() noexcept {
        if constexpr (has_stop_provider<Promise>)
            return promise_.stop();
        else
            return nullptr;
    }
    /// The driver is about to end.
    void end() noexcept {}

private:
    Promise& promise_;
};

/// The same for coroutines of type R; an adapter that knows R says so here.
template <class R, class Promise>
struct coroutine_stop {
    using type = promise_stop<Promise>;
};

/// A coroutine that could not begin. Known to its first_suspension, and to what begins it.
struct beginning_failure {
    std::exception_ptr exception = nullptr;
    bool frame_is_gone = false;
};

/// Awaits what R's promise gives for the beginning of its coroutines, with the handle that those have. What it throws
/// before the coroutine begins is thrown by the call that makes the coroutine ([dcl.fct.def.coroutine]/5): it is left in
/// `failure`, and the driver stays suspended.
template <class Promise>
class first_suspension {
    using source = decltype(std::declval<Promise&>().initial_suspend());
    using awaiter = std::remove_reference_t<awaiter_of<source>>;
    using result = await_suspend_result<awaiter, Promise>;
    static constexpr bool transfers = transfers_control<awaiter, Promise>;

public:
    first_suspension(Promise& promise, beginning_failure& failure) noexcept : promise_(promise), failure_(failure) {}
    ~first_suspension() {
        if (failed_) failure_.frame_is_gone = true;
    }
    first_suspension(const first_suspension&) = delete;
    first_suspension& operator=(const first_suspension&) = delete;

    /// The operand of the driver's co_await. A small object of its own: GCC 12 copies an lvalue operand.
    struct reference {
        first_suspension* wait;
        bool await_ready() const noexcept { return wait->ready(); }
        auto await_suspend(std::coroutine_handle<> driver) const noexcept { return wait->suspend(driver); }
        void await_resume() const { wait->awaiter_->await_resume(); }
    };
    reference get() noexcept { return {this}; }

private:
    bool ready() noexcept {
        WEFT_TRY {
            auto&& a = kept_.awaiter.make([&]() -> decltype(auto) {
                return get_awaiter(static_cast<source&&>(
                    kept_.source.make([&]() -> decltype(auto) { return promise_.initial_suspend(); })));
            });
            awaiter_ = std::addressof(a);
            return static_cast<bool>(a.await_ready());
        }
        WEFT_CATCH(...) {
            fail();
            return false;
        }
    }

    // True, or no coroutine: stays suspended. Whoever resumes the driver may do so before the awaiter has returned.
    auto suspend(std::coroutine_handle<> driver) noexcept -> std::conditional_t<transfers, std::coroutine_handle<>, bool> {
        const auto handle = std::coroutine_handle<Promise>::from_address(driver.address());
        if (!failed_) {
            WEFT_TRY {
                if constexpr (std::is_void_v<result>) {
                    awaiter_->await_suspend(handle);
                    return true;
                } else {
                    return awaiter_->await_suspend(handle);
                }
            }
            WEFT_CATCH(...) {
                fail();
            }
        }
        if constexpr (transfers)
            return std::noop_coroutine();
        else
            return true;
    }

    void fail() noexcept {
        failure_.exception = held_exception();
        failed_ = true;
    }

    Promise& promise_;
    beginning_failure& failure_; // of who makes the coroutine: gone when the coroutine has begun
    bool failed_ = false;
    awaiter* awaiter_ = nullptr;
    awaiter_storage<source> kept_;
};

/// Awaits what R's promise gives for the end of its coroutines, with the handle that those have.
template <class Promise>
class last_suspension {
    using source = decltype(std::declval<Promise&>().final_suspend());
    using awaiter = awaiter_of<source>;

public:
    explicit last_suspension(Promise& promise) noexcept
        : source_(promise.final_suspend()), awaiter_(get_awaiter(static_cast<source&&>(source_))) {}
    last_suspension(const last_suspension&) = delete;
    last_suspension& operator=(const last_suspension&) = delete;

    bool await_ready() noexcept { return static_cast<bool>(awaiter_.await_ready()); }
    auto await_suspend(std::coroutine_handle<> driver) noexcept {
        return awaiter_.await_suspend(std::coroutine_handle<Promise>::from_address(driver.address()));
    }
    void await_resume() noexcept { awaiter_.await_resume(); }

private:
    source source_;
    awaiter awaiter_;
};

template <class T>
inline constexpr bool is_drivers_own = false;
template <>
inline constexpr bool is_drivers_own<transferring_wait> = true;
template <>
inline constexpr bool is_drivers_own<plain_wait> = true;
template <class P>
inline constexpr bool is_drivers_own<own_promise<P>> = true;
template <class P>
inline constexpr bool is_drivers_own<stopped_end<P>> = true;

/// What the driver awaits for itself, whatever the promise thinks of awaiting.
template <class T>
concept drivers_own = is_drivers_own<std::remove_cvref_t<T>> || requires(T wait) { wait.wait->get(); };

template <class Promise, class... Args>
class driver_promise;

/// What a driver with a promise of its own returns to weft::stackful: itself, suspended before R's initial_suspend. No
/// coroutine, if its frame could not be allocated and R's promise takes that.
template <class Promise, class... Args>
struct driver_made {
    using promise_type = driver_promise<Promise, Args...>;
    std::coroutine_handle<promise_type> handle;
};

/// Makes R's return object of a driver, and then goes on with the driver where R's initial_suspend is asked.
template <class Promise, class... Args>
class driver_beginning {
public:
    driver_beginning(const driver_made<Promise, Args...>& made, beginning_failure& failure) noexcept
        : handle_(made.handle), failure_(failure) {}
    driver_beginning(const driver_beginning&) = delete;
    driver_beginning& operator=(const driver_beginning&) = delete;
    /// Begins, if that was not done: at the end of a scope whose return statement makes an object that cannot be moved.
    ~driver_beginning() noexcept(false) {
        if (!begun_)
            begin();
        else if (failure_.exception && !failure_.frame_is_gone)
            handle_.destroy(); // no return object did
    }

    /// What R's promise makes for who called. \throws what it throws: then nothing is left.
    decltype(auto) return_object() {
        WEFT_TRY {
            return std::coroutine_handle<Promise>::from_address(handle_.address()).promise().get_return_object();
        }
        WEFT_CATCH(...) {
            begun_ = true;
            handle_.destroy();
            WEFT_RETHROW;
        }
    }
    /// \throws what R's initial_suspend throws, and what unhandled_exception throws on.
    void begin() {
        begun_ = true;
        handle_.resume();
        if (failure_.exception) std::rethrow_exception(failure_.exception);
    }
    /// Both. (A function of its own: in an inner block GCC 12 would move the object.)
    template <class R>
    R begun() {
        R returned = return_object();
        begin();
        return returned;
    }

private:
    std::coroutine_handle<> handle_;
    beginning_failure& failure_;
    bool begun_ = false;
};

/// A promise that takes the void result of a coroutine, or nothing.
template <class Promise>
concept returns_void = requires(Promise& p) { p.return_void(); };

/// R's promise and, around it, what the compiler asks of a driver's promise. It holds nothing else: a handle that R's
/// promise makes of itself must name the same frame. (Deriving from R's promise would not do: it may be final.)
template <class Promise, class... Args>
class driver_promise_base {
public:
    template <class Start>
        requires(sizeof...(Args) > 0 && std::constructible_from<Promise, Args&...>)
    driver_promise_base(Start&, Args&... args) : promise_(args...) {}

    template <class Start>
        requires(sizeof...(Args) == 0 || !std::constructible_from<Promise, Args&...>)
    driver_promise_base(Start&, Args&...) : promise_() {}

    std::suspend_always initial_suspend() const noexcept { return {}; }
    last_suspension<Promise> final_suspend() noexcept { return last_suspension<Promise>(promise_); }
    void unhandled_exception() noexcept(noexcept(promise_.unhandled_exception())) { promise_.unhandled_exception(); }

    template <drivers_own T>
    T&& await_transform(T&& operand) noexcept {
        return std::forward<T>(operand);
    }

protected:
    Promise promise_;
};

template <class Promise, class... Args>
class driver_promise_with_result : public driver_promise_base<Promise, Args...> {
public:
    using driver_promise_base<Promise, Args...>::driver_promise_base;

    template <class T>
    void return_value(T&& value) {
        this->promise_.return_value(std::forward<T>(value));
    }
};
template <returns_void Promise, class... Args>
class driver_promise_with_result<Promise, Args...> : public driver_promise_base<Promise, Args...> {
public:
    using driver_promise_base<Promise, Args...>::driver_promise_base;

    void return_void() { this->promise_.return_void(); }
};

/// A promise with a constructor or an operator new that would take the driver's own parameter, which is not for its
/// eyes.
template <class Promise, class Start>
concept notices = std::constructible_from<Promise, Start&> ||
                  requires(Start& start) { Promise::operator new(std::size_t{}, start); };

// How frames are allocated and freed. The compiler looks for each name, and takes what it finds for R's own wish.
struct global_new {};
template <class Promise, class... Args>
struct promises_new {
    template <class Start>
    static void* operator new(std::size_t size, Start&, Args&... args) {
        if constexpr (requires { Promise::operator new(size, args...); })
            return Promise::operator new(size, args...);
        else
            return Promise::operator new(size);
    }
};
template <allocates_without_throwing Promise, class... Args>
struct promises_new<Promise, Args...> { // not one with noexcept(…): Clang takes a condition for false
    template <class Start>
    static void* operator new(std::size_t size, Start&, Args&... args) noexcept {
        if constexpr (requires { Promise::operator new(size, args...); }) {
            static_assert(noexcept(Promise::operator new(size, args...)));
            return Promise::operator new(size, args...);
        } else {
            static_assert(noexcept(Promise::operator new(size)));
            return Promise::operator new(size);
        }
    }
};
struct global_delete {};
template <class Promise>
struct promises_delete {
    static void operator delete(void* frame, std::size_t size) noexcept {
        if constexpr (requires { Promise::operator delete(frame, size); })
            Promise::operator delete(frame, size);
        else
            Promise::operator delete(frame);
    }
};
struct throws_bad_alloc {};
template <class Promise, class... Args>
struct takes_bad_alloc {
    static driver_made<Promise, Args...> get_return_object_on_allocation_failure() noexcept { return {nullptr}; }
};

template <class Promise, class... Args>
class driver_promise
    : public driver_promise_with_result<Promise, Args...>,
      public std::conditional_t<has_operator_new<Promise, Args...>, promises_new<Promise, Args...>, global_new>,
      public std::conditional_t<has_operator_delete<Promise>, promises_delete<Promise>, global_delete>,
      public std::conditional_t<allocates_without_throwing<Promise>, takes_bad_alloc<Promise, Args...>, throws_bad_alloc> {
public:
    using driver_promise_with_result<Promise, Args...>::driver_promise_with_result;

    driver_made<Promise, Args...> get_return_object() noexcept {
        return {std::coroutine_handle<driver_promise>::from_promise(*this)};
    }
};

} // namespace weft::detail
