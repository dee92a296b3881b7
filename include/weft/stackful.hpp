// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/await_request.hpp>
#include <weft/detail/awaiter_storage.hpp>
#include <weft/detail/driver_promise.hpp>
#include <weft/fiber.hpp>

#include <concepts>
#include <coroutine>
#include <functional>
#include <memory>
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
/// The function that returns weft::stackful(…) is no coroutine itself: its parameters end when it returns, before the body
/// begins. What the body needs of them it captures by value, as in [text = std::move(text)], or gets as an argument:
/// weft::stackful<R, std::string>(fn, std::move(text)). Only what outlives the coroutine is captured by reference.
///
/// Next: weft/await.hpp, to await without `co`; weft/task.hpp, a coroutine type if you have none.
namespace weft {

template <class Allocator, class Fn>
class stackful_proxy;

namespace detail {

template <class Allocator, class Fn>
inline constexpr bool names_no_type<stackful_proxy<Allocator, Fn>> = true;

/// The type of the coroutines with promise P, where that can be told from P.
template <class P>
using coroutine_of = std::remove_cvref_t<decltype(std::declval<P&>().get_return_object())>;

/// A coroutine with promise P that is compiled, but never called: whether a final P has an await_transform, and refuses
/// the operand, only the compiler can see, of a co_await.
template <class P, class Operand>
coroutine_of<P> await_in_plain_coroutine(Operand& operand) {
    for (;;) co_await static_cast<Operand&&>(operand);
}
template <class P, class Operand>
concept has_plain_coroutine = requires {
    requires std::same_as<typename std::coroutine_traits<coroutine_of<P>, Operand&>::promise_type, P>;
    requires std::default_initializable<P> || std::constructible_from<P, Operand&>;
};

} // namespace detail

/// How a body talks to the coroutine that drives it: its `co`. Lives as long as the body.
template <class Promise>
class WEFT_TAGGED coroutine_ref {
    template <class Operand>
    using await_storage = detail::awaiter_storage<typename detail::await_source<Promise, Operand>::type>;
    template <class Value>
    using yield_storage = detail::awaiter_storage<typename detail::yield_source<Promise, Value>::type>;

public:
    /// Made by the coroutine for its body.
    coroutine_ref(detail::driver& d, Promise& promise) noexcept : driver_{&d}, promise_{&promise} {}
    coroutine_ref(const coroutine_ref&) = delete;
    coroutine_ref& operator=(const coroutine_ref&) = delete;

    /// `co_await operand`, as R's coroutines do it: through the promise's await_transform, if it has one, and with R's
    /// handle. Ready operands cost no switch; no memory is allocated. The functions of the awaiter run on the body's
    /// stack, but await_suspend on the driver's, when the body has left.
    /// A sender (see weft/senders.hpp) that the promise does not take is awaited as by weft::await.
    /// The result is what await_resume returns; what it may refer to, an awaiter that await_transform or operator
    /// co_await returned by value, lives to the end of the full-expression, as with co_await. (`kept` holds it: leave
    /// it out.)
    /// \throws what they throw; forced_unwind if the coroutine is destroyed meanwhile. In a destructor that then runs,
    /// awaiting ends the program, as any exception that leaves a destructor does; only what is ready may be awaited
    /// there, and by weft::await alone if the promise has an await_transform.
    /// \pre called in the body, or in a fiber that it has resumed.
    template <class Operand>
    WEFT_NO_DANGLING WEFT_ALWAYS_INLINE decltype(auto) await(Operand&& operand, await_storage<Operand>&& kept = {}) {
        constexpr bool taken = detail::transforms<Promise, Operand>;
        if constexpr (detail::names_no_type<std::remove_cvref_t<Operand>>) {
            return operand.operator co_await();
        } else if constexpr (taken) { // asked first: of a final promise weft may not see that it has an await_transform
            ask_promise();
            const auto make = [&]() -> decltype(auto) { return promise_->await_transform(std::forward<Operand>(operand)); };
            return await_made<Operand>(make, kept);
        } else if constexpr (detail::has_await_transform<Promise> && detail::adapted_operand<Operand>) {
            return weft::await(std::forward<Operand>(operand));
        } else if constexpr (detail::adapted_operand<Operand>) {
            return detail::await_adapted(*driver_, std::forward<Operand>(operand));
        } else if constexpr (detail::has_await_transform<Promise>) {
            static_assert(taken,
                          "weft: the coroutines of this type cannot await this operand (their promise's await_transform "
                          "does not take it): await something their library offers, or use weft::await(operand)");
            return detail::refused{};
        } else {
            if constexpr (std::is_final_v<Promise> && detail::has_plain_coroutine<Promise, Operand>)
                static_cast<void>(&detail::await_in_plain_coroutine<Promise, Operand>);
            return await_made<Operand>([&]() -> Operand&& { return static_cast<Operand&&>(operand); }, kept);
        }
    }

    /// `co_yield value`, as R's coroutines do it. What yield_value returned by value lives to the end of the
    /// full-expression. (`kept` holds it: leave it out.)
    /// \throws as await, and what yield_value throws.
    /// \pre as await.
    template <class Value>
    decltype(auto) yield(Value&& value, yield_storage<Value>&& kept = {}) {
        constexpr bool possible = requires { promise_->yield_value(std::forward<Value>(value)); };
        static_assert(possible, "weft: the coroutines of this type cannot yield this value: their promise has no "
                                "yield_value for it");
        if constexpr (possible) {
            ask_promise();
            const auto make = [&]() -> decltype(auto) { return promise_->yield_value(std::forward<Value>(value)); };
            return await_yielded<Value>(make, kept);
        } else {
            return detail::refused{};
        }
    }

    /// The promise of the coroutine that drives this body.
    Promise& promise() const noexcept { return *promise_; }

private:
    // The promise of a coroutine that is being destroyed is not asked.
    WEFT_ALWAYS_INLINE void ask_promise() const {
        if (driver_->body->state & detail::unwinding) [[unlikely]]
            detail::check_suspend(*driver_->body); // throws
    }

    // Awaits what `make` returns. Inline, so that no return follows the switch: it would be predicted from the calls of
    // whoever ran meanwhile.
    template <class Operand, class Make, class Source>
    WEFT_ALWAYS_INLINE auto await_made(const Make& make, detail::awaiter_storage<Source>& kept) ->
        typename detail::await_result_of<Source>::type {
        constexpr bool possible = detail::awaitable_in<Source, Promise>;
        static_assert(possible, "weft: this operand is not awaitable in coroutines of this type: it needs await_ready, "
                                "await_suspend(std::coroutine_handle<promise>) and await_resume, or an operator co_await (one "
                                "that argument-dependent lookup does not find is called by hand: operator co_await(operand); "
                                "an operation of Asio takes weft::use_fiber as its token)");
        if constexpr (possible) {
            using awaiter = std::remove_reference_t<detail::awaiter_of<Source>>;
            using result = typename detail::await_result_of<Source>::type;
            const detail::storage_end<detail::ends_with_call<Operand, result>, detail::awaiter_storage<Source>> end{kept};
            auto&& a = kept.awaiter.make(
                [&]() -> decltype(auto) { return detail::get_awaiter(static_cast<Source&&>(kept.source.make(make))); });
            if (!a.await_ready()) {
                detail::await_request request{&detail::start_await<awaiter, Promise>,
                                              const_cast<void*>(static_cast<const void*>(std::addressof(a))),
                                              detail::transfers_control<awaiter, Promise>};
                detail::suspend_for(*driver_, request);
            }
            return a.await_resume();
        } else if constexpr (!detail::awaitable<Source>) {
            return {};
        }
    }

    // Not inline: GCC warns of a promise that keeps the address of a yielded temporary as soon as it sees both.
    template <class Value, class Make, class Source>
    auto await_yielded(const Make& make, detail::awaiter_storage<Source>& kept) ->
        typename detail::await_result_of<Source>::type {
        return await_made<Value>(make, kept);
    }

    detail::driver* driver_;
    Promise* promise_;
};

namespace detail {

/// How the coroutines of type R come to await a weft::await, which is no operand of their own.
enum class ambient_way {
    asked,  // as an operand of their promise's await_transform
    past_it, // as what the driver awaits for itself
    none    // not at all
};

// Functions of that name that take anything. Beside them a call is ambiguous exactly if P's takes anything, too, and then
// P's is not compiled: its body may refuse the operand by a static_assert, which no concept can see.
struct takes_any_rvalue {
    template <class T, int = 0>
    void await_transform(T&&);
    template <class T, int = 0>
    void await_transform(T&&) const;
};
struct takes_any_constant {
    template <class T, int = 0>
    void await_transform(const T&);
    template <class T, int = 0>
    void await_transform(const T&) const;
};
template <class P, class Name>
struct beside_transforms : P, Name {
    using P::await_transform;
    using Name::await_transform;
};
struct no_awaiter {};

template <class P, class Name>
concept ambiguous_beside = !requires(beside_transforms<P, Name>& p, no_awaiter o) { p.await_transform(std::move(o)); } ||
                           !requires(const beside_transforms<P, Name>& p, no_awaiter o) { p.await_transform(std::move(o)); };

template <class P>
concept transforms_anything = !std::is_final_v<P> && // of that it cannot be seen
                              (ambiguous_beside<P, takes_any_rvalue> || ambiguous_beside<P, takes_any_constant>);

template <class R, class Promise>
consteval ambient_way find_ambient_way() {
    if constexpr (!has_await_transform<Promise>)
        return ambient_way::past_it;
    else if constexpr (transforms_anything<Promise> && !awaitable<R>)
        return requires { &beside<Promise, named_yield_value>::yield_value; } ? ambient_way::past_it : ambient_way::none;
    else
        return transforms<Promise, ambient_wait> ? ambient_way::asked : ambient_way::none;
}

} // namespace detail

/// How the coroutines of type R wait for what comes by weft::await, an operand their promise has not seen. The primary
/// template serves all whose promise has no await_transform or one that takes any awaiter; specialise it for a library
/// that insists on operations of its own (weft/asio.hpp does), with `available = true` and a static
/// `wait(detail::await_request&)` that returns an operand R's coroutines can await. Its exceptions appear at
/// weft::await. Without `wait` the promise is passed by. (One that takes a detail::coroutine_stop<R, Promise>::type&, too,
/// is given what knows the cancellation of R's coroutine.)
/// An await_transform that takes anything may still refuse weft's operand by a static_assert, which cannot be asked. It
/// is asked where an R is awaitable itself (specialise this with `available = false` if it refuses). Of other types it
/// is passed by, but a generator's body waits further out.
template <class R, class Promise>
struct ambient_adapter {
    /// Can they? Where not, weft::await looks for a body further out.
    static constexpr bool available = detail::find_ambient_way<R, Promise>() != detail::ambient_way::none;

    /// What the coroutine awaits in the operand's place.
    static detail::ambient_wait wait(detail::await_request& request) noexcept
        requires(detail::find_ambient_way<R, Promise>() == detail::ambient_way::asked)
    {
        return {{request}};
    }
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
    beginning_failure* failure = nullptr; // of a driver with a promise of its own
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

/// A promise whose return_value takes anything may make R's value of it only inside, where the compiler's errors speak
/// of that library's insides, as of Asio's. What R's value is can be told if R is awaited without an operator co_await.
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

/// The adapter has an operand of its own for an ambient await, which is made with what knows the cancellation, or without.
template <class Adapter, class Stop>
concept waits_with_stop = requires(await_request& request, Stop& stop) { Adapter::wait(request, stop); };
template <class Adapter, class Stop>
concept waits_itself = waits_with_stop<Adapter, Stop> || requires(await_request& request) { Adapter::wait(request); };

[[noreturn]] WEFT_API void throw_nothing_awaited();

/// What the adapter of R's library offers below the bodies of R's coroutines.
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
// And it warns of the linkage of a frame that holds a body made in another body, as if somebody could name the frame.
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#    pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

/// The coroutine: resumes its body, awaits what the body wants awaited, and so on to the body's end. `Return` is R, or
/// driver_made<Promise, Args...> where R's promise has to be in one of the driver's own.
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

/// The driver may be an R itself: with its parameter in place of none, R has the same promise, made in the same way, and
/// awaits what the driver awaits.
template <class R, class Promise, class Start>
concept drives_itself = std::same_as<promise_of<R, Start>, Promise> && !std::is_final_v<Promise> &&
                        !has_await_transform<Promise> && !notices<Promise, Start>;

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

} // namespace detail

/// The type of `co` in the bodies of coroutines of type R (with parameters Args): for functions that are no templates,
/// and for callbacks that get it as a void*.
///
///     auto& co = *static_cast<weft::coroutine_ref_for<asio::awaitable<int>>*>(user_data);
template <class R, class... Args>
using coroutine_ref_for = coroutine_ref<detail::promise_of<R, Args...>>;

/// A coroutine of type R whose body `fn(co, args...)` runs on its own stack, from the process-wide pool. Args are the
/// parameter types of the coroutine, as its promise sees them; they live in its frame, and so does `fn`.
///
/// GCC 12 destroys a lambda that is a temporary of a co_await expression twice: where `fn` has captured something by value,
/// name it first, or return the coroutine from a function.
///
///     auto body = [p = std::move(p)](auto& co) { … };
///     co_await weft::stackful<R>(std::move(body)); // not co_await weft::stackful<R>([p = std::move(p)](auto& co) { … })
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

/// \cond
#define WEFT_NAME_THE_TYPE "weft::stackful: name the coroutine type: weft::stackful<R>(fn)"
/// \endcond

/// What stackful(fn) without R returns: becomes the coroutine when it is converted to the function's return type.
template <class Allocator, class Fn>
class stackful_proxy {
public:
    /// Made by stackful().
    stackful_proxy(Allocator allocator, Fn fn) : allocator_{std::move(allocator)}, fn_{std::move(fn)} {}
    stackful_proxy(stackful_proxy&&) = default; ///< a library may take it by value before it is refused
    stackful_proxy& operator=(stackful_proxy&&) = delete;

    /// The coroutine. \throws as stackful<R>(fn).
    template <class R>
        requires detail::coroutine_type<R>
    operator R() && {
        return detail::start_driver<R>(std::move(allocator_), std::move(fn_));
    }

    /// Refused, by a sentence: nothing says which coroutine it is to be.
    template <class Late = void>
    detail::refused operator co_await() const {
        static_assert(detail::refuse<Late>, WEFT_NAME_THE_TYPE);
        return {};
    }
    /// The same for asio::co_spawn, which calls it for an awaitable.
    template <class Late = void>
    auto operator()() const {
        static_assert(detail::refuse<Late>, WEFT_NAME_THE_TYPE);
        return detail::refused{};
    }
    /// The same for co_await in an asio::awaitable, which calls what it does not know with its frame.
    template <class Frame>
    auto operator()(Frame*) const {
        static_assert(detail::refuse<Frame>, WEFT_NAME_THE_TYPE);
        return detail::refused{};
    }

private:
    Allocator allocator_;
    Fn fn_;
};

/// \cond
#undef WEFT_NAME_THE_TYPE
/// \endcond

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
