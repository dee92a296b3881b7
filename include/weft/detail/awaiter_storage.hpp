// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/awaiter.hpp>
#include <weft/detail/config.hpp>

#include <memory>
#include <new>
#include <type_traits>
#include <utility>

// co_await keeps what await_transform and operator co_await return by value to the end of the full-expression, so that
// a result may refer to it. A function call keeps that long the temporaries of its default arguments: each way to await
// has a last parameter `storage&& = {}`, and makes them in there.

namespace weft::detail {

/// An object of type T, made in place by a function that returns it by value, and destroyed with this. Where T is a
/// reference this holds nothing and passes on what the function returns.
template <class T>
class made_later {
public:
    made_later() noexcept {}
    ~made_later() { end(); }
    made_later(const made_later&) = delete;
    made_later& operator=(const made_later&) = delete;

    template <class Make>
    WEFT_ALWAYS_INLINE T&& make(Make&& fn) {
        ::new (const_cast<void*>(static_cast<const void*>(std::addressof(value_)))) T(std::forward<Make>(fn)());
        made_ = true;
        return get();
    }
    T&& get() noexcept { return static_cast<T&&>(value_); }
    /// Destroys the object earlier.
    void end() noexcept {
        if (std::exchange(made_, false)) value_.~T();
    }

private:
    union {
        T value_;
    };
    bool made_ = false;
};
template <class T>
    requires(std::is_object_v<T> && std::is_trivially_destructible_v<T>)
class made_later<T> {
public:
    made_later() noexcept {}
    made_later(const made_later&) = delete;
    made_later& operator=(const made_later&) = delete;

    template <class Make>
    WEFT_ALWAYS_INLINE T&& make(Make&& fn) {
        ::new (const_cast<void*>(static_cast<const void*>(std::addressof(value_)))) T(std::forward<Make>(fn)());
        return get();
    }
    T&& get() noexcept { return static_cast<T&&>(value_); }
    void end() noexcept {}

private:
    union {
        T value_;
    };
};
template <class T>
    requires std::is_reference_v<T>
class made_later<T> {
public:
    made_later() noexcept {}
    made_later(const made_later&) = delete;
    made_later& operator=(const made_later&) = delete;

    template <class Make>
    WEFT_ALWAYS_INLINE T&& make(Make&& fn) {
        return std::forward<Make>(fn)();
    }
    void end() noexcept {}
};

/// What co_await keeps of `Source`: what await_transform or yield_value returned, or the operand itself.
template <class Source>
struct awaiter_storage {};
template <awaitable Source>
struct awaiter_storage<Source> {
    [[no_unique_address]] made_later<Source> source;
    [[no_unique_address]] made_later<awaiter_of<Source>> awaiter; // may refer to the source, so it is destroyed first
};

/// The source of co_await in a coroutine with promise P: what its await_transform makes of an operand that it takes,
/// else the operand.
template <class P, class Operand>
concept transforms = !names_no_type<std::remove_cvref_t<Operand>> &&
                     requires(P& p, Operand&& o) { p.await_transform(std::forward<Operand>(o)); };

template <class P, class Operand>
struct await_source {
    using type = Operand&&;
};
template <class P, class Operand>
    requires transforms<P, Operand>
struct await_source<P, Operand> {
    using type = decltype(std::declval<P&>().await_transform(std::declval<Operand>()));
};

/// The same for co_yield.
template <class P, class Value>
struct yield_source {
    using type = void;
};
template <class P, class Value>
    requires requires(P& p, Value&& v) { p.yield_value(std::forward<Value>(v)); }
struct yield_source<P, Value> {
    using type = decltype(std::declval<P&>().yield_value(std::declval<Value>()));
};

// GCC evaluates the arguments of a call from right to left on x86-64 (without -maccumulate-outgoing-args), so there it
// makes the storage before a temporary operand, and destroys it after it. The destructor of an awaiter may need the
// operand, and a result that is a number, or nothing, needs no awaiter: then the awaiter ends with the call.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
inline constexpr bool storage_outlives_operand = true;
#else
inline constexpr bool storage_outlives_operand = false;
#endif

template <class Operand, class Result>
inline constexpr bool ends_with_call = storage_outlives_operand && !std::is_reference_v<Operand> &&
                                       (std::is_void_v<Result> || std::is_arithmetic_v<Result> || std::is_enum_v<Result>);

/// Destroys what lies in a storage at the end of a scope, if it must not stay.
template <bool Ends, class Storage>
struct storage_end {
    Storage& storage;
    WEFT_ALWAYS_INLINE ~storage_end() {
        if constexpr (Ends && requires { storage.awaiter; }) {
            storage.awaiter.end();
            storage.source.end();
        }
    }
};

} // namespace weft::detail
