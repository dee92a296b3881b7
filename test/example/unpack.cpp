// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A server lists archives while they arrive, on one thread.
//
// libarchive wants to be given bytes: it calls a function of ours, from several C frames down, and that function must
// come back with some. An Asio coroutine cannot suspend there; a body of weft's can. So `inspect` below is an ordinary
// asio::awaitable to everybody, inside it is plain blocking-style code, and 64 of them share one thread: each time a
// callback of libarchive waits for its socket, the other streams go on.
//
// The clients are in the same program and on the same thread. They send one archive, in small uneven pieces; a few of
// them cut it off, garble it or disconnect in the middle. At the end the listings are compared with each other and with
// what tar or unzip, and sha256sum, say.
//
//     unpack ARCHIVE          unpack --help

#include "unpack/archive_reader.hpp"
#include "unpack/clients.hpp"
#include "unpack/options.hpp"
#include "unpack/sha256.hpp"
#include "unpack/stream.hpp"
#include "unpack/verdict.hpp"
#include "unpack/verify.hpp"

#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace unpack {

using asio::ip::tcp;

/// Lists the archive that comes in on a socket.
asio::awaitable<void> inspect(tcp::socket socket, stream& self, traffic& all) {
    return weft::stackful([socket = std::move(socket), &self, &all](auto& co) mutable {
        const counted open{all.open_archives};
        archive_reader archive{[&](std::span<std::byte> room) { // called by libarchive, in the middle of its work
            const pause waiting{all};
            const auto buffer = asio::buffer(room.data(), room.size());
            const auto [error, size] = co.await(socket.async_read_some(buffer, asio::as_tuple(asio::use_awaitable)));
            if (error && error != asio::error::eof) throw boost::system::system_error{error};
            self.received += size;
            all.received += size;
            return size;
        }};

        sha256 hash;
        while (std::optional<entry> member = archive.next()) {
            self.current = member->path;
            for (auto bytes = archive.content(); !bytes.empty(); bytes = archive.content()) {
                hash.update(bytes);
                member->size += bytes.size();
            }
            if (member->type == '-') member->sha256 = hash.finish();
            self.listing.push_back(std::move(*member));
            self.current.clear();
        }
        archive.drain();
    });
}

/// Accepts that many connections and starts a coroutine for each.
asio::awaitable<void> serve(tcp::acceptor& acceptor, std::size_t connections, std::list<stream>& streams,
                            traffic& all) {
    const auto executor = co_await asio::this_coro::executor;
    while (streams.size() < connections) {
        tcp::socket socket{executor};
        tcp::endpoint peer;
        co_await acceptor.async_accept(socket, peer, asio::use_awaitable);
        stream& self = streams.emplace_back();
        self.number = streams.size();
        self.client_port = peer.port();
        asio::co_spawn(executor, inspect(std::move(socket), self, all), [&self, &all](std::exception_ptr reason) {
            self.ended(reason);
            ++all.ended;
        });
    }
}

/// Keeps a line up to date, on a terminal; elsewhere it prints one now and then.
asio::awaitable<void> show_progress(std::size_t streams, std::uint64_t due, const traffic& all) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor};
    for (int tick = 1; all.ended < streams; ++tick) {
        timer.expires_after(std::chrono::milliseconds{100});
        co_await timer.async_wait(asio::use_awaitable);
        if (terminal || tick % 50 == 0 || all.ended == streams)
            std::fprintf(stderr, "%s  %.1f of %.1f MB received, %zu of %zu streams ended, %zu wait inside libarchive%s",
                         terminal ? "\r" : "", static_cast<double>(all.received) / 1e6,
                         static_cast<double>(due) / 1e6, all.ended, streams, all.waiting, terminal ? "  " : "\n");
    }
    if (terminal) std::fputc('\n', stderr);
}

/// Runs the server and its clients to their end or, when they are to be abandoned, until half of the bytes have
/// arrived; then the io_context is destroyed with everything that is suspended in it.
void run(const options& chosen, std::span<const std::byte> archive, std::vector<client>& clients,
         std::list<stream>& streams, traffic& all) {
    asio::io_context context{1};
    tcp::acceptor acceptor{context, tcp::endpoint{asio::ip::address_v4::loopback(), 0}};
    const auto rethrow = [](std::exception_ptr reason) {
        if (reason) std::rethrow_exception(reason);
    };
    asio::co_spawn(context, serve(acceptor, clients.size(), streams, all), rethrow);
    for (client& each : clients) asio::co_spawn(context, send(each, acceptor.local_endpoint(), archive), rethrow);
    std::uint64_t due = 0;
    for (const client& each : clients) due += bytes_until_damage(each, archive);
    if (!chosen.quiet) asio::co_spawn(context, show_progress(clients.size(), due, all), rethrow);

    if (!chosen.abandon) {
        context.run();
        return;
    }
    while (all.received < due / 2 && context.run_one() > 0) {}
    all.abandoned = all.waiting;
}

std::vector<std::byte> bytes_of(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    std::vector<std::byte> bytes(std::filesystem::file_size(path));
    if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
        throw std::runtime_error{"cannot read " + path.string()};
    return bytes;
}

void write_listing(const options& chosen, const std::vector<entry>& listing) {
    if (chosen.list == "-" || (chosen.list.empty() && !chosen.quiet)) {
        const std::size_t shown = chosen.list.empty() ? std::min<std::size_t>(listing.size(), 5) : listing.size();
        for (std::size_t i = 0; i < shown; ++i) std::cout << listing[i];
        if (shown < listing.size())
            std::cout << "  … and " << listing.size() - shown << " more (--list FILE writes them all)\n";
    } else if (!chosen.list.empty()) {
        std::ofstream file{chosen.list};
        for (const entry& member : listing) file << member;
        if (!file.flush()) throw std::runtime_error{"cannot write " + chosen.list.string()};
    }
}

bool demonstrate(const options& chosen) {
    const std::vector<std::byte> archive = bytes_of(chosen.archive);
    std::optional<reference> expected;
    if (!chosen.no_verify && !chosen.abandon) {
        try {
            expected.emplace(chosen.archive);
        } catch (const std::runtime_error& e) {
            throw std::runtime_error{std::string{"nothing to compare with: "} + e.what() +
                                     "; --no-verify goes on without"};
        }
    }

    std::vector<client> clients = clients_for(chosen, archive);
    if (!chosen.quiet)
        std::cout << chosen.archive.filename().string() << ", " << archive.size() << " bytes, to one thread: "
                  << chosen.honest << " clients, and " << chosen.truncating << " truncating, " << chosen.corrupting
                  << " corrupting, " << chosen.disconnecting << " disconnecting" << std::endl;

    std::list<stream> streams;
    traffic all;
    const auto start = std::chrono::steady_clock::now();
    run(chosen, archive, clients, streams, all);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;

    verdict result{chosen.quiet};
    result.say(all.received, " bytes received in ", std::round(spent.count() * 10) / 10, " s");
    if (chosen.abandon) {
        result.judge_abandoned(all);
    } else {
        result.judge(clients, streams);
        if (expected) result.judge(*expected);
        result.judge(all, streams.size());
        write_listing(chosen, result.listing());
    }
    std::cout << (result.ok() ? "unpack: all as it should be\n" : "unpack: not as it should be\n");
    return result.ok();
}

} // namespace unpack

int main(int argc, char** argv) {
    weft::report_stack_overflow();
    std::setlocale(LC_ALL, "C.UTF-8"); // libarchive translates names into the locale's encoding; unzip does so too
    ::setenv("LC_ALL", "C.UTF-8", 1);
    CLI::App app{"Receives an archive from many clients at once, on one thread, and lists it while it arrives."};
    try {
        return unpack::demonstrate(unpack::parse(app, argc, argv)) ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const CLI::ParseError& e) {
        return app.exit(e);
    } catch (const std::exception& e) {
        std::cerr << "unpack: " << e.what() << '\n';
        return 2;
    }
}
