// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/await_request.hpp>
#include <weft/detail/driver_promise.hpp>
#include <weft/fiber.hpp>

#include <concepts>
#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

/// \file
/// Gives any C++20 coroutine type a stackful body.
///
///     asio::awaitable<int> sum(tcp::socket& socket) {      // to its callers an ordinary coroutine
///         return weft::stackful([&socket](auto& co) {      // plain code on a stack of its own
///             int total = 0;
///             parse(input, [&] { total += co.await(read_number(socket)); }); // awaits from any depth of calls
///             return total;
///         });
///     }
///
/// What is made is a real coroutine of the type R with R's own promise: it begins, suspends, ends, allocates and treats
/// exceptions as R does, and it resumes wherever the awaited operation resumes it. The stack is taken when R begins to
/// run. Destroying R's coroutine unwinds a suspended body first (weft::forced_unwind), on its own stack.
///
/// Next: weft/await.hpp, to await without `co`; weft/task.hpp, a coroutine type if you have none.
namespace weft {

/// How a body talks to the coroutine that drives it: its `co`. Lives as long as the body.
template <class Promise>
class WEFT_TAGGED coroutine_ref {
public:
    /// Made by the coroutine for its body.
    coroutine_ref(detail::driver& d, Promise& promise) noexcept : driver_{&d}, promise_{&promise} {}
    coroutine_ref(const coroutine_ref&) = delete;
    coroutine_ref& operator=(const coroutine_ref&) = delete;

    /// `co_await operand`, as R's coroutines do it: through the promise's await_transform, if it has one, and with R's
    /// handle. Ready operands cost no switch; no memory is allocated. The functions of the awaiter run on the body's
    /// stack, but await_suspend on the driver's, when the body has left.
    /// A sender (see weft/senders.hpp) that the promise does not take is awaited as by weft::await.
    /// \throws what they throw; forced_unwind if the coroutine is destroyed meanwhile. In a destructor that then runs,
    /// awaiting ends the program, as any exception that leaves a destructor does; only what is ready may be awaited
    /// there, and by weft::await alone if the promise has an await_transform.
    /// \pre called in the body, or in a fiber that it has resumed.
    template <class Operand>
    WEFT_ALWAYS_INLINE decltype(auto) await(Operand&& operand) {
        constexpr bool taken = requires { promise_->await_transform(std::forward<Operand>(operand)); };
        if constexpr (taken) { // asked first: of a final promise weft may not see that it has an await_transform
            if (driver_->body->state & detail::unwinding) [[unlikely]]
                detail::check_suspend(*driver_->body); // throws: the promise of a coroutine that is destroyed is not asked
            return await_here(promise_->await_transform(std::forward<Operand>(operand)));
        } else if constexpr (detail::has_await_transform<Promise> && detail::adapted_operand<Operand>) {
            return weft::await(std::forward<Operand>(operand));
        } else if constexpr (detail::adapted_operand<Operand>) {
            return detail::await_adapted(*driver_, std::forward<Operand>(operand));
        } else if constexpr (detail::has_await_transform<Promise>) {
            static_assert(taken,
                          "weft: the coroutines of this type cannot await this operand (their promise's await_transform "
                          "does not take it): await something their library offers, or use weft::await(operand)");
        } else {
            return await_here(std::forward<Operand>(operand));
        }
    }

    /// `co_yield value`, as R's coroutines do it.
    template <class Value>
    decltype(auto) yield(Value&& value) {
        constexpr bool possible = requires { promise_->yield_value(std::forward<Value>(value)); };
        static_assert(possible, "weft: the coroutines of this type cannot yield this value: their promise has no "
                                "yield_value for it");
        if constexpr (possible) return await_yielded(promise_->yield_value(std::forward<Value>(value)));
    }

    /// The promise of the coroutine that drives this body.
    Promise& promise() const noexcept { return *promise_; }

private:
    // Inline, so that no return follows the switch: it would be predicted from the calls of whoever ran meanwhile.
    template <class Operand>
    WEFT_ALWAYS_INLINE auto await_here(Operand&& operand) -> typename detail::await_result_of<Operand>::type {
        constexpr bool possible = awaitable_here<Operand>();
        static_assert(possible, "weft: this operand is not awaitable in coroutines of this type: it needs await_ready, "
                                "await_suspend(std::coroutine_handle<promise>) and await_resume, or an operator co_await");
        if constexpr (possible) {
            using awaiter = std::remove_reference_t<decltype(detail::get_awaiter(std::forward<Operand>(operand)))>;
            auto&& a = detail::get_awaiter(std::forward<Operand>(operand));
            if (!a.await_ready()) {
                detail::await_request request{&detail::start_await<awaiter, Promise>,
                                              const_cast<void*>(static_cast<const void*>(std::addressof(a))),
                                              detail::transfers_control<awaiter, Promise>};
                detail::suspend_for(*driver_, request);
            }
            return a.await_resume();
        }
    }

    // Not inline: GCC warns of a promise that keeps the address of a yielded temporary as soon as it sees both.
    template <class Operand>
    auto await_yielded(Operand&& operand) -> typename detail::await_result_of<Operand>::type {
        return await_here(std::forward<Operand>(operand));
    }

    template <class Operand>
    static constexpr bool awaitable_here() {
        using awaiter = std::remove_reference_t<decltype(detail::get_awaiter(std::declval<Operand>()))>;
        return detail::awaiter_in<awaiter, Promise>;
    }

    detail::driver* driver_;
    Promise* promise_;
};

/// How the coroutines of type R wait for what comes by weft::await, an operand their promise has not seen. The primary
/// template serves all whose promise has no await_transform or one that takes any awaiter; specialise it for a library
/// that insists on operations of its own (weft/asio.hpp does), with `available = true` and a static
/// `wait(detail::await_request&)` that returns an operand R's coroutines can await. Its exceptions appear at
/// weft::await.
template <class R, class Promise>
struct ambient_adapter {
    /// Can they? Where not, weft::await looks for a body further out.
    static constexpr bool available =
        !detail::has_await_transform<Promise> ||
        requires(Promise& p) { p.await_transform(std::declval<detail::ambient_wait>()); };

    /// What the coroutine awaits in the operand's place.
    static detail::ambient_wait wait(detail::await_request& request) noexcept { return {{request}}; }
};

namespace detail {

/// In place of an allocator: one, with how the body's fiber is to be made.
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
struct WEFT_TAGGED driver_start {
    Allocator allocator;
    Fn body;
};

/// Where a body leaves its result for the driver.
template <class T>
struct body_result {
    std::optional<T> value;
    template <class Call>
    void take(Call&& call) {
        value.emplace(std::forward<Call>(call)());
    }
    T give() { return std::move(*value); }
};
template <class T>
struct body_result<T&> {
    T* value = nullptr;
    template <class Call>
    void take(Call&& call) {
        value = std::addressof(std::forward<Call>(call)());
    }
    T& give() { return *value; }
};
template <>
struct body_result<void> {
    template <class Call>
    void take(Call&& call) {
        std::forward<Call>(call)();
    }
};

template <class Promise, class Result>
concept returns = requires(Promise& p, Result (*result)()) { p.return_value(result()); };
template <class Promise>
concept returns_void = requires(Promise& p) { p.return_void(); };

[[noreturn]] WEFT_API void throw_nothing_awaited();

// GCC takes a promise's operator new that sees the coroutine's parameters for a placement form that no operator delete
// matches; a coroutine's frame is always freed by the usual form ([dcl.fct.def.coroutine]/12).
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

/// The coroutine: resumes its body, awaits what the body wants awaited, and so on to the body's end. `Return` is R, or
/// driver_return<Promise, Args...> where R's promise has to be derived from.
template <class R, class Promise, class Return, class Allocator, class Fn, class... Args>
Return drive(driver_start<Allocator, Fn> start, Args... args) {
    using co_type = coroutine_ref<Promise>;
    using result_type = std::invoke_result_t<Fn&, co_type&, Args&...>;
    using adapter = ambient_adapter<R, Promise>;

    own_promise<Promise> ask;
    Promise& promise = co_await ask;
    promise_stop<Promise> stop{promise};
    body_result<result_type> result;
    driver self;
    self.stop = stop.provider();
    fiber body = make_body(start.allocator, [&] {
        co_type co{self, promise};
        result.take([&]() -> result_type { return std::invoke(start.body, co, args...); });
    });
    self.body = &fiber_access::record(body);
    self.body->details->driver = &self;
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
        if (!self.request) throw_nothing_awaited();
        await_request& request = *self.request;
        if constexpr (has_await_transform<Promise> && adapter::available) {
            if (request.kind != from_co) {
                WEFT_TRY {
                    promised_wait<Promise, decltype(adapter::wait(request))> wait{promise, adapter::wait(request)};
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
    self.body->details->driver = nullptr;

    if constexpr (can_be_stopped<Promise>) {
        if (stopped) {
            fiber{}.swap(body);
            stop.end();
            stopped_end<Promise> end{promise};
            co_await end;
        }
    }
    if constexpr (std::is_void_v<result_type>) {
        static_assert(returns_void<Promise>, "weft::stackful: the body returns nothing, but this coroutine type returns a "
                                             "value: return it from the body");
        if constexpr (returns_void<Promise>) co_return;
    } else {
        static_assert(returns<Promise, result_type>, "weft::stackful: what the body returns does not convert to what this "
                                                     "coroutine type returns: return that type from the body");
        if constexpr (returns<Promise, result_type>) co_return result.give();
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

/// The driver may be an R itself: with its parameter in place of none, R has the same promise, made in the same way.
template <class R, class Promise, class Start>
concept drives_itself = std::same_as<promise_of<R, Start>, Promise> && (std::is_final_v<Promise> || !notices<Promise, Start>);

template <class R, class... Args, class Allocator, class Fn>
R start_driver(Allocator&& allocator, Fn&& fn, Args... args) {
    static_assert(coroutine_type<R, Args...>, "weft::stackful<R>: R is not a coroutine type (it has no promise_type): name "
                                              "the return type of a coroutine, such as weft::task<int>");
    if constexpr (coroutine_type<R, Args...>) {
        using promise = promise_of<R, Args...>;
        using allocator_type = std::decay_t<Allocator>;
        using body_type = std::decay_t<Fn>;
        using start = driver_start<allocator_type, body_type>;
        constexpr bool callable = std::invocable<body_type&, coroutine_ref<promise>&, Args&...>;
        static_assert(callable, "weft::stackful: the body must be callable with `auto& co`, followed by the arguments given "
                                "to stackful");
        constexpr bool by_itself = sizeof...(Args) == 0 && !has_await_transform<promise> && drives_itself<R, promise, start>;
        static_assert(by_itself || !std::is_final_v<promise>,
                      "weft::stackful: this coroutine type has an await_transform, or its promise sees the arguments, so "
                      "its promise must be a class that can be derived from: remove its `final`");

        if constexpr (callable && by_itself) {
            return drive<R, promise, R>(start{std::forward<Allocator>(allocator), std::forward<Fn>(fn)});
        } else if constexpr (callable && !std::is_final_v<promise>) {
            using derived = driver_promise<promise, Args...>;
            static_assert(sizeof(derived) == sizeof(promise) && alignof(derived) == alignof(promise),
                          "weft::stackful: a handle made by the promise of R would not name the driver's frame");
            using returned = driver_return<promise, Args...>;
            if constexpr (std::is_void_v<R>)
                drive<R, promise, returned, allocator_type, body_type, Args...>(
                    start{std::forward<Allocator>(allocator), std::forward<Fn>(fn)}, std::forward<Args>(args)...);
            else
                return drive<R, promise, returned, allocator_type, body_type, Args...>(
                           start{std::forward<Allocator>(allocator), std::forward<Fn>(fn)}, std::forward<Args>(args)...)
                    .value;
        }
    }
}

} // namespace detail

/// A coroutine of type R whose body `fn(co, args...)` runs on its own stack, from the process-wide pool. Args are the
/// parameter types of the coroutine, as its promise sees them; they live in its frame, and so does `fn`.
/// \throws what R's promise throws when a coroutine is made, and what moving `fn` and `args` throws. A stack that
/// cannot be had (stack_exhausted) is an exception inside the coroutine, as is whatever leaves `fn`.
template <class R, class... Args, class Fn>
R stackful(Fn&& fn, Args... args) {
    return detail::start_driver<R, Args...>(default_stack_allocator{}, std::forward<Fn>(fn), std::forward<Args>(args)...);
}

/// The same on a stack from `allocator`.
template <class R, class... Args, stack_allocator Allocator, class Fn>
R stackful(std::allocator_arg_t, Allocator allocator, Fn&& fn, Args... args) {
    return detail::start_driver<R, Args...>(std::move(allocator), std::forward<Fn>(fn), std::forward<Args>(args)...);
}

/// The same two with options. With fp_env::per_fiber the body begins with the floating point of the thread that begins
/// to run the coroutine; await_suspend runs with that of the thread, when the body has left.
template <class R, class... Args, class Fn>
R stackful(fiber_options options, Fn&& fn, Args... args) {
    return stackful<R, Args...>(std::allocator_arg, default_stack_allocator{}, options, std::forward<Fn>(fn),
                                std::forward<Args>(args)...);
}
/// Both.
template <class R, class... Args, stack_allocator Allocator, class Fn>
R stackful(std::allocator_arg_t, Allocator allocator, fiber_options options, Fn&& fn, Args... args) {
    using with = detail::allocator_with_options<Allocator>;
    return detail::start_driver<R, Args...>(with{std::move(allocator), options}, std::forward<Fn>(fn),
                                            std::forward<Args>(args)...);
}

/// What stackful(fn) without R returns: becomes the coroutine when it is converted to the function's return type.
template <class Allocator, class Fn>
class stackful_proxy {
public:
    /// Made by stackful().
    stackful_proxy(Allocator allocator, Fn fn) : allocator_{std::move(allocator)}, fn_{std::move(fn)} {}
    stackful_proxy(const stackful_proxy&) = delete;
    stackful_proxy& operator=(const stackful_proxy&) = delete;

    /// The coroutine. \throws as stackful<R>(fn).
    template <class R>
        requires detail::coroutine_type<R>
    operator R() && {
        return detail::start_driver<R>(std::move(allocator_), std::move(fn_));
    }

private:
    Allocator allocator_;
    Fn fn_;
};

/// The same without R: `return weft::stackful(fn);` in a function that returns a coroutine type.
template <class Fn>
[[nodiscard]] auto stackful(Fn&& fn) {
    return stackful_proxy<default_stack_allocator, std::decay_t<Fn>>{{}, std::forward<Fn>(fn)};
}

/// The same on a stack from `allocator`.
template <stack_allocator Allocator, class Fn>
[[nodiscard]] auto stackful(std::allocator_arg_t, Allocator allocator, Fn&& fn) {
    return stackful_proxy<Allocator, std::decay_t<Fn>>{std::move(allocator), std::forward<Fn>(fn)};
}

/// The same two with options.
template <class Fn>
[[nodiscard]] auto stackful(fiber_options options, Fn&& fn) {
    return stackful(std::allocator_arg, default_stack_allocator{}, options, std::forward<Fn>(fn));
}
/// Both.
template <stack_allocator Allocator, class Fn>
[[nodiscard]] auto stackful(std::allocator_arg_t, Allocator allocator, fiber_options options, Fn&& fn) {
    using with = detail::allocator_with_options<Allocator>;
    return stackful_proxy<with, std::decay_t<Fn>>{with{std::move(allocator), options}, std::forward<Fn>(fn)};
}

} // namespace weft
