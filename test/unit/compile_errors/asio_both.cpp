// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::this_executor: this program has both Asios
// error: weft::sleep_until: this program has both Asios
// error: weft::sleep_for: this program has both Asios
// needs: standalone_asio
// before: GNU 5, Clang 3

#if defined(__clang__) // as Asio 1.22 does not find its coroutines
#    define ASIO_HAS_CO_AWAIT 1
#    define ASIO_HAS_STD_COROUTINE 1
#endif
#include <weft/asio.hpp>
#include <weft/standalone_asio.hpp>

// What names the Asio, or is given it, is not refused.
void fn(boost::asio::io_context& boosts, asio::io_context& standalone) {
    weft::co_spawn(boosts, [](auto&) { weft::boost_asio::sleep_for(std::chrono::seconds{1}); }, boost::asio::detached);
    weft::co_spawn(standalone, [](auto&) { weft::standalone_asio::sleep_for(std::chrono::seconds{1}); }, asio::detached);
    static_cast<void>(boost::asio::any_io_executor{weft::boost_asio::this_executor()});
    static_cast<void>(asio::any_io_executor{weft::standalone_asio::this_executor()});
}

void refused() {
    static_cast<void>(weft::this_executor());
    weft::sleep_until(std::chrono::steady_clock::now());
    weft::sleep_for(std::chrono::seconds{1});
}
