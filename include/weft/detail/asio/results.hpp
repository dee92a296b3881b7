// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What an operation gives to the body: its results, or the error that comes before them.
// Included by weft/detail/asio/adapter.hpp, once for each Asio, hence no include guard.

#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace WEFT_THIS_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

#if WEFT_ASIO_HAS_DISPOSITIONS
template <class T>
inline constexpr bool is_error = is_disposition<T>::value;

template <class T>
void throw_if(T& disposition) {
    if (!disposition_traits<T>::not_an_error(disposition))
        std::rethrow_exception(disposition_traits<T>::to_exception_ptr(std::move(disposition)));
}
#else
template <class T>
inline constexpr bool is_error = std::is_same_v<T, WEFT_ASIO_ERROR::error_code> || std::is_same_v<T, std::exception_ptr>;
#endif

inline void throw_if(const WEFT_ASIO_ERROR::error_code& error) {
    if (error) ::weft::detail::throw_or_die(WEFT_ASIO_ERROR::system_error(error));
}
inline void throw_if(const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
}

/// What is left of the results of an operation: nothing, one or several.
template <class... Values>
struct given {
    using type = std::tuple<Values...>;
    static type take(Values&... values) { return type(std::move(values)...); }
};
template <class Value>
struct given<Value> {
    using type = Value;
    static type take(Value& value) { return std::move(value); }
};
template <>
struct given<> {
    using type = void;
    static type take() noexcept {}
};

/// The same, when a leading error has been thrown.
template <class... Results>
struct given_or_thrown : given<Results...> {};
template <class First, class... Rest>
    requires is_error<First>
struct given_or_thrown<First, Rest...> : given<Rest...> {
    static typename given<Rest...>::type take(First& first, Rest&... rest) {
        throw_if(first);
        return given<Rest...>::take(rest...);
    }
};

} // namespace weft_detail
} // namespace WEFT_THIS_ASIO
