// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A compressing sender that a slow reader holds up.
//
// The job: send a long text, compressed by zstd, to someone who takes it in slowly, without keeping what is not yet
// sent. zstd's loops want room for what they put out: where that goes to a socket, either the thread blocks, or the
// loop is turned inside out, or the output piles up. Here both loops are written as for files, over a std::iostream,
// and a write that finds the socket full suspends the sender: the reader sets the pace, on the same thread, and little
// is under way at any time. Then two threads run the same two functions over streams that block, and must come to the
// same.
//
// The lines that matter: pack() and unpack(). Not one of them knows who waits how.

#include "shared/blocking.hpp"
#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

std::size_t check(std::size_t result) {
    if (ZSTD_isError(result)) throw std::runtime_error{ZSTD_getErrorName(result)};
    return result;
}

/// Writes `text` to `to`, compressed; calls `sent` with the size of every piece.
void pack(const std::string& text, std::ostream& to, const std::function<void(std::size_t)>& sent) {
    const std::unique_ptr<ZSTD_CStream, decltype(&ZSTD_freeCStream)> zstd{ZSTD_createCStream(), &ZSTD_freeCStream};
    std::string piece(4096, '\0');
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    for (std::size_t left = 1; left != 0;) {
        ZSTD_outBuffer out{piece.data(), piece.size(), 0};
        left = check(ZSTD_compressStream2(zstd.get(), &out, &in, ZSTD_e_end));
        to.write(piece.data(), static_cast<std::streamsize>(out.pos));
        sent(out.pos);
    }
    to.flush();
}

/// The other way; calls `received` with the size of every piece.
std::string unpack(std::istream& from, const std::function<void(std::size_t)>& received) {
    const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> zstd{ZSTD_createDStream(), &ZSTD_freeDStream};
    std::string text, piece(4096, '\0'), room(ZSTD_DStreamOutSize(), '\0');
    for (std::size_t left = 1; left != 0;) {
        from.read(piece.data(), static_cast<std::streamsize>(piece.size()));
        ZSTD_inBuffer in{piece.data(), static_cast<std::size_t>(from.gcount()), 0};
        if (in.size == 0) throw std::runtime_error{"the text is cut off"};
        while (in.pos < in.size && left != 0) {
            ZSTD_outBuffer out{room.data(), room.size(), 0};
            left = check(ZSTD_decompressStream(zstd.get(), &out, &in));
            text.append(room.data(), out.pos);
        }
        received(in.size);
    }
    return text;
}

std::ptrdiff_t under_way = 0;
std::ptrdiff_t most_under_way = 0;

/// These two are ordinary coroutines to their callers.
asio::awaitable<void> send(const std::string& text, tcp::socket socket) {
    return weft::stackful([&text, socket = std::move(socket)](auto&) mutable {
        example::socket_stream stream{std::move(socket)};
        pack(text, stream, [](std::size_t size) {
            under_way += static_cast<std::ptrdiff_t>(size);
            most_under_way = std::max(most_under_way, under_way);
        });
    });
}

asio::awaitable<void> receive(tcp::socket socket, std::string& text) {
    return weft::stackful([socket = std::move(socket), &text](auto&) mutable {
        asio::steady_timer rest{socket.get_executor()};
        example::socket_stream stream{std::move(socket)};
        text = unpack(stream, [&](std::size_t size) {
            under_way -= static_cast<std::ptrdiff_t>(size);
            rest.expires_after(std::chrono::milliseconds{1});
            rest.async_wait(weft::use_fiber);
        });
    });
}

/// The same in two threads that block.
std::string sent_by_threads(const std::string& text, tcp::socket here, tcp::socket there) {
    std::thread sender{[&] {
        tcp::iostream stream{std::move(here)};
        pack(text, stream, [](std::size_t) {});
    }};
    std::string received = example::in_thread([&] {
        tcp::iostream stream{std::move(there)};
        return unpack(stream, [](std::size_t) { std::this_thread::sleep_for(std::chrono::milliseconds{1}); });
    });
    sender.join();
    return received;
}

/// Half a mebibyte of hexadecimal digits, which zstd makes half as long.
std::string long_text() {
    std::string text(512 * 1024, '\0');
    std::uint32_t state = 2'463'534'242;
    for (char& c : text) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        c = "0123456789abcdef"[state >> 28];
    }
    return text;
}

std::pair<tcp::socket, tcp::socket> narrow_sockets(asio::io_context& context) {
    auto sockets = example::connected_sockets(context);
    sockets.first.set_option(asio::socket_base::send_buffer_size{16'384});
    sockets.second.set_option(asio::socket_base::receive_buffer_size{16'384});
    return sockets;
}

} // namespace

int main() {
    weft::report_stack_overflow();
    const std::string text = long_text();
    std::string received;
    asio::io_context context{1};
    auto [here, there] = narrow_sockets(context);
    example::start(context, send(text, std::move(here)));
    example::start(context, receive(std::move(there), received));
    context.run();

    auto [left, right] = narrow_sockets(context);
    std::cout << "the text has arrived: " << (received == text ? "yes" : "NO")
              << "\nthe reader held the sender up: " << (most_under_way < 128 * 1024 ? "yes" : "NO")
              << "\nin blocking threads the same: "
              << example::said_of(received == sent_by_threads(text, std::move(left), std::move(right))) << '\n';
}
