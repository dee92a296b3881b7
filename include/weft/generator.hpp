// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/fiber.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

/// \file
/// A range of the values that a stackful body yields, from any depth of calls: recursion needs no nested generators.
///
///     void walk(const node* n, auto& out) {
///         if (!n) return;
///         walk(n->left, out);
///         out.yield(n->value);
///         walk(n->right, out);
///     }
///     for (int v : weft::generator<int>{[&](auto& out) { walk(root, out); }}) use(v);
namespace weft {

namespace detail {
/// What a generator's body hands over of an element: itself, if that fits into the register it goes by, or its address.
template <class T>
using handed_over = std::conditional_t<std::is_scalar_v<T> && sizeof(T) <= sizeof(void*), std::remove_cv_t<T>,
                                       std::add_pointer_t<std::remove_reference_t<T>>>;
template <class T>
inline constexpr bool hands_over_value = std::same_as<handed_over<T>, std::remove_cv_t<T>>;
} // namespace detail

/// Where a generator's body puts its values. Lives as long as the body.
template <class T>
class WEFT_TAGGED yielder {
    using value = std::remove_cvref_t<T>;
    using handed_over = detail::handed_over<T>;

public:
    /// Made by the generator.
    explicit yielder(detail::fiber_record& fiber) noexcept : fiber_{&fiber} {}
    yielder(const yielder&) = delete;
    yielder& operator=(const yielder&) = delete;

    /// Hands one value to the consumer and returns when it asks for the next. The consumer sees the argument itself,
    /// but for two: a scalar value no larger than a pointer is handed over in a register, and an lvalue given to a
    /// generator of values or rvalue references is copied first.
    /// \throws forced_unwind if the generator is destroyed meanwhile; fiber_error if its body does not run.
    void yield(T&& v) {
        if constexpr (detail::hands_over_value<T>)
            hand_over(v);
        else
            hand_over(std::addressof(v));
    }
    /// The same of a copy.
    void yield(const value& v)
        requires(!std::is_lvalue_reference_v<T> && std::copy_constructible<value>)
    {
        value copy(v);
        yield(std::move(copy));
    }

private:
    void hand_over(handed_over element) {
        void* word = nullptr;
        std::memcpy(&word, &element, sizeof element);
        detail::suspend(*fiber_, word);
    }

    detail::fiber_record* fiber_;
};

/// An input range of T, made one by one by a body `fn(out)` on its own stack. T may be a value, a reference or
/// move-only; elements are `T&` for T&, else `T&&`. Move-only. The body runs on the thread that advances the iterator,
/// and begins at begin(). Destroying the generator unwinds a body that has not ended (see weft::forced_unwind).
/// \pre the body is suspended by yield() alone, or together with a fiber around it. With a library that checks contexts
/// (README: WEFT_CHECK_CONTEXTS) this_fiber::suspend() and fiber_ref::suspend() throw fiber_error there.
template <class T>
class WEFT_TAGGED generator : public std::ranges::view_interface<generator<T>> {
    using reference = std::conditional_t<std::is_reference_v<T>, T, T&&>;
    using handed_over = detail::handed_over<T>;

public:
    /// An input iterator; all of a generator stand at the same place.
    class iterator {
    public:
        using value_type = std::remove_cvref_t<T>; ///< what can be kept of an element
        using difference_type = std::ptrdiff_t; ///< as std::input_iterator wants it
        using iterator_concept = std::input_iterator_tag; ///< one pass

        /// Made by begin().
        explicit iterator(detail::fiber_record& fiber) : fiber_{&fiber} { ++*this; }
        iterator(iterator&&) noexcept = default; ///< not copied: there is one place
        iterator& operator=(iterator&&) noexcept = default; ///< not copied

        /// The element that the body yielded, until the next ++ or the end of the iterator. \pre not at the end.
        reference operator*() const noexcept {
            if constexpr (detail::hands_over_value<T>)
                return static_cast<reference>(element_);
            else
                return static_cast<reference>(*element_);
        }
        /// The address of the element, for as long. \pre not at the end.
        std::add_pointer_t<reference> operator->() const noexcept {
            auto&& element = **this;
            return std::addressof(element);
        }
        /// Runs the body to its next value. \throws what leaves the body; the generator has ended then. fiber_error at
        /// the end, and in the body itself.
        iterator& operator++() {
            void* const word = detail::resume(*fiber_);
            std::memcpy(&element_, &word, sizeof element_);
            return *this;
        }
        /// The same.
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
            return i.fiber_->progress & detail::ended;
        }

    private:
        detail::fiber_record* fiber_;
        mutable handed_over element_{}; // the consumer may change it
    };

    /// \throws stack_exhausted, and what copying or moving `fn` throws.
    template <class Fn>
        requires(!std::same_as<std::remove_cvref_t<Fn>, generator> && std::invocable<std::decay_t<Fn>&, yielder<T>&>)
    explicit generator(Fn&& fn) : generator(std::allocator_arg, default_stack_allocator{}, std::forward<Fn>(fn)) {}

    /// The same on a stack from `allocator`.
    template <stack_allocator Allocator, class Fn>
        requires std::invocable<std::decay_t<Fn>&, yielder<T>&>
    generator(std::allocator_arg_t, Allocator allocator, Fn&& fn)
        : fiber_{std::allocator_arg, std::move(allocator), yielding<std::decay_t<Fn>>{std::forward<Fn>(fn)}} {}

    /// The same two with options. With fp_env::per_fiber the consumer has its own floating point, the body another.
    template <class Fn>
        requires std::invocable<std::decay_t<Fn>&, yielder<T>&>
    generator(const fiber_options& options, Fn&& fn)
        : generator(std::allocator_arg, default_stack_allocator{}, options, std::forward<Fn>(fn)) {}
    /// Both.
    template <stack_allocator Allocator, class Fn>
        requires std::invocable<std::decay_t<Fn>&, yielder<T>&>
    generator(std::allocator_arg_t, Allocator allocator, const fiber_options& options, Fn&& fn)
        : fiber_{std::allocator_arg, std::move(allocator), options, yielding<std::decay_t<Fn>>{std::forward<Fn>(fn)}} {}

    /// Runs the body to its first value. Call it once: its iterator goes on where others stand. \throws what leaves the
    /// body; fiber_error if it was called before, or the generator was moved from.
    iterator begin() {
        detail::fiber_record& fiber = detail::fiber_access::record(fiber_);
        if (!detail::is_fiber(fiber) || fiber.progress & detail::begun) [[unlikely]]
            detail::throw_cannot_begin(fiber);
        return iterator{fiber};
    }
    /// Reached when the body has ended.
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    template <class Fn>
    struct yielding {
        using yields = T; // see detail::fiber_body
        Fn fn;
        void operator()(fiber_ref self) {
            yielder<T> out{detail::fiber_access::record(self)};
            std::invoke(fn, out);
        }
    };

    fiber fiber_;
};

} // namespace weft

/// \cond
template <class T>
inline constexpr bool std::ranges::enable_view<weft::generator<T>> = true;
/// \endcond
