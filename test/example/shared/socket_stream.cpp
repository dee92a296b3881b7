// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "socket_stream.hpp"

#include <weft/asio.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

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

socket_stream::buffer::int_type socket_stream::buffer::underflow() {
    const auto [error, size] = socket_.async_read_some(asio::buffer(in_), asio::as_tuple(weft::use_fiber));
    if (error == asio::error::eof) return traits_type::eof();
    if (error) throw boost::system::system_error{error};
    setg(in_.data(), in_.data(), in_.data() + size);
    return traits_type::to_int_type(*gptr());
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
