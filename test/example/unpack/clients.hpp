// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace unpack {

namespace asio = boost::asio;

/// What a client does with the archive it sends.
enum class conduct {
    honest, ///< sends all of it
    truncating, ///< sends the first part of it and says that this was all
    corrupting, ///< sends noise from some byte on
    disconnecting, ///< resets the connection in the middle
};

struct client {
    conduct how = conduct::honest;
    std::uint32_t seed = 0;
    std::size_t damaged_from = 0; ///< first byte that an honest client would have sent differently
    std::uint16_t port = 0; ///< its end of the connection, by which the server's stream is found
};

/// A place for the damage: early enough that no format can miss it, and odd, so that it is not at the border of two
/// members of a tar.
inline std::size_t place_of_damage(std::span<const std::byte> archive, std::mt19937& random) {
    std::size_t end = archive.size();
    while (end > 0 && archive[end - 1] == std::byte{}) --end;
    std::uniform_int_distribution<std::size_t> place{end / 10, end * 4 / 10};
    return place(random) | 1;
}

/// How much of what the client sends is the archive.
inline std::size_t bytes_until_damage(const client& c, std::span<const std::byte> archive) {
    return c.how == conduct::honest ? archive.size() : std::min(c.damaged_from, archive.size());
}

/// Sends the archive in small pieces of uneven sizes. An ordinary Asio coroutine: no stack is needed here.
inline asio::awaitable<void> send(client& self, asio::ip::tcp::endpoint server, std::span<const std::byte> archive) {
    std::mt19937 random{self.seed};
    std::uniform_int_distribution<std::size_t> any_size{1, std::min<std::size_t>(4096, archive.size() / 32 + 1)};
    std::uniform_int_distribution<int> any_byte{0, 255};
    std::vector<std::byte> piece;

    const auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::socket socket{executor};
    co_await socket.async_connect(server, asio::use_awaitable);
    socket.set_option(asio::ip::tcp::no_delay{true});
    self.port = socket.local_endpoint().port();

    const bool stops_early = self.how == conduct::truncating || self.how == conduct::disconnecting;
    const std::size_t end = stops_early ? bytes_until_damage(self, archive) : archive.size();
    for (std::size_t sent = 0; sent < end; sent += piece.size()) {
        const auto from = archive.begin() + static_cast<std::ptrdiff_t>(sent);
        piece.assign(from, from + static_cast<std::ptrdiff_t>(std::min(any_size(random), end - sent)));
        if (self.how == conduct::corrupting)
            for (std::size_t i = 0; i < piece.size(); ++i)
                if (sent + i >= self.damaged_from) piece[i] = static_cast<std::byte>(any_byte(random));
        const auto buffer = asio::buffer(piece);
        try {
            co_await asio::async_write(socket, buffer, asio::use_awaitable);
        } catch (const boost::system::system_error&) {
            co_return; // the server has seen enough and closed the connection; its stream says why
        }
    }

    if (self.how == conduct::disconnecting)
        socket.set_option(asio::socket_base::linger{true, 0}); // makes close() reset the connection
    socket.close();
}

} // namespace unpack
