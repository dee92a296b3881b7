// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <string>
#include <utility>

/// The other ends of the examples' sockets: on 127.0.0.1, in the same program, on the same thread.
namespace example {

namespace asio = boost::asio;
using asio::ip::tcp;

/// Two sockets that are connected with each other.
std::pair<tcp::socket, tcp::socket> connected_sockets(asio::io_context& context);

/// Starts a coroutine; an exception that leaves it leaves `context.run()`.
void start(asio::io_context& context, asio::awaitable<void> coroutine);

/// A socket on which a text arrives in pieces of a few bytes; others run between them.
tcp::socket arriving(asio::io_context& context, std::string text);

/// Answers the lines that a client sends, until it hangs up.
asio::awaitable<void> answer(tcp::socket client, std::function<std::string(const std::string&)> answer);

/// Answers the lines that two clients send, but only when there is one from each: neither client gets any further
/// while the other one keeps the thread. Ends with the first of them.
asio::awaitable<void> answer_pairs(tcp::socket a, tcp::socket b, std::function<std::string(const std::string&)> answer);

} // namespace example
