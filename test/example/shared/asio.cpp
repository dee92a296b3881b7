// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Boost.Asio's functions, compiled once for all examples.

#include <boost/asio/impl/src.hpp>
