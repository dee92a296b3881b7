// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// TLS as blocking calls, over sockets that do not block.
//
// The job: serve TLS clients. OpenSSL reads and writes through a BIO. One over a socket either blocks the thread, or
// makes every call of OpenSSL return WANT_READ or WANT_WRITE, to be repeated in a loop. Here the BIO awaits its
// socket: SSL_accept, SSL_connect, SSL_read and SSL_write just return when they are done, and server and clients, all
// on one thread, take turns inside their handshakes. One client does not trust the server's certificate, which the
// program has signed itself. Then threads that block do the same once more, over OpenSSL's own BIO for sockets, and
// must come to the same.
//
// The lines that matter: on_read() and on_write(), which wait for the socket and take exceptions around OpenSSL's
// frames, where none may pass. OpenSSL's queue of errors belongs to the thread, that is, to all who take turns on it:
// why one of them failed, its own SSL object says.

#include "shared/blocking.hpp"
#include "shared/loopback.hpp"

#include <weft/asio.hpp>
#include <weft/exception_detour.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cstddef>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

template <auto release>
struct releaser {
    template <class T>
    void operator()(T* object) const {
        release(object);
    }
};
template <class T, auto release>
using owned = std::unique_ptr<T, releaser<release>>;

using tls_context = owned<SSL_CTX, SSL_CTX_free>;

void check(bool succeeded, const char* what) {
    if (!succeeded) throw std::runtime_error{what};
}

enum class waiting { suspends_the_body, blocks_the_thread };

/// One end of a connection.
class tls_stream {
public:
    tls_stream(const tls_context& context, tcp::socket socket, waiting how)
        : socket_{std::move(socket)}, ssl_{SSL_new(context.get())} {
        if (how == waiting::blocks_the_thread) {
            check(ssl_ && SSL_set_fd(ssl_.get(), socket_.native_handle()), "out of memory");
            return;
        }
        static const owned<BIO_METHOD, BIO_meth_free> method = awaiting_method();
        BIO* const bio = BIO_new(method.get());
        check(ssl_ && bio, "out of memory");
        BIO_set_data(bio, this);
        BIO_set_init(bio, 1);
        SSL_set_bio(ssl_.get(), bio, bio);
    }
    tls_stream(const tls_stream&) = delete;
    tls_stream& operator=(const tls_stream&) = delete;

    void accept() { finished(SSL_accept(ssl_.get()) == 1); }
    void connect(const char* host) {
        check(SSL_set1_host(ssl_.get(), host), "out of memory");
        finished(SSL_connect(ssl_.get()) == 1);
    }
    void write(std::string_view text) {
        std::size_t size = 0;
        finished(SSL_write_ex(ssl_.get(), text.data(), text.size(), &size));
    }
    /// Empty when the peer has closed.
    std::string read() {
        std::array<char, 256> text;
        std::size_t size = 0;
        if (!SSL_read_ex(ssl_.get(), text.data(), text.size(), &size))
            finished(SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN);
        return {text.data(), size};
    }
    void close() { finished(SSL_shutdown(ssl_.get()) >= 0); }

private:
    /// A kind of BIO whose functions, called by OpenSSL, wait for the socket.
    static owned<BIO_METHOD, BIO_meth_free> awaiting_method() {
        const int type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
        owned<BIO_METHOD, BIO_meth_free> method{BIO_meth_new(type, "awaited socket")};
        check(method && BIO_meth_set_read_ex(method.get(), &on_read) &&
                  BIO_meth_set_write_ex(method.get(), &on_write) && BIO_meth_set_ctrl(method.get(), &on_control),
              "out of memory");
        return method;
    }
    static int on_read(BIO* bio, char* to, std::size_t room, std::size_t* size) {
        auto& self = *static_cast<tls_stream*>(BIO_get_data(bio));
        const auto buffer = asio::buffer(to, room);
        return self.detour_.run([&] { *size = self.socket_.async_read_some(buffer, weft::use_fiber); });
    }
    static int on_write(BIO* bio, const char* from, std::size_t count, std::size_t* size) {
        auto& self = *static_cast<tls_stream*>(BIO_get_data(bio));
        const auto buffer = asio::buffer(from, count);
        return self.detour_.run([&] { *size = asio::async_write(self.socket_, buffer, weft::use_fiber); });
    }
    static long on_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }

    void finished(bool successfully) {
        if (successfully) return;
        detour_.rethrow();
        if (SSL_get_verify_result(ssl_.get()) != X509_V_OK) throw std::runtime_error{"the certificate is not trusted"};
        throw std::runtime_error{"the peer does not keep to TLS, or has given up"};
    }

    tcp::socket socket_;
    weft::exception_detour detour_;
    owned<SSL, SSL_free> ssl_;
};

/// Answers what it is sent, backwards.
std::string serve(tls_stream client) {
    try {
        client.accept();
        for (std::string text = client.read(); !text.empty(); text = client.read())
            client.write(std::string{text.rbegin(), text.rend()});
        client.close();
        return "served";
    } catch (const std::runtime_error&) {
        return "the client did not come in";
    }
}

std::string use(tls_stream server) {
    try {
        std::string answers;
        server.connect("loom.example");
        for (const std::string_view question : {"strap", "wolf", "deer"}) {
            server.write(question);
            answers += server.read() + ' ';
        }
        server.close();
        return answers;
    } catch (const std::runtime_error& e) {
        return e.what();
    }
}

/// Either of them, to its callers an ordinary coroutine.
template <auto talk>
asio::awaitable<void> in_a_body(const tls_context& context, tcp::socket socket, std::string& result) {
    return weft::stackful([&context, socket = std::move(socket), &result](auto&) mutable {
        result = talk({context, std::move(socket), waiting::suspends_the_body});
    });
}

/// A certificate for loom.example that is its own authority, and its key.
struct identity {
    owned<EVP_PKEY, EVP_PKEY_free> key{EVP_EC_gen("P-256")};
    owned<X509, X509_free> certificate{X509_new()};

    identity() {
        X509* const x = certificate.get();
        check(key && x && X509_set_version(x, X509_VERSION_3) && X509_set_pubkey(x, key.get()), "no certificate");
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), -3600);
        X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        const auto name = reinterpret_cast<const unsigned char*>("loom.example");
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, name, -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(x));
        check(X509_sign(x, key.get(), EVP_sha256()), "the certificate was not signed");
    }
};

tls_context server_context(const identity& own) {
    tls_context context{SSL_CTX_new(TLS_server_method())};
    check(context && SSL_CTX_use_certificate(context.get(), own.certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(context.get(), own.key.get()) == 1, "the server has no context");
    return context;
}

tls_context client_context() {
    tls_context context{SSL_CTX_new(TLS_client_method())};
    check(context != nullptr, "the client has no context");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    return context;
}

} // namespace

int main() {
    weft::report_stack_overflow();
    const identity loom;
    const tls_context server = server_context(loom), client = client_context(), stranger = client_context();
    X509_STORE_add_cert(SSL_CTX_get_cert_store(client.get()), loom.certificate.get());

    struct {
        const tls_context& context;
        std::string client, server;
    } connections[]{{client, {}, {}}, {client, {}, {}}, {stranger, {}, {}}};

    asio::io_context context{1};
    for (auto& each : connections) {
        auto [here, there] = example::connected_sockets(context);
        example::start(context, in_a_body<serve>(server, std::move(here), each.server));
        example::start(context, in_a_body<use>(each.context, std::move(there), each.client));
    }
    context.run();

    for (const auto& each : connections) {
        auto sockets = example::connected_sockets(context);
        std::string served;
        std::thread other{[&] { served = serve({server, std::move(sockets.first), waiting::blocks_the_thread}); }};
        const std::string used = example::in_thread([&] {
            return use({each.context, std::move(sockets.second), waiting::blocks_the_thread});
        });
        other.join();
        std::cout << "client: " << each.client << "\nserver: " << each.server << "\nin blocking threads the same: "
                  << example::said_of(each.client == used && each.server == served) << '\n';
    }
}
