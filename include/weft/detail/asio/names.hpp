// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Included by weft/asio.hpp and weft/standalone_asio.hpp before their own Asio, if the other one has been included.
// Defines WEFT_ASIOS_CLASH if both have the same names outside of their namespaces: since Boost 1.91 those of Boost.Asio
// are the standalone one's (asio_prefer_fn, asio_signal_handler), unless the program has its version put into them.

#include <asio/detail/config.hpp>
#include <boost/asio/detail/config.hpp>

#if defined(BOOST_ASIO_VERSIONED_NAME) && !(defined(ASIO_VERSIONED_NAME) && defined(ASIO_VERSION_NAMESPACE))
#    define asio_prefer_fn 1
#    if BOOST_ASIO_VERSIONED_NAME(prefer_fn)
#        define WEFT_ASIOS_CLASH
#    endif
#    undef asio_prefer_fn
#endif
