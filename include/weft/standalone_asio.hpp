// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

/// \file
/// weft and the standalone Asio (1.22 or later). See <weft/asio.hpp>.

#include <weft/detail/asio/use_fiber.hpp>

#if defined(BOOST_ASIO_VERSION)
#    include <weft/detail/asio/names.hpp>
#endif
#if !defined(WEFT_ASIOS_CLASH)
#    include <asio.hpp>
#endif

#include <system_error>

#if defined(WEFT_ASIOS_CLASH)
#    error "weft/standalone_asio.hpp: the names of both Asios clash (asio_prefer_fn; Boost has it since 1.91): \
compile the whole program with -DBOOST_ASIO_ENABLE_VERSION_NAMESPACE"
#elif !defined(ASIO_HAS_CO_AWAIT)
#    error "weft/standalone_asio.hpp: this Asio has not found the compiler's coroutines: compile as C++20, and if that does \
not help (Asio 1.22 with Clang) with -DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE, or use a newer Asio"
#else

/// \cond
#define WEFT_THIS_ASIO asio
#define WEFT_ASIO_NAMESPACE standalone_asio
#define WEFT_ASIO_ERROR std
#define WEFT_ASIO_KIND (std::uint64_t{ASIO_VERSION} << 8 | 2)
#if __has_include(<asio/disposition.hpp>)
#    define WEFT_ASIO_HAS_DISPOSITIONS 1
#else
#    define WEFT_ASIO_HAS_DISPOSITIONS 0
#endif
#if __has_include(<asio/inline_executor.hpp>)
#    define WEFT_ASIO_HAS_INLINE_EXECUTOR 1
#else
#    define WEFT_ASIO_HAS_INLINE_EXECUTOR 0
#endif
#include <weft/detail/asio/adapter.hpp>
#undef WEFT_ASIO_HAS_INLINE_EXECUTOR
#undef WEFT_ASIO_HAS_DISPOSITIONS
#undef WEFT_THIS_ASIO
#undef WEFT_ASIO_NAMESPACE
#undef WEFT_ASIO_ERROR
#undef WEFT_ASIO_KIND
/// \endcond

#endif
