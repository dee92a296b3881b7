// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/base/config.hpp>
#include <weft/detail/bridge/ambient_way.hpp>
#include <weft/detail/bridge/await_request.hpp>
#include <weft/detail/bridge/awaiter_storage.hpp>
#include <weft/detail/bridge/driver.hpp>
#include <weft/detail/bridge/driver_promise.hpp>
#include <weft/detail/bridge/promise_traits.hpp>
#include <weft/detail/thread/exception_in_hand.hpp>
#include <weft/fiber.hpp>

#include <concepts>
#include <coroutine>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace weft {
template <class Promise>
class WEFT_ABI_TAG coroutine_ref;
template <class R, class Promise>
struct ambient_adapter;
} // namespace weft

namespace weft::detail {

/// Passed in place of an allocator: an allocator, and the options of the body's fiber.
template <class Allocator>
struct allocator_with_options {
    Allocator allocator;
    fiber_options options;
};

template <class Allocator, class Fn>
fiber make_body(const Allocator& allocator, Fn&& fn) {
    return fiber{std::allocator_arg, allocator, std::forward<Fn>(fn)};
}
template <class Allocator, class Fn>
fiber make_body(const allocator_with_options<Allocator>& with, Fn&& fn) {
    return fiber{std::allocator_arg, with.allocator, with.options, std::forward<Fn>(fn)};
}

/// The first parameter of every driver.
template <class Allocator, class Fn>
struct WEFT_ABI_TAG driver_start {
    Allocator allocator;
    Fn body;
    beginning_failure* failure = nullptr; // null if the driver is an R itself, see drives_itself
};

/// Where a body leaves its result for the driver.
template <class T>
struct body_result {
    made_later<T> value;
    template <class Call>
    void take(Call&& call) {
        value.make(std::forward<Call>(call));
    }
    T&& give() { return value.get(); }
};
template <class T>
    requires std::is_reference_v<T>
struct body_result<T> {
    std::add_pointer_t<T> value = nullptr;
    template <class Call>
    void take(Call&& call) {
        auto&& result = std::forward<Call>(call)();
        value = std::addressof(result);
    }
    T&& give() { return static_cast<T&&>(*value); }
};
template <>
struct body_result<void> {
    template <class Call>
    void take(Call&& call) {
        std::forward<Call>(call)();
    }
};

/// A return_value that accepts anything converts it to R's value in its body, where a compiler's error points into that
/// library (Asio's does so). This tests the conversion beforehand, where R's value can be told: R has no operator co_await.
template <class R, class Promise, class Result>
concept fails_inside_return_value =
    requires(Promise& p, no_awaiter any) { p.return_value(std::move(any)); } &&
    requires(R& coroutine) {
        { coroutine.await_resume() } -> std::same_as<typename R::value_type>;
    } &&
    !std::constructible_from<typename R::value_type, Result>;

template <class R, class Promise, class Result>
concept returns = requires(Promise& p, Result&& result) { p.return_value(std::forward<Result>(result)); } &&
                  !fails_inside_return_value<R, Promise, Result>;

/// The adapter makes an operand of its own for an ambient await: from the request and the coroutine's stop object, or
/// from the request alone.
template <class Adapter, class Stop>
concept waits_with_stop = requires(await_request& request, Stop& stop) { Adapter::wait(request, stop); };
template <class Adapter, class Stop>
concept waits_itself = waits_with_stop<Adapter, Stop> || requires(await_request& request) { Adapter::wait(request); };

[[noreturn]] WEFT_API void throw_nothing_awaited();

/// What the adapter of R's library offers to code that the bodies of R's coroutines call.
template <class Adapter, class Promise>
struct services_of {
    explicit services_of(Promise&) noexcept {}
    driver_services* get() noexcept { return nullptr; }
};
template <class Adapter, class Promise>
    requires requires { typename Adapter::services; }
struct services_of<Adapter, Promise> {
    explicit services_of(Promise& promise) noexcept : services_(promise) {}
    driver_services* get() noexcept { return &services_; }

private:
    typename Adapter::services services_;
};

// GCC takes a promise's operator new that sees the coroutine's parameters for a placement form that no operator delete
// matches; a coroutine's frame is always freed by the usual form ([dcl.fct.def.coroutine]/12).
// And it warns of the linkage of a frame that holds a body made in another body, as if other code could name the frame.
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#    pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

/// The coroutine: resumes its body, awaits what the body wants awaited, and so on to the body's end. `Return` is R, or
/// driver_made<Promise, Args...>, whose promise contains R's (see drives_itself).
/// `self` comes before `body`: so the fiber is unwound first when the frame is destroyed, and its owner stays valid.
template <class R, class Promise, class Return, class Allocator, class Fn, class... Args>
Return drive(driver_start<Allocator, Fn> start, Args... args) {
    using co_type = coroutine_ref<Promise>;
    using result_type = std::invoke_result_t<Fn&, co_type&, Args&...>;
    using adapter = ambient_adapter<R, Promise>;
    using stop_type = typename coroutine_stop<R, Promise>::type;

    own_promise<Promise> ask;
    Promise& promise = co_await ask;
    if constexpr (!std::same_as<Return, R>) {
        first_suspension<Promise> first(promise, *start.failure);
        co_await first.get();
    }
    stop_type stop{promise};
    body_result<result_type> result;
    services_of<adapter, Promise> services{promise};
    driver self;
    self.stop = stop.provider();
    self.services = services.get();
    fiber body = make_body(start.allocator, [&] {
        co_type co{self, promise};
        result.take([&]() -> result_type { return std::invoke(start.body, co, args...); });
    });
    own(self, fiber_access::record(body));
    self.takes_foreign = adapter::available;

    [[maybe_unused]] bool stopped = false;
    for (;;) {
        if constexpr (can_be_stopped<Promise>) {
            WEFT_TRY {
                body.resume();
            }
            WEFT_CATCH(const operation_stopped&) {
                stopped = true;
            }
        } else {
            body.resume();
        }
        if (body.done()) break;
        if (!self.request) throw_nothing_awaited(); // the body has suspended the fiber by itself
        await_request& request = *self.request;
        if constexpr (adapter::available && waits_itself<adapter, stop_type>) {
            if (request.kind != from_co) {
                WEFT_TRY {
                    const auto operand = [&] {
                        if constexpr (waits_with_stop<adapter, stop_type>)
                            return adapter::wait(request, stop);
                        else
                            return adapter::wait(request);
                    };
                    promised_wait<Promise, decltype(operand())> wait{promise, operand()};
                    co_await wait.get();
                }
                WEFT_CATCH(...) {
                    request.failure = unhandled_in_hand();
                }
                continue;
            }
        }
        if (request.transfers) {
            transferring_wait wait{request};
            co_await wait;
        } else {
            plain_wait wait{request};
            co_await wait;
        }
    }
    disown(self);

    if constexpr (can_be_stopped<Promise>) {
        if (stopped) {
            fiber{}.swap(body); // destroys the fiber before its coroutine ends
            stop.end();
            stopped_end<Promise> end{promise};
            co_await end;
        }
    }
    if constexpr (std::is_void_v<result_type>) {
        // The condition once more, so that the compiler says nothing but the sentence.
        static_assert(returns_void<Promise>, "weft::stackful: the body returns nothing, but this coroutine type returns a "
                                             "value: return it from the body");
        if constexpr (returns_void<Promise>) co_return;
    } else {
        static_assert(returns<R, Promise, result_type>, "weft::stackful: what the body returns does not convert to what this "
                                                        "coroutine type returns: return that type from the body");
        if constexpr (returns<R, Promise, result_type>) co_return result.give();
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic pop
#endif

/// The promise of a coroutine R(Args...).
template <class R, class... Args>
using promise_of = typename std::coroutine_traits<R, Args...>::promise_type;

template <class R, class... Args>
concept coroutine_type = requires { typename promise_of<R, Args...>; };

/// The driver may be an R itself: R declared with the driver's parameter has the promise that it has without one, made in
/// the same way, and that promise awaits what the driver awaits.
template <class R, class Promise, class Start>
concept drives_itself = std::same_as<promise_of<R, Start>, Promise> && !std::is_final_v<Promise> &&
                        !has_await_transform<Promise> && !notices<Promise, Start>;

/// A body is called directly, if it can be: the compiler's notes on an error inside of it are shorter.
template <class Fn, class... Args>
concept calls_body = requires(Fn& fn, Args&... args) { fn(args...); } || std::invocable<Fn&, Args&...>;

template <class R, class... Args, class Allocator, class Fn>
R start_driver(Allocator&& allocator, Fn&& fn, Args... args) {
    static_assert(coroutine_type<R, Args...>, "weft::stackful<R>: R is not a coroutine type (it has no promise_type): name "
                                              "the return type of a coroutine, such as weft::task<int>");
    if constexpr (coroutine_type<R, Args...>) {
        using promise = promise_of<R, Args...>;
        using allocator_type = std::decay_t<Allocator>;
        using body_type = std::decay_t<Fn>;
        using start = driver_start<allocator_type, body_type>;
        constexpr bool callable = calls_body<body_type, coroutine_ref<promise>, Args...>;
        static_assert(callable, "weft::stackful: the body must be callable with `auto& co`, followed by the arguments given "
                                "to stackful");
        if constexpr (!callable) {
        } else if constexpr (sizeof...(Args) == 0 && drives_itself<R, promise, start>) {
            return drive<R, promise, R>(start{std::forward<Allocator>(allocator), std::forward<Fn>(fn)});
        } else {
            using own = driver_promise<promise, Args...>;
            static_assert(sizeof(own) == sizeof(promise) && alignof(own) == alignof(promise),
                          "weft::stackful: a handle made by the promise of R would not name the driver's frame");
            using object = decltype(std::declval<promise&>().get_return_object());
            beginning_failure failure;
            const auto made = drive<R, promise, driver_made<promise, Args...>, allocator_type, body_type, Args...>(
                start{std::forward<Allocator>(allocator), std::forward<Fn>(fn), &failure}, std::forward<Args>(args)...);
            if constexpr (allocates_without_throwing<promise>)
                if (!made.handle) return promise::get_return_object_on_allocation_failure();
            driver_beginning<promise, Args...> beginning(made, failure);
            constexpr bool same = std::same_as<std::remove_cv_t<object>, R>;
            if constexpr (std::is_void_v<R> || (same && !std::move_constructible<R>)) {
                return beginning.return_object();
            } else if constexpr (same) {
                return beginning.template begun<R>();
            } else { // it becomes an R when the coroutine has begun, as in a plain coroutine
                object&& returned = beginning.return_object();
                beginning.begin();
                return static_cast<object&&>(returned);
            }
        }
    }
}

} // namespace weft::detail
