// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A conversation as straight code.
//
// A server that takes mail, much as SMTP does: what may come next depends on all that came before. Written with
// callbacks that is a table of states. Here `session` is the conversation itself: its state is where it stands, and
// its loops are the protocol's. It reads and writes a std::iostream and knows nothing of sockets; the streams that it
// is given suspend it where the client has not answered yet. The clients follow a script, all at once on one thread;
// the last one falls silent in the middle, and its session is unwound when the io_context is destroyed.

#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <algorithm>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

struct mail {
    std::string from, to, text;
};

class session {
public:
    session(std::iostream& client, std::vector<mail>& delivered) : client_{client}, delivered_{delivered} { ++open; }
    ~session() { --open; }
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    void run() {
        say("220 loom.example takes mail");
        const std::optional<std::string> name = expect("HELO ");
        if (!name) return;
        say("250 good day, " + *name);
        while (std::optional<mail> received = receive()) {
            delivered_.push_back(std::move(*received));
            say("250 mail " + std::to_string(delivered_.size()) + " is on its way");
        }
    }

    static inline int open = 0;

private:
    std::optional<mail> receive() {
        mail result;
        const std::optional<std::string> from = expect("MAIL FROM:");
        if (!from) return std::nullopt;
        result.from = *from;
        say("250 who is to have it?");
        do {
            const std::optional<std::string> to = expect("RCPT TO:");
            if (!to) return std::nullopt;
            result.to = *to;
        } while (!known(result.to));
        say("250 that can be done");
        if (!expect("DATA")) return std::nullopt;
        say("354 go on; a dot ends it");
        for (std::string line; std::getline(client_, line);) {
            if (line == ".") return result;
            result.text += line.substr(line.starts_with('.')) + '\n';
        }
        return std::nullopt;
    }

    bool known(std::string_view receiver) {
        if (receiver == "<ann>" || receiver == "<bob>") return true;
        say("550 nobody here has that name");
        return false;
    }

    /// What follows `command` in the line that begins with it. Nothing when the client wants to leave, or has left.
    std::optional<std::string> expect(std::string_view command) {
        for (std::string line; std::getline(client_, line);) {
            if (line.starts_with(command)) return line.substr(command.size());
            if (line == "QUIT") {
                say("221 good bye");
                return std::nullopt;
            }
            say("503 " + std::string{command.substr(0, 4)} + " comes next");
        }
        return std::nullopt;
    }

    void say(std::string_view line) { client_ << line << std::endl; }

    std::iostream& client_;
    std::vector<mail>& delivered_;
};

asio::awaitable<void> serve(tcp::socket socket, std::vector<mail>& delivered) {
    return weft::stackful([socket = std::move(socket), &delivered](auto&) mutable {
        example::socket_stream client{std::move(socket)};
        session{client, delivered}.run();
    });
}

struct conversation {
    std::vector<std::string> script; // what the client says, each after an answer
    std::string heard = {};
    bool followed = false;
};

asio::awaitable<void> follow(conversation& self, tcp::socket socket) {
    return weft::stackful([&self, socket = std::move(socket)](auto&) mutable {
        example::socket_stream server{std::move(socket)};
        std::string answer;
        std::getline(server, answer);
        self.heard += answer + '\n';
        for (const std::string& line : self.script) {
            server << line << std::endl;
            std::getline(server, answer);
            self.heard += "> " + line + '\n' + answer + '\n';
        }
        self.followed = true;
        std::getline(server, answer); // until the server closes
    });
}

} // namespace

int main() {
    weft::report_stack_overflow();
    std::vector<conversation> conversations{
        {{"HELO reed", "MAIL FROM:<reed>", "RCPT TO:<cid>", "RCPT TO:<ann>", "DATA", "..\nWarp is here.\n.", "QUIT"}},
        {{"MAIL FROM:<heddle>", "HELO heddle", "DATA", "QUIT"}},
        {{"HELO shuttle", "MAIL FROM:<shuttle>", "RCPT TO:<bob>", "DATA"}}};
    std::vector<mail> delivered;
    {
        asio::io_context context{1};
        for (conversation& each : conversations) {
            auto [here, there] = example::connected_sockets(context);
            example::start(context, serve(std::move(here), delivered));
            example::start(context, follow(each, std::move(there)));
        }
        const auto all_followed = [&] { return std::ranges::all_of(conversations, &conversation::followed); };
        while (!(all_followed() && session::open == 1) && context.run_one() > 0) {}
        std::cout << "still open: " << session::open << '\n';
    }
    std::cout << "open when the io_context is gone: " << session::open << "\n\n";
    for (const conversation& each : conversations) std::cout << each.heard << '\n';
    for (const mail& each : delivered) std::cout << each.from << " to " << each.to << ":\n" << each.text;
}
