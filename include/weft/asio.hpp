// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

/// \file
/// weft and Boost.Asio (1.81 or later). For the standalone Asio include <weft/standalone_asio.hpp>; both may be used in
/// one program.
///
///     std::size_t n = socket.async_read_some(buffer, weft::use_fiber); // from any depth below a stackful body
///
/// In the bodies of awaitables, from any depth too: weft::this_executor(), weft::sleep_for(5ms), and weft::await of an
/// awaitable. weft::co_spawn(io, [](auto& co) {…}, token) starts such a body, as asio::spawn does; weft::use_fiber_t has
/// as_default_on for sockets and timers, as asio::use_awaitable_t has. In a program with both Asios the first two are
/// called by the name of their Asio: weft::boost_asio::this_executor(), weft::standalone_asio::this_executor(). Since
/// Boost 1.91 some global names of Boost.Asio (asio_signal_handler) are the standalone Asio's: the whole of such a
/// program must be compiled with BOOST_ASIO_ENABLE_VERSION_NAMESPACE.
///
/// Include it wherever a boost::asio::awaitable gets a stackful body that uses weft::await: it teaches weft how such a
/// coroutine waits for operations of others. Its context has work meanwhile, and the body goes on on the awaitable's
/// executor; then the thread that completed the operation has left the context. If the context is destroyed before, the
/// body is unwound, and the operation may still complete, which does nothing, unless it is one of Asio's that a coroutine
/// of another type waits for (see use_fiber_t). One that never completes keeps 128 bytes.
/// Asio's cancellation of an awaitable reaches what its body awaits, and what that awaits: lib/doc/cancellation.md.

#include <weft/detail/asio/use_fiber.hpp>

#if defined(ASIO_VERSION)
#    include <weft/detail/asio/names.hpp>
#endif
#if defined(WEFT_ASIOS_CLASH)
#    error "weft/asio.hpp: the names of both Asios clash (asio_prefer_fn; Boost has it since 1.91): \
compile the whole program with -DBOOST_ASIO_ENABLE_VERSION_NAMESPACE"
#else

#include <boost/asio.hpp>

/// \cond
#define WEFT_THIS_ASIO boost::asio
#define WEFT_ASIO_NAMESPACE boost_asio
#define WEFT_ASIO_ERROR boost::system
#define WEFT_ASIO_KIND (std::uint64_t{BOOST_ASIO_VERSION} << 8 | 3)
#if __has_include(<boost/asio/disposition.hpp>)
#    define WEFT_ASIO_HAS_DISPOSITIONS 1
#else
#    define WEFT_ASIO_HAS_DISPOSITIONS 0
#endif
#if __has_include(<boost/asio/inline_executor.hpp>)
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
