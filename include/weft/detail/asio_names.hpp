// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Included by weft/asio.hpp and weft/standalone_asio.hpp in front of their own Asio, if the other one has been included:
// defines WEFT_ASIOS_CLASH if both have names in common outside of their namespaces. Boost 1.92 has the standalone Asio's
// (asio_prefer_fn, asio_signal_handler), unless a macro of it puts a version there. Hence no include guard.

#include <asio/detail/config.hpp>
#include <boost/asio/detail/config.hpp>

#if defined(BOOST_ASIO_VERSIONED_NAME) && !(defined(ASIO_VERSIONED_NAME) && defined(ASIO_VERSION_NAMESPACE))
#    define asio_prefer_fn 1
#    if BOOST_ASIO_VERSIONED_NAME(prefer_fn)
#        define WEFT_ASIOS_CLASH
#    endif
#    undef asio_prefer_fn
#endif
