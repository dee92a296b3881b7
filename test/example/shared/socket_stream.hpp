// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <array>
#include <cstddef>
#include <ios>
#include <istream>
#include <streambuf>

namespace example {

/// A socket as a std::iostream: read() and write() blocks, std::getline() and << lines, or give rdbuf() to what wants a
/// std::streambuf. Where it has to wait, it suspends the stackful body that reads or writes, not the thread; nobody who
/// is given the stream needs to know. What goes wrong with the socket is thrown as it is, a boost::system::system_error;
/// the end of what the other side sends is that of a file. What was written is sent when the buffer is full, by
/// std::flush, and before the stream waits for an answer; the destructor, which may not wait, sends nothing.
class socket_stream : public std::iostream {
public:
    explicit socket_stream(boost::asio::ip::tcp::socket socket);

    /// For what no stream can do: options, shutdown().
    boost::asio::ip::tcp::socket& socket() noexcept { return buffer_.socket(); }

private:
    class buffer : public std::streambuf {
    public:
        explicit buffer(boost::asio::ip::tcp::socket socket);
        boost::asio::ip::tcp::socket& socket() noexcept { return socket_; }

    protected:
        int_type underflow() override;
        std::streamsize xsgetn(char* to, std::streamsize size) override;
        std::streamsize xsputn(const char* from, std::streamsize size) override;
        int_type overflow(int_type c) override;
        int sync() override;

    private:
        std::size_t receive(char* to, std::size_t size); // 0 at the end
        void empty_out() { setp(out_.data(), out_.data() + out_.size()); }

        boost::asio::ip::tcp::socket socket_;
        std::array<char, 256> in_;
        std::array<char, 256> out_;
    };

    buffer buffer_;
};

} // namespace example
