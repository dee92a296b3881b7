// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A protocol of lines and blocks in blocking style.
//
// A store that is asked for numbers of bytes and sends them: what a textbook writes with read() and write(), a thread for
// each client. Here each side is a body of weft::co_spawn's on one thread, and example::socket_stream is what waits. The
// client never flushes: the stream sends a question before it waits for the answer. At the end the store fails in the
// middle of a block, and the client gets that as an exception.

#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/stack_overflow.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

void keep_store(tcp::socket socket) {
    example::socket_stream client{std::move(socket)};
    for (std::string line; std::getline(client, line) && line != "bye";) {
        std::istringstream words{line};
        std::string verb;
        std::size_t size = 0;
        words >> verb >> size;
        const std::string block(size, verb.at(0));
        if (verb == "break") {
            client.write(block.data(), static_cast<std::streamsize>(size / 2)).flush();
            client.socket().set_option(asio::socket_base::linger{true, 0}); // so that closing resets the connection
            client.socket().close();
            return;
        }
        client << size << '\n';
        client.write(block.data(), static_cast<std::streamsize>(size)).flush();
    }
    client << "good bye" << std::flush; // without the end of a line
}

void ask(std::iostream& store, const std::string& question) {
    store << question << '\n';
    std::string line;
    std::getline(store, line);
    std::string block(std::stoul(line), ' ');
    store.read(block.data(), static_cast<std::streamsize>(block.size()));
    std::cout << question << ": " << store.gcount() << " bytes, "
              << std::count(block.begin(), block.end(), question[0]) << " of them right\n";
}

void use_store(tcp::socket socket) {
    example::socket_stream store{std::move(socket)};
    ask(store, "a 3");
    ask(store, "b 255");
    ask(store, "c 256");
    ask(store, "d 0");
    ask(store, "e 1000000");
    store << "bye\n";
    std::cout << store.rdbuf() << '\n'; // all that is left
    std::string line;
    std::cout << (std::getline(store, line) ? "there is more" : "the end") << '\n';
}

void lose_store(tcp::socket socket) {
    example::socket_stream store{std::move(socket)};
    store << "break 4000\n";
    std::string block(4000, ' ');
    try {
        store.read(block.data(), 4000);
    } catch (const boost::system::system_error& e) {
        std::cout << (e.code() == asio::error::connection_reset ? "the connection was reset" : e.what()) << '\n';
    }
}

} // namespace

int main() {
    weft::report_stack_overflow();
    asio::io_context context{1};
    const auto done = [](std::exception_ptr reason) {
        if (reason) std::rethrow_exception(reason);
    };
    for (const auto client : {use_store, lose_store}) {
        auto [here, there] = example::connected_sockets(context);
        weft::co_spawn(context, [s = std::move(here)](auto&) mutable { keep_store(std::move(s)); }, done);
        weft::co_spawn(context, [s = std::move(there), client](auto&) mutable { client(std::move(s)); }, done);
        context.run();
        context.restart();
    }
}
