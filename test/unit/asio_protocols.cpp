// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Long composed operations with use_fiber: WebSocket and HTTP of Boost.Beast over TLS over a socket, between two bodies on
// strands of a pool. Their thousands of steps stay on the strand of the body that waits.

#include <weft/asio.hpp>

#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>

#include <boost/test/unit_test.hpp>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <exception>
#include <memory>
#include <string>

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

using stream = websocket::stream<ssl::stream<beast::tcp_stream>>;

constexpr int rounds = 20;

/// Answers one HTTP request, then echoes over a WebSocket.
void serve(tcp::socket socket, ssl::context& context) {
    stream ws{std::move(socket), context};
    ws.next_layer().async_handshake(ssl::stream_base::server, weft::use_fiber);
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::async_read(ws.next_layer(), buffer, request, weft::use_fiber);
    http::response<http::string_body> response{http::status::ok, request.version(), "you said " + request.body()};
    response.prepare_payload();
    http::async_write(ws.next_layer(), response, weft::use_fiber);
    ws.async_accept(weft::use_fiber);
    try {
        for (;;) {
            beast::flat_buffer message;
            ws.async_read(message, weft::use_fiber);
            ws.async_write(message.data(), weft::use_fiber);
        }
    } catch (const boost::system::system_error& e) {
        if (e.code() != websocket::error::closed) throw;
    }
}

int ask(const tcp::endpoint& server, const net::any_io_executor& executor, ssl::context& context) {
    stream ws{executor, context};
    beast::get_lowest_layer(ws).async_connect(server, weft::use_fiber);
    ws.next_layer().async_handshake(ssl::stream_base::client, weft::use_fiber);
    http::request<http::string_body> request{http::verb::post, "/", 11, "hello"};
    request.set(http::field::host, "localhost");
    request.prepare_payload();
    http::async_write(ws.next_layer(), request, weft::use_fiber);
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::async_read(ws.next_layer(), buffer, response, weft::use_fiber);
    if (response.body() != "you said hello") return 0;

    ws.async_handshake("localhost", "/", weft::use_fiber);
    int right = 0;
    for (int i = 0; i < rounds; ++i) {
        const std::string sent(static_cast<std::size_t>(1) << i % 17, static_cast<char>('a' + i));
        ws.async_write(net::buffer(sent), weft::use_fiber);
        beast::flat_buffer got;
        ws.async_read(got, weft::use_fiber);
        right += beast::buffers_to_string(got.data()) == sent;
    }
    ws.async_close(websocket::close_code::normal, weft::use_fiber);
    return right;
}

} // namespace

BOOST_AUTO_TEST_CASE(websockets_over_tls_between_bodies_on_strands_of_a_pool) {
    ssl::context server{ssl::context::tls_server}, client{ssl::context::tls_client};
    identify(server);
    net::thread_pool pool{3};
    tcp::acceptor acceptor{pool, {net::ip::address_v4::loopback(), 0}};
    std::exception_ptr failures[2];
    int right = 0;
    net::co_spawn(
        net::make_strand(pool),
        [&]() -> net::awaitable<void> {
            return weft::stackful([&](auto& co) {
                serve(acceptor.async_accept(co.await(net::this_coro::executor), weft::use_fiber), server);
            });
        },
        [&](std::exception_ptr failure) { failures[0] = failure; });
    net::co_spawn(
        net::make_strand(pool),
        [&]() -> net::awaitable<int> {
            return weft::stackful([&](auto& co) {
                return ask(acceptor.local_endpoint(), co.await(net::this_coro::executor), client);
            });
        },
        [&](std::exception_ptr failure, int n) {
            failures[1] = failure;
            right = n;
        });
    pool.join();
    for (const std::exception_ptr& failure : failures)
        if (failure) std::rethrow_exception(failure);
    BOOST_TEST(right == rounds);
}
