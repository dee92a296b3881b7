// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <array>
#include <istream>
#include <streambuf>

namespace example {

/// A socket as a std::iostream. Where it has to wait, it suspends the stackful body that reads or writes, not the
/// thread; nobody who is given the stream needs to know. What goes wrong with the socket is thrown as it is.
class socket_stream : public std::iostream {
public:
    explicit socket_stream(boost::asio::ip::tcp::socket socket);

private:
    class buffer : public std::streambuf {
    public:
        explicit buffer(boost::asio::ip::tcp::socket socket);

    protected:
        int_type underflow() override;
        int_type overflow(int_type c) override;
        int sync() override;

    private:
        void empty_out() { setp(out_.data(), out_.data() + out_.size()); }

        boost::asio::ip::tcp::socket socket_;
        std::array<char, 256> in_;
        std::array<char, 256> out_;
    };

    buffer buffer_;
};

} // namespace example
