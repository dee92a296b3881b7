// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: co.await(asio::this_coro::executor)
// error: co.await(asio::this_coro::executor)
// needs: asio
// before: GNU 5, GNU14 7, Clang 3

#include <weft/asio.hpp>

namespace asio = boost::asio;

void executor() {
    weft::await(asio::this_coro::executor);
}
void cancellation() {
    weft::await(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
}
