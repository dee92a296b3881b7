// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/register.hpp>

#include <weft/asio.hpp>
#include <weft/stackful.hpp>

#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

// An echo server, its 1,000 connections over loopback, and their clients, all on one thread.
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::steady_clock;

constexpr std::size_t connections = 1'000;
constexpr std::size_t message_size = 64;

// The servers: each serves one connection until its client closes it.

struct plain {
    static constexpr const char* name = "awaitable";
    static void serve(tcp::socket socket) {
        const auto executor = socket.get_executor();
        asio::co_spawn(executor, echo(std::move(socket)), asio::detached);
    }
    static asio::awaitable<void> echo(tcp::socket socket) {
        std::array<char, 1024> data;
        boost::system::error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        for (;;) {
            const std::size_t n = co_await socket.async_read_some(asio::buffer(data), token);
            if (error) break;
            co_await asio::async_write(socket, asio::buffer(data, n), token);
        }
    }
};

struct stackful {
    static constexpr const char* name = "stackful awaitable";
    static void serve(tcp::socket socket) {
        const auto executor = socket.get_executor();
        asio::co_spawn(executor, echo(std::move(socket)), asio::detached);
    }
    static asio::awaitable<void> echo(tcp::socket s) {
        return weft::stackful([socket = std::move(s)](auto& co) mutable {
            std::array<char, 1024> data;
            boost::system::error_code error;
            auto token = asio::redirect_error(asio::use_awaitable, error);
            for (;;) {
                const std::size_t n = co.await(socket.async_read_some(asio::buffer(data), token));
                if (error) break;
                co.await(asio::async_write(socket, asio::buffer(data, n), token));
            }
        });
    }
};

struct with_use_fiber {
    static constexpr const char* name = "stackful awaitable with use_fiber";
    static void serve(tcp::socket socket) {
        const auto executor = socket.get_executor();
        asio::co_spawn(executor, echo(std::move(socket)), asio::detached);
    }
    static asio::awaitable<void> echo(tcp::socket s) {
        return weft::stackful([socket = std::move(s)](auto&) mutable {
            std::array<char, 1024> data;
            try {
                for (;;) {
                    const std::size_t n = socket.async_read_some(asio::buffer(data), weft::use_fiber);
                    asio::async_write(socket, asio::buffer(data, n), weft::use_fiber);
                }
            } catch (const boost::system::system_error&) { // the client has closed the connection
            }
        });
    }
};

struct spawned {
    static constexpr const char* name = "boost::asio::spawn";
    static void serve(tcp::socket socket) {
        const auto executor = socket.get_executor();
        asio::spawn(
            executor,
            [s = std::move(socket)](asio::yield_context yield) mutable {
                std::array<char, 1024> data;
                boost::system::error_code error;
                for (;;) {
                    const std::size_t n = s.async_read_some(asio::buffer(data), yield[error]);
                    if (error) break;
                    asio::async_write(s, asio::buffer(data, n), yield[error]);
                }
            },
            asio::detached);
    }
};

/// The load, the same for every server: each client sends its next message when the last one has come back.
class clients {
public:
    explicit clients(asio::io_context& io) : io_(io) {}

    void add(tcp::socket socket) { all_.push_back(std::make_unique<client>(*this, std::move(socket))); }

    /// Lets all clients send until `requests` answers have come. `latencies` are appended, if given.
    void run(std::size_t requests, std::vector<steady_clock::duration>* latencies) {
        left_ = requests;
        waiting_ = all_.size();
        latencies_ = latencies;
        for (const auto& c : all_) c->send();
        while (waiting_ > 0) io_.run_one();
    }

    /// Closes all connections; the servers end.
    void close() {
        all_.clear();
        io_.run();
    }

private:
    class client {
    public:
        client(clients& all, tcp::socket socket) : all_(all), socket_(std::move(socket)) {}

        void send() {
            if (all_.left_ == 0) {
                --all_.waiting_;
                return;
            }
            --all_.left_;
            sent_ = steady_clock::now();
            asio::async_write(socket_, asio::buffer(message_), [this](auto error, std::size_t) {
                if (!error) receive();
            });
        }

    private:
        void receive() {
            asio::async_read(socket_, asio::buffer(answer_), [this](auto error, std::size_t) {
                if (error) return;
                if (all_.latencies_) all_.latencies_->push_back(steady_clock::now() - sent_);
                send();
            });
        }

        clients& all_;
        tcp::socket socket_;
        std::array<char, message_size> message_{};
        std::array<char, message_size> answer_{};
        steady_clock::time_point sent_;
    };

    asio::io_context& io_;
    std::vector<std::unique_ptr<client>> all_;
    std::size_t left_ = 0;
    std::size_t waiting_ = 0;
    std::vector<steady_clock::duration>* latencies_ = nullptr;
};

void allow_many_files() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

template <class Server>
void echo(benchmark::State& state) {
    allow_many_files();
    asio::io_context io{1};
    tcp::acceptor acceptor{io, {asio::ip::address_v4::loopback(), 0}, true};
    acceptor.listen();
    clients load{io};
    for (std::size_t i = 0; i < connections; ++i) {
        tcp::socket socket{io};
        socket.connect(acceptor.local_endpoint());
        socket.set_option(tcp::no_delay{true});
        load.add(std::move(socket));
        tcp::socket accepted = acceptor.accept();
        accepted.set_option(tcp::no_delay{true});
        Server::serve(std::move(accepted));
    }
    load.run(2 * connections, nullptr); // warms up

    std::vector<steady_clock::duration> latencies;
    latencies.reserve(static_cast<std::size_t>(state.max_iterations));
    const auto begin = steady_clock::now();
    while (state.KeepRunningBatch(state.max_iterations))
        load.run(static_cast<std::size_t>(state.max_iterations), &latencies);
    const std::chrono::duration<double> took = steady_clock::now() - begin;

    const auto p99 = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() * 99 / 100);
    std::nth_element(latencies.begin(), p99, latencies.end());
    state.counters["requests_per_second"] = static_cast<double>(latencies.size()) / took.count();
    state.counters["p99_us"] = std::chrono::duration<double, std::micro>(*p99).count();
    load.close();
}

template <class Server>
void add() {
    bench::add<Server>("asio echo 1000 connections", echo<Server>)->Iterations(20'000)->UseRealTime();
}

const bool registered = [] {
    add<plain>();
    add<stackful>();
    add<with_use_fiber>();
    add<spawned>();
    return true;
}();

} // namespace
