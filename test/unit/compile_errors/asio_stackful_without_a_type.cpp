// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful: name the coroutine type: weft::stackful<R>(fn)
// further: 2
// needs: asio
// before: GNU 8, Clang 1

#include <weft/stackful.hpp>

#include <boost/asio.hpp>

namespace asio = boost::asio;

// weft/asio.hpp is not included: asio::co_spawn has more to say.
void spawned(asio::io_context& io) {
    asio::co_spawn(io, weft::stackful([](auto&) { return 1; }), asio::detached);
}
