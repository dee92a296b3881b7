// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "matrix_cell.hpp"

#include <weft/await.hpp>
#include <weft/stackful.hpp>

#include <array>
#include <cstdlib>
#include <tuple>
#include <type_traits>
#include <utility>

// The awaits of the matrix: one function for each kind of operand, and way to await it.

namespace matrix {

struct can_be_copied {};
struct cannot_be_copied {
    cannot_be_copied() = default;
    cannot_be_copied(const cannot_be_copied&) = delete;
};
template <operand Given>
using mobility = std::conditional_t<Given == operand::immovable, cannot_be_copied, can_be_copied>;

template <class T>
struct result_of_await {
    static T make(cell& c) {
        if constexpr (std::is_same_v<T, int>)
            return 42;
        else if constexpr (std::is_same_v<T, int&>)
            return c.with.object;
        else if constexpr (std::is_same_v<T, box>)
            return box{c};
        else if constexpr (std::is_same_v<T, box&&>)
            return std::move(c.kept);
    }
    static bool is(cell& c, auto&& got) {
        if constexpr (std::is_same_v<T, int>)
            return got == 42;
        else if constexpr (std::is_same_v<T, int&>)
            return &got == &c.with.object;
        else
            return got.is_of(c) && (&got == &c.kept) == std::is_reference_v<T>;
    }
};

/// The suspending half of an awaiter, in each form.
template <form Form>
struct suspends;
template <>
struct suspends<form::returns_void> {
    cell* asked;
    void await_suspend(std::coroutine_handle<> h) {
        asked->in_suspend();
        asked->complete(h);
    }
};
template <>
struct suspends<form::returns_bool> {
    cell* asked;
    bool await_suspend(std::coroutine_handle<> h) {
        asked->in_suspend();
        if (asked->refuses()) return false;
        asked->complete(h);
        return true;
    }
};
template <>
struct suspends<form::returns_handle> {
    cell* asked;
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) {
        asked->in_suspend();
        return asked->goes_on_with(h);
    }
};
template <>
struct suspends<form::templated> {
    cell* asked;
    template <class P>
    bool await_suspend(std::coroutine_handle<P> h) {
        static_assert(!std::is_void_v<P>);
        if (std::coroutine_handle<P>::from_promise(h.promise()) != h) std::abort();
        asked->in_suspend();
        if (asked->refuses()) return false;
        asked->complete(h);
        return true;
    }
};

template <form Form, operand Given, class T>
class awaiter : counted_part, mobility<Given>, public suspends<Form> {
public:
    explicit awaiter(cell& c) : counted_part{c}, suspends<Form>{&c} {}

    bool await_ready() { return this->asked->in_ready(); }
    T await_resume() {
        this->asked->in_resume();
        if constexpr (!std::is_void_v<T>) return result_of_await<T>::make(*this->asked);
    }
};

/// Its operator gives an lvalue an awaiter that lies in the operand, an rvalue a new one.
template <form Form, operand Given, class T>
class has_member : counted_part, mobility<Given> {
public:
    using awaiter_type = awaiter<Form, Given, T>;
    explicit has_member(cell& c) : counted_part{c}, inner_{c} {}

    awaiter_type& operator co_await() & {
        cell_->in_operator(true);
        return inner_;
    }
    awaiter_type operator co_await() && {
        cell_->in_operator(false);
        return awaiter_type{*cell_};
    }

private:
    awaiter_type inner_;
};

template <form Form, operand Given, class T>
struct has_free : counted_part, mobility<Given> {
    explicit has_free(cell& c) : counted_part{c} {}
    cell& of() const noexcept { return *cell_; }
};
template <form Form, operand Given, class T>
awaiter<Form, Given, T> operator co_await(has_free<Form, Given, T>& o) {
    o.of().in_operator(true);
    return awaiter<Form, Given, T>{o.of()};
}
template <form Form, operand Given, class T>
awaiter<Form, Given, T> operator co_await(has_free<Form, Given, T>&& o) {
    o.of().in_operator(false);
    return awaiter<Form, Given, T>{o.of()};
}

/// The two ways to await.
struct by_weft_await {
    explicit by_weft_await(void*) {}
    template <class Operand>
    decltype(auto) operator()(Operand&& o) const {
        return weft::await(std::forward<Operand>(o));
    }
};
template <class Promise>
struct by_co_await {
    weft::coroutine_ref<Promise>& co;
    explicit by_co_await(void* c) : co{*static_cast<weft::coroutine_ref<Promise>*>(c)} {}
    template <class Operand>
    decltype(auto) operator()(Operand&& o) const {
        return co.await(std::forward<Operand>(o));
    }
};

template <class Way, form Form, origin From, operand Given, class T>
void await_one(cell& c, void* co) {
    using operand_type = std::conditional_t<
        From == origin::itself, awaiter<Form, Given, T>,
        std::conditional_t<From == origin::member, has_member<Form, Given, T>, has_free<Form, Given, T>>>;
    const leaving note{c};
    const Way await{co};
    if constexpr (Given == operand::immovable) {
        if constexpr (std::is_void_v<T>)
            await(operand_type{c});
        else
            c.right = result_of_await<T>::is(c, await(operand_type{c}));
    } else {
        operand_type o{c};
        using reference = std::conditional_t<Given == operand::lvalue, operand_type&, operand_type&&>;
        static_assert(std::is_same_v<decltype(await(static_cast<reference>(o))), T>);
        if constexpr (std::is_void_v<T>)
            await(static_cast<reference>(o));
        else
            c.right = result_of_await<T>::is(c, await(static_cast<reference>(o)));
    }
    if constexpr (std::is_void_v<T>) c.right = true;
}

using all_results = std::tuple<void, int, int&, box, box&&>;
inline constexpr std::size_t form_count = 4, origin_count = 3, operand_count = 3;
inline constexpr std::size_t kinds = form_count * origin_count * operand_count * std::tuple_size_v<all_results>;

template <class Way, std::size_t N>
constexpr entry nth_entry() {
    constexpr auto shape = static_cast<form>(N % form_count);
    constexpr auto from = static_cast<origin>(N / form_count % origin_count);
    constexpr auto given = static_cast<operand>(N / form_count / origin_count % operand_count);
    using result = std::tuple_element_t<N / form_count / origin_count / operand_count, all_results>;
    return {&await_one<Way, shape, from, given, result>, shape, from, given};
}

using table = std::array<entry, kinds>;

template <class Way>
constexpr table all_awaits() {
    return []<std::size_t... N>(std::index_sequence<N...>) {
        return table{nth_entry<Way, N>()...};
    }(std::make_index_sequence<kinds>{});
}

/// weft::await of every kind of operand: the same for every coroutine type.
extern const table ambient_awaits;

} // namespace matrix
