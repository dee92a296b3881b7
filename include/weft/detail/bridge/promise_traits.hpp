// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <type_traits>

// What the compiler asks of a promise, spelled as concepts ([dcl.fct.def.coroutine]).

namespace weft::detail {

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
