// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

/// \file
/// weft and the standalone Asio (1.22 or later). See <weft/asio.hpp>.

#include <weft/detail/use_fiber.hpp>

#include <asio.hpp>

#include <system_error>

#if !defined(ASIO_HAS_CO_AWAIT)
#    error "weft/standalone_asio.hpp: this Asio has not found the compiler's coroutines: compile as C++20, and if that does \
not help (Asio 1.22 with Clang) with -DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE, or use a newer Asio"
#else

/// \cond
#define WEFT_ASIO asio
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
#include <weft/detail/asio_adapter.hpp>
#undef WEFT_ASIO_HAS_INLINE_EXECUTOR
#undef WEFT_ASIO_HAS_DISPOSITIONS
#undef WEFT_ASIO
#undef WEFT_ASIO_NAMESPACE
#undef WEFT_ASIO_ERROR
#undef WEFT_ASIO_KIND
/// \endcond

#endif
