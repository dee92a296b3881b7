// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft/standalone_asio.hpp: the names of both Asios clash
// needs: standalone_asio
// before: GNU 1, Clang 1

#include <weft/asio.hpp>

#if !defined(BOOST_ASIO_VERSIONED_NAME) // Boost has it since 1.91
#    define BOOST_ASIO_VERSIONED_NAME(name) asio_##name
#endif

#include <weft/standalone_asio.hpp>
