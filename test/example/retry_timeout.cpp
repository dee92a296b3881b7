// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Ask, wait a while, ask again: a loop, and `||`.
//
// Asio's `a || b` waits for whichever of two awaitables is the first and cancels the other. `ask` is such an awaitable
// to it, though its body is plain code that waits several calls down. When the timer wins, the cancellation reaches the
// operation that the body waits for; the body is left by an exception, closes its connection, and the next try begins.
//
// The server takes no notice of its first two clients. It counts who has hung up on it.

#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

int under_way = 0; // questions
int hung_up = 0;   // on the server

/// Plain blocking code.
std::string answer_from(tcp::endpoint server, asio::io_context& context) {
    const struct counted {
        counted() { ++under_way; }
        ~counted() { --under_way; }
    } here;
    tcp::socket socket{context};
    socket.async_connect(server, weft::use_fiber);
    example::socket_stream stream{std::move(socket)};
    stream << "how long is the warp?" << std::endl;
    std::string answer;
    std::getline(stream, answer);
    return answer;
}

asio::awaitable<std::string> ask(tcp::endpoint server, asio::io_context& context) {
    return weft::stackful([server, &context](auto&) { return answer_from(server, context); });
}

asio::awaitable<void> ask_patiently(tcp::endpoint server, asio::io_context& context) {
    return weft::stackful([server, &context](auto& co) {
        for (std::chrono::milliseconds patience = 5ms; patience < 1min; patience *= 20) {
            asio::steady_timer timer{context, patience};
            const auto first = co.await(ask(server, context) || timer.async_wait(asio::use_awaitable));
            if (const std::string* answer = std::get_if<std::string>(&first)) {
                std::cout << *answer << '\n';
                return;
            }
            std::cout << "no answer in " << patience.count() << " ms; questions still under way: " << under_way << '\n';
        }
        throw std::runtime_error{"there is no answer"};
    });
}

/// Answers the third client, when the others are gone.
asio::awaitable<void> serve(tcp::acceptor& acceptor) {
    return weft::stackful([&acceptor](auto&) {
        for (int client = 1; client <= 3; ++client) {
            example::socket_stream stream{acceptor.async_accept(weft::use_fiber)};
            std::string line;
            if (client == 3)
                stream << "as long as the loom allows" << std::endl;
            else
                while (std::getline(stream, line)) {}
            hung_up += client < 3;
        }
    });
}

} // namespace

int main() {
    weft::report_stack_overflow();
    asio::io_context context{1};
    tcp::acceptor acceptor{context, tcp::endpoint{asio::ip::address_v4::loopback(), 0}};
    example::start(context, serve(acceptor));
    example::start(context, ask_patiently(acceptor.local_endpoint(), context));
    context.run();
    std::cout << "the server was hung up on " << hung_up << " times\n";
}
