// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/awaiter.hpp>
#include <weft/detail/fiber_record.hpp>
#include <weft/detail/throw_or_die.hpp>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// await_request::kind, which says what `awaiter` is. Numbers, not addresses of variables in headers: of those each
/// shared object with hidden symbols has its own.
inline constexpr std::uint64_t from_co = 0;
/// Whatever weft::await awaits. An adapter has more for each library and version whose operations it awaits itself.
inline constexpr std::uint64_t ambient_kind = 1;

/// What a body that suspends in an await hands to the coroutine that drives it. Lies on the body's stack, beside the
/// awaiter, which it hides the type of.
struct await_request {
    /// Calls await_suspend with the driver's handle, on the driver's stack, when the body has left its own: whoever
    /// completes the awaited operation may resume the driver at once, on any thread, so nothing of the request may be
    /// touched after the call. Returns the coroutine to go on with; null if the driver stays suspended.
    std::coroutine_handle<> (*start)(await_request&, std::coroutine_handle<> driver) noexcept;
    void* awaiter;
    bool transfers;            // await_suspend names the coroutine that runs next
    std::uint64_t kind = from_co; // else the driver's promise has not seen the operand
    std::exception_ptr failure = nullptr; // what await_suspend threw
};

struct stop_answer; // a std::stop_token: see weft/stop_token.hpp, which not every program needs
class WEFT_API cancellable_wait;

/// Knows what may cancel a coroutine. Asked by the coroutine, or by what it awaits, while it runs.
class stop_provider {
public:
    virtual void answer(stop_answer& to) = 0;
    /// The wait of an outer coroutine that knows more of its cancellation than a stop token does: whatever awaits below it
    /// is cancelled with it. Null: the stop token says all.
    virtual cancellable_wait* waiting() noexcept { return nullptr; }

protected:
    ~stop_provider() = default;
};

/// A promise whose coroutines may be told to stop.
template <class P>
concept has_stop_provider = requires(P& p) {
    { p.stop() } -> std::same_as<stop_provider*>;
};

/// What a coroutine offers to those below its stackful body who know it only as a driver. `kind`, an await_request::kind,
/// says whose it is: its adapter derives from it.
struct driver_services {
    std::uint64_t kind;
};

/// A coroutine with a stackful body, as the body sees it.
struct WEFT_TAGGED driver {
    fiber_record* body = nullptr;
    await_request* request = nullptr; // set by the body while it is suspended in an await
    bool takes_foreign = false;       // weft::await may suspend it
    stop_provider* stop = nullptr;    // null: nobody will tell it to stop
    driver_services* services = nullptr; // null: it offers none
    unsigned nested = 0;              // how many operations in a row its adapter went on with inside of each other
};

/// The exception that has left what starts an operation or a coroutine, in its handler. Its caller can let nothing
/// through: what cannot be held ends the program, with a sentence.
WEFT_TAGGED inline std::exception_ptr held_exception() noexcept {
    std::exception_ptr e = exception_in_hand();
    if (!e)
        fatal("weft: what is no C++ exception, or the end of a thread (pthread_exit, pthread_cancel), left what starts an "
              "awaited operation or a coroutine (await_suspend, an initiation, initial_suspend): catch it there, or disable "
              "the thread's cancellation");
    return e;
}

template <class Awaiter, class Promise>
using await_suspend_result =
    decltype(std::declval<Awaiter&>().await_suspend(std::declval<std::coroutine_handle<Promise>>()));

template <class Awaiter, class Promise>
inline constexpr bool transfers_control = !std::is_void_v<await_suspend_result<Awaiter, Promise>> &&
                                          !std::is_same_v<await_suspend_result<Awaiter, Promise>, bool>;

/// await_request::start for an awaiter that wants the handle of a coroutine with promise `Promise`.
template <class Awaiter, class Promise>
std::coroutine_handle<> start_await(await_request& request, std::coroutine_handle<> driver) noexcept {
    auto& awaiter = *static_cast<Awaiter*>(request.awaiter);
    const auto handle = std::coroutine_handle<Promise>::from_address(driver.address());
    WEFT_TRY {
        if constexpr (std::is_void_v<await_suspend_result<Awaiter, Promise>>) {
            awaiter.await_suspend(handle);
            return nullptr;
        } else if constexpr (transfers_control<Awaiter, Promise>) {
            return awaiter.await_suspend(handle);
        } else {
            return awaiter.await_suspend(handle) ? nullptr : driver;
        }
    }
    WEFT_CATCH(...) { // then the coroutine counts as resumed, and the exception as that of co_await ([expr.await]/5.1.3)
        request.failure = held_exception();
        return driver;
    }
}

/// The body of `d`; mostly the running fiber, which the thread knows. What leads to `d` lies on the body's stack, which
/// may be cold: where the resumer goes on should be known, and its code run ahead, before that has arrived. Hence a
/// branch, which is predicted, and no selection; the empty instructions keep the compiler from making it one, and from
/// taking d.body for the fiber it has been found equal to.
WEFT_ALWAYS_INLINE fiber_record* body_of(const driver& d) noexcept {
    auto* const running = reinterpret_cast<fiber_record*>(const_cast<std::byte*>(thread_pointers{}.asked()));
    auto* same = running;
    asm("" : "+r"(same));
    if (same == d.body) [[likely]]
        return running;
    asm volatile("");
    return d.body;
}

/// Suspends the body, and with it the fibers between it and the caller, until the awaited operation has resumed its
/// driver. On the body's side.
WEFT_ALWAYS_INLINE void suspend_for(driver& d, await_request& request) {
    {
        struct withdrawal {
            driver& d;
            ~withdrawal() { d.request = nullptr; }
        } const at_the_end{d};
        d.request = &request;
        suspend(*body_of(d));
    }
    if (request.failure) [[unlikely]]
        std::rethrow_exception(std::move(request.failure));
}

/// The driver's side of an await whose await_suspend names the coroutine that runs next.
struct transferring_wait {
    await_request& request;

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> driver) const noexcept {
        const std::coroutine_handle<> next = request.start(request, driver);
        return next ? next : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
};

/// The driver's side of a weft::await: an operand for the promise's await_transform, if it takes any awaiter.
struct ambient_wait : transferring_wait {};

/// The driver's side of an await whose await_suspend returns void or bool. Kept apart, because going on at once is then
/// no transfer of control, which some compilers make a nested call without optimisation.
struct plain_wait {
    await_request& request;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> driver) const noexcept { return !request.start(request, driver); }
    void await_resume() const noexcept {}
};

} // namespace weft::detail
