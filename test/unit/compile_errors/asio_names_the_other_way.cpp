// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft/asio.hpp: the names of both Asios clash
// needs: standalone_asio
// before: GNU 1, Clang 1

#if defined(__clang__) // as Asio 1.22 does not find its coroutines
#    define ASIO_HAS_CO_AWAIT 1
#    define ASIO_HAS_STD_COROUTINE 1
#endif
#include <weft/standalone_asio.hpp>

#include <boost/asio/detail/config.hpp>
#if !defined(BOOST_ASIO_VERSIONED_NAME) // Boost has it since 1.91
#    define BOOST_ASIO_VERSIONED_NAME(name) asio_##name
#endif

#include <weft/asio.hpp>
