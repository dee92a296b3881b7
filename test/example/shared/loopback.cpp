// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "loopback.hpp"

#include "socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <exception>
#include <string_view>

namespace example {

namespace {

/// An ordinary coroutine.
asio::awaitable<void> send_in_pieces(tcp::socket to, std::string text) {
    for (std::size_t sent = 0; sent < text.size();) {
        sent += co_await to.async_write_some(asio::buffer(std::string_view{text}.substr(sent, 5)), asio::use_awaitable);
        co_await asio::post(asio::use_awaitable);
    }
}

} // namespace

std::pair<tcp::socket, tcp::socket> connected_sockets(asio::io_context& context) {
    tcp::acceptor acceptor{context, tcp::endpoint{asio::ip::address_v4::loopback(), 0}};
    tcp::socket here{context};
    here.connect(acceptor.local_endpoint());
    tcp::socket there = acceptor.accept();
    here.set_option(tcp::no_delay{true});
    there.set_option(tcp::no_delay{true});
    return {std::move(here), std::move(there)};
}

void start(asio::io_context& context, asio::awaitable<void> coroutine) {
    asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr reason) {
        if (reason) std::rethrow_exception(reason);
    });
}

tcp::socket arriving(asio::io_context& context, std::string text) {
    auto [here, there] = connected_sockets(context);
    start(context, send_in_pieces(std::move(there), std::move(text)));
    return std::move(here);
}

asio::awaitable<void> answer(tcp::socket client, std::function<std::string(const std::string&)> answer) {
    return weft::stackful([client = std::move(client), answer = std::move(answer)](auto&) mutable {
        socket_stream stream{std::move(client)};
        for (std::string line; std::getline(stream, line);) stream << answer(line) << std::endl;
    });
}

asio::awaitable<void> answer_pairs(tcp::socket a, tcp::socket b,
                                   std::function<std::string(const std::string&)> answer) {
    return weft::stackful([a = std::move(a), b = std::move(b), answer = std::move(answer)](auto&) mutable {
        socket_stream first{std::move(a)};
        socket_stream second{std::move(b)};
        for (std::string x, y; std::getline(first, x) && std::getline(second, y);) {
            first << answer(x) << std::endl;
            second << answer(y) << std::endl;
        }
    });
}

} // namespace example
