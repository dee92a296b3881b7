// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "socket_stream.hpp"

#include <weft/asio.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstddef>
#include <ios>
#include <utility>

namespace example {

namespace asio = boost::asio;

socket_stream::socket_stream(asio::ip::tcp::socket socket) : std::iostream{nullptr}, buffer_{std::move(socket)} {
    rdbuf(&buffer_);
    exceptions(std::ios::badbit); // lets pass what the buffer throws, weft::forced_unwind included
}

socket_stream::buffer::buffer(asio::ip::tcp::socket socket) : socket_{std::move(socket)} {
    empty_out();
}

std::size_t socket_stream::buffer::receive(char* to, std::size_t size) {
    if (pptr() != pbase()) sync(); // the other side may wait for that
    const auto [error, received] = socket_.async_read_some(asio::buffer(to, size), asio::as_tuple(weft::use_fiber));
    if (error == asio::error::eof) return 0;
    if (error) throw boost::system::system_error{error};
    return received;
}

socket_stream::buffer::int_type socket_stream::buffer::underflow() {
    const std::size_t received = receive(in_.data(), in_.size());
    setg(in_.data(), in_.data(), in_.data() + received);
    return received ? traits_type::to_int_type(*gptr()) : traits_type::eof();
}

// What is larger than the buffer does not go through it.
std::streamsize socket_stream::buffer::xsgetn(char* to, std::streamsize size) {
    std::streamsize done = std::min(size, static_cast<std::streamsize>(egptr() - gptr()));
    std::copy_n(gptr(), done, to);
    gbump(static_cast<int>(done));
    while (static_cast<std::size_t>(size - done) >= in_.size()) {
        const std::size_t received = receive(to + done, static_cast<std::size_t>(size - done));
        if (!received) return done;
        done += static_cast<std::streamsize>(received);
    }
    return done + std::streambuf::xsgetn(to + done, size - done);
}

std::streamsize socket_stream::buffer::xsputn(const char* from, std::streamsize size) {
    if (static_cast<std::size_t>(size) < out_.size()) return std::streambuf::xsputn(from, size);
    sync();
    asio::async_write(socket_, asio::buffer(from, static_cast<std::size_t>(size)), weft::use_fiber);
    return size;
}

socket_stream::buffer::int_type socket_stream::buffer::overflow(int_type c) {
    sync();
    return c == traits_type::eof() ? traits_type::not_eof(c) : sputc(traits_type::to_char_type(c));
}

int socket_stream::buffer::sync() {
    const auto size = static_cast<std::size_t>(pptr() - pbase());
    empty_out();
    asio::async_write(socket_, asio::buffer(out_.data(), size), weft::use_fiber);
    return 0;
}

} // namespace example
