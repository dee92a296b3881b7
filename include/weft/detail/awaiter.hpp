// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <type_traits>
#include <utility>

// What the compiler does with the operand of co_await, spelled as functions ([expr.await]).

namespace weft::detail {

template <class T>
concept has_member_co_await = requires(T&& x) { std::forward<T>(x).operator co_await(); };

template <class T>
concept has_free_co_await = requires(T&& x) { operator co_await(std::forward<T>(x)); };

/// The awaiter of an operand: what its `operator co_await` gives, else the operand itself.
template <class T>
decltype(auto) get_awaiter(T&& operand) {
    if constexpr (has_member_co_await<T>)
        return std::forward<T>(operand).operator co_await();
    else if constexpr (has_free_co_await<T>)
        return operator co_await(std::forward<T>(operand));
    else
        return static_cast<T&&>(operand);
}

/// Has the three functions, whatever handle its await_suspend wants.
template <class T>
concept awaiter = requires(T& a) {
    static_cast<bool>(a.await_ready());
    a.await_resume();
};

template <class T>
concept awaitable = awaiter<std::remove_reference_t<decltype(get_awaiter(std::declval<T>()))>>;

/// Its await_suspend can be called with the handle of a coroutine whose promise is P.
template <class T, class P>
concept awaiter_in = awaiter<T> && requires(T& a, std::coroutine_handle<P> h) { a.await_suspend(h); };

/// It is awaitable in a coroutine whose promise is P, and has no await_transform.
template <class T, class P>
concept awaitable_in = awaitable<T> && awaiter_in<std::remove_reference_t<decltype(get_awaiter(std::declval<T>()))>, P>;

/// Converts to a handle, but is none.
struct any_handle {
    operator std::coroutine_handle<>() const noexcept;
};

/// Its await_suspend is one plain function that takes the handle of any coroutine, or it says that one of them does: it
/// has no wish for a promise. (A template may have one in its body, which must not even be looked at with a handle of
/// none.)
template <class T>
concept awaiter_anywhere = awaiter<T> && (requires { &T::await_suspend; } || requires { typename T::takes_any_handle; }) &&
                           requires(T& a, any_handle h) { a.await_suspend(h); };

/// The awaiter of an operand, made anew or named by a reference.
template <class T>
using awaiter_of = decltype(get_awaiter(std::declval<T>()));

/// False, but only when a template is instantiated.
template <class... Late>
inline constexpr bool refuse = false;

/// Stands for what a refused expression would give, so that the refusal is the only error: an awaiter and its result.
struct refused {
    template <class T>
    operator T() const; // NOLINT(google-explicit-constructor): it is never called
    bool await_ready() const { return true; }
    void await_suspend(std::coroutine_handle<>) const {}
    refused await_resume() const { return {}; }
};

/// A stackful() without R: it would become whatever it is asked for, so no promise is asked whether it takes it.
template <class T>
inline constexpr bool names_no_type = false;

/// What an awaiter gives.
template <class Awaiter>
using await_result = decltype(std::declval<std::remove_reference_t<Awaiter>&>().await_resume());

/// Makes an awaiter of an operand that is no awaitable by itself. Specialised, by weft/senders.hpp for senders, with
/// `available = true`, `result`, what awaiting it gives, and a static `get_awaiter(driver&, operand)`.
template <class Operand>
struct operand_adapter {
    static constexpr bool available = false;
};

/// An awaitable that weft::await leaves to the coroutine of the running body, if that is of the awaitable's own library.
/// Specialised, by weft/asio.hpp for asio::awaitable, with a static `await(driver&, operand)`.
template <class Operand>
struct ambient_operand {};

/// The compiler refuses it, but a stackful body can await it.
template <class Operand>
concept adapted_operand = !awaitable<Operand> && operand_adapter<Operand>::available;

/// The same for the awaiter of an operand, or of what is none, so that a sentence can say so.
template <class Operand>
struct await_result_of {
    using type = refused;
};
template <awaitable Operand>
struct await_result_of<Operand> {
    using type = await_result<awaiter_of<Operand>>;
};
template <adapted_operand Operand>
struct await_result_of<Operand> {
    using type = typename operand_adapter<Operand>::result;
};

// Has a class a member of this name, however overloaded, deleted or templated? Beside a second base class that has it
// too, the name is ambiguous exactly then.
struct named_await_transform {
    void await_transform();
};
struct named_yield_value {
    void yield_value();
};
struct named_operator_new {
    static void* operator new(std::size_t);
};
template <class P, class Name>
struct beside : P, Name {};

// Nothing can be derived from a final class: of that only can be seen what can be named or called.
template <class P>
concept transforms_something =
    requires { &P::await_transform; } || requires(P& p) { p.await_transform(p.get_return_object()); } ||
    requires(P& p, std::remove_reference_t<decltype(p.get_return_object())>& own) { p.await_transform(own); };

/// co_await in a coroutine with promise P goes through P::await_transform ([expr.await]/3.2). Of a final P with several:
/// one of them takes P's own coroutines.
template <class P>
concept has_await_transform = (std::is_final_v<P> && transforms_something<P>) ||
                              (!std::is_final_v<P> && !requires { &beside<P, named_await_transform>::await_transform; });

/// Frames of coroutines with promise P and parameters Args are allocated by P ([dcl.fct.def.coroutine]/9).
template <class P, class... Args>
concept has_operator_new =
    (std::is_final_v<P> && (requires(std::size_t n, Args&... args) { P::operator new(n, args...); } ||
                            requires(std::size_t n) { P::operator new(n); })) ||
    (!std::is_final_v<P> && !requires { &beside<P, named_operator_new>::operator new; });

/// They are freed by P (/12).
template <class P>
concept has_operator_delete = requires(void* frame, std::size_t n) { P::operator delete(frame, n); } ||
                              requires(void* frame) { P::operator delete(frame); };

/// Where a frame cannot be allocated, P makes the return object all the same (/10).
template <class P>
concept allocates_without_throwing = requires { P::get_return_object_on_allocation_failure(); };

} // namespace weft::detail
