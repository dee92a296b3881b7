// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Long composed operations with use_fiber: HTTP of Boost.Beast over TLS, and its WebSocket, between two bodies on strands of
// a pool. Their thousands of steps stay on the strand of the body that waits. WebSocket over TLS compiles for two minutes,
// as a step of either is a type for each step of the other: WEFT_TEST_EVERYWHERE adds it.

#include <weft/asio.hpp>

#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#ifdef WEFT_TEST_EVERYWHERE
#    include <boost/beast/ssl.hpp>
#endif
#include <boost/beast/websocket.hpp>

#include <boost/test/unit_test.hpp>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
namespace ssl = net::ssl;
using tcp = net::ip::tcp;

namespace {

/// Lets a server identify itself, by a certificate made for the occasion.
void identify(ssl::context& context) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), &EVP_PKEY_free};
    const std::unique_ptr<X509, decltype(&X509_free)> certificate{X509_new(), &X509_free};
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    SSL_CTX_use_certificate(context.native_handle(), certificate.get());
    SSL_CTX_use_PrivateKey(context.native_handle(), key.get());
}

/// A socket that counts the steps whose handlers would be called on another executor than its own, a strand.
class watched_socket {
public:
    using executor_type = tcp::socket::executor_type;
    using lowest_layer_type = tcp::socket;

    explicit watched_socket(tcp::socket socket) : socket_(std::move(socket)) {}

    static inline std::atomic<int> steps = 0;
    static inline std::atomic<int> steps_elsewhere = 0;

    executor_type get_executor() { return socket_.get_executor(); }
    lowest_layer_type& lowest_layer() { return socket_; }
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return net::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
            [this](auto handler, const Buffers& to) {
                watch(handler);
                socket_.async_read_some(to, std::move(handler));
            },
            token, buffers);
    }
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return net::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
            [this](auto handler, const Buffers& from) {
                watch(handler);
                socket_.async_write_some(from, std::move(handler));
            },
            token, buffers);
    }
    template <class Handler>
    friend void async_teardown(beast::role_type role, watched_socket& self, Handler&& handler) {
        self.watch(handler);
        websocket::async_teardown(role, self.socket_, std::forward<Handler>(handler));
    }

    friend void beast_close_socket(watched_socket& self) { beast::close_socket(self.socket_); }

private:
    template <class Handler>
    void watch(const Handler& handler) {
        ++steps;
        const auto executor = net::get_associated_executor(handler);
        if constexpr (std::convertible_to<decltype(executor), net::any_io_executor>)
            steps_elsewhere += net::any_io_executor(executor) != socket_.get_executor();
        else // none of the handler's own: the default of newer Asios
            ++steps_elsewhere;
    }

    tcp::socket socket_;
};

constexpr int rounds = 20;

std::string message(int round) { return std::string(static_cast<std::size_t>(1) << round % 17, static_cast<char>('a' + round)); }

/// Answers the requests of one client over TLS.
void serve_http(watched_socket socket, ssl::context& context) {
    ssl::stream<watched_socket> stream{std::move(socket), context};
    stream.async_handshake(ssl::stream_base::server, weft::use_fiber);
    beast::flat_buffer buffer;
    for (int i = 0; i < rounds; ++i) {
        http::request<http::string_body> request;
        http::async_read(stream, buffer, request, weft::use_fiber);
        http::response<http::string_body> response{http::status::ok, request.version(), "you said " + request.body()};
        response.prepare_payload();
        http::async_write(stream, response, weft::use_fiber);
    }
    stream.async_shutdown(weft::use_fiber);
}

int ask_http(watched_socket socket, ssl::context& context) {
    ssl::stream<watched_socket> stream{std::move(socket), context};
    stream.async_handshake(ssl::stream_base::client, weft::use_fiber);
    beast::flat_buffer buffer;
    int right = 0;
    for (int i = 0; i < rounds; ++i) {
        http::request<http::string_body> request{http::verb::post, "/", 11, message(i)};
        request.set(http::field::host, "localhost");
        request.prepare_payload();
        http::async_write(stream, request, weft::use_fiber);
        http::response<http::string_body> response;
        http::async_read(stream, buffer, response, weft::use_fiber);
        right += response.body() == "you said " + message(i);
    }
    stream.async_shutdown(weft::use_fiber);
    return right;
}

/// Echoes what one client sends over a WebSocket.
template <class Stream>
void serve_websocket(websocket::stream<Stream>& stream) {
    stream.async_accept(weft::use_fiber);
    try {
        for (;;) {
            beast::flat_buffer got;
            stream.async_read(got, weft::use_fiber);
            stream.async_write(got.data(), weft::use_fiber);
        }
    } catch (const boost::system::system_error& e) {
        if (e.code() != websocket::error::closed) throw;
    }
}

template <class Stream>
int ask_websocket(websocket::stream<Stream>& stream) {
    stream.async_handshake("localhost", "/", weft::use_fiber);
    int right = 0;
    for (int i = 0; i < rounds; ++i) {
        const std::string sent = message(i);
        stream.async_write(net::buffer(sent), weft::use_fiber);
        beast::flat_buffer got;
        stream.async_read(got, weft::use_fiber);
        right += beast::buffers_to_string(got.data()) == sent;
    }
    stream.async_close(websocket::close_code::normal, weft::use_fiber);
    return right;
}

/// Runs a server and a client in bodies of their own, each on a strand of a pool.
int converse(const std::function<void(watched_socket)>& serve, const std::function<int(watched_socket)>& ask) {
    watched_socket::steps = watched_socket::steps_elsewhere = 0;
    net::thread_pool pool{3};
    tcp::acceptor acceptor{pool, {net::ip::address_v4::loopback(), 0}};
    std::exception_ptr failures[2];
    int right = 0;
    net::co_spawn(
        net::make_strand(pool),
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto& co) {
                serve(watched_socket{acceptor.async_accept(co.await(net::this_coro::executor), weft::use_fiber)});
            });
        },
        [&](std::exception_ptr failure) { failures[0] = failure; });
    net::co_spawn(
        net::make_strand(pool),
        [&]() -> net::awaitable<int> {
            return weft::stackful([&](auto& co) {
                tcp::socket socket{co.await(net::this_coro::executor)};
                socket.async_connect(acceptor.local_endpoint(), weft::use_fiber);
                return ask(watched_socket{std::move(socket)});
            });
        },
        [&](std::exception_ptr failure, int n) {
            failures[1] = failure;
            right = n;
        });
    pool.join();
    for (const std::exception_ptr& failure : failures)
        if (failure) std::rethrow_exception(failure);
    BOOST_TEST(watched_socket::steps >= rounds);
    BOOST_TEST(watched_socket::steps_elsewhere == 0);
    return right;
}

} // namespace

BOOST_AUTO_TEST_CASE(http_over_tls_between_bodies_on_strands_of_a_pool) {
    ssl::context server{ssl::context::tls_server}, client{ssl::context::tls_client};
    identify(server);
    const int right = converse([&](watched_socket socket) { serve_http(std::move(socket), server); },
                               [&](watched_socket socket) { return ask_http(std::move(socket), client); });
    BOOST_TEST(right == rounds);
}

BOOST_AUTO_TEST_CASE(websockets_between_bodies_on_strands_of_a_pool) {
    const int right = converse(
        [](watched_socket socket) {
            websocket::stream<watched_socket> stream{std::move(socket)};
            serve_websocket(stream);
        },
        [](watched_socket socket) {
            websocket::stream<watched_socket> stream{std::move(socket)};
            return ask_websocket(stream);
        });
    BOOST_TEST(right == rounds);
}

#ifdef WEFT_TEST_EVERYWHERE
BOOST_AUTO_TEST_CASE(websockets_over_tls_between_bodies_on_strands_of_a_pool) {
    ssl::context server{ssl::context::tls_server}, client{ssl::context::tls_client};
    identify(server);
    const int right = converse(
        [&](watched_socket socket) {
            websocket::stream<ssl::stream<watched_socket>> stream{std::move(socket), server};
            stream.next_layer().async_handshake(ssl::stream_base::server, weft::use_fiber);
            serve_websocket(stream);
        },
        [&](watched_socket socket) {
            websocket::stream<ssl::stream<watched_socket>> stream{std::move(socket), client};
            stream.next_layer().async_handshake(ssl::stream_base::client, weft::use_fiber);
            return ask_websocket(stream);
        });
    BOOST_TEST(right == rounds);
}
#endif
