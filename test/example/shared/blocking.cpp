// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "blocking.hpp"

#include "loopback.hpp"

namespace example {

struct blocking_server::connection {
    asio::io_context context;
    tcp::iostream client;
    std::thread server;

    explicit connection(std::function<std::string(const std::string&)> answer) {
        auto [here, there] = connected_sockets(context);
        client = tcp::iostream{std::move(here)};
        server = std::thread{[answer = std::move(answer), socket = std::move(there)]() mutable {
            tcp::iostream stream{std::move(socket)};
            for (std::string line; std::getline(stream, line);) stream << answer(line) << std::endl;
        }};
    }
    ~connection() {
        client.close();
        server.join();
    }
};

blocking_server::blocking_server(std::function<std::string(const std::string&)> answer)
    : connection_{std::make_unique<connection>(std::move(answer))} {
}

blocking_server::~blocking_server() = default;

std::iostream& blocking_server::stream() {
    return connection_->client;
}

} // namespace example
