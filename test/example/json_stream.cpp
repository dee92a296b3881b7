// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A recursive parser of a document that has not arrived yet.
//
// The parser reads a std::istream, one character ahead, and recurses into objects and arrays: the textbook's. It yields
// every value as soon as it is complete, so it is also a generator. And the stream is a socket: where the next
// character is missing, the recursion, the generator around it and the coroutine that iterates are suspended together.
// The sender, on the same thread, sends byte by byte, and goes on with the next value only when the last is confirmed.

#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/generator.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cctype>
#include <charconv>
#include <cstddef>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

struct leaf {
    std::string path;
    std::string value;
};

/// Reads JSON, without \u in strings: `out` gets every string, number, true, false and null.
class json_parser {
public:
    json_parser(std::istream& in, weft::yielder<leaf>& out) : in_{in}, out_{out} {}

    void value(const std::string& path) {
        switch (next()) {
        case '{': return object(path);
        case '[': return array(path);
        case '"': return out_.yield({path, string()});
        default: return out_.yield({path, word()});
        }
    }

private:
    void object(const std::string& path) {
        take('{');
        if (next() == '}') return take('}');
        for (;; take(',')) {
            next();
            const std::string name = string();
            take(':');
            value(path + '/' + name);
            if (next() != ',') return take('}');
        }
    }

    void array(const std::string& path) {
        take('[');
        if (next() == ']') return take(']');
        for (int i = 0;; take(',')) {
            value(path + '/' + std::to_string(i++));
            if (next() != ',') return take(']');
        }
    }

    std::string string() {
        std::string text;
        take('"');
        for (char c; in_.get(c) && c != '"';) {
            text += c == '\\' ? escaped(static_cast<char>(in_.get())) : c;
        }
        if (!in_) throw std::runtime_error{"the document ends in a string"};
        return text;
    }

    static char escaped(char c) {
        constexpr std::string_view letters = "bfnrt/\\\"", meant = "\b\f\n\r\t/\\\"";
        const std::size_t i = letters.find(c);
        if (i == letters.npos) throw std::runtime_error{std::string{"an escape is not known: \\"} + c};
        return meant[i];
    }

    std::string word() {
        std::string text;
        while (std::isalnum(in_.peek()) || in_.peek() == '-' || in_.peek() == '+' || in_.peek() == '.')
            text += static_cast<char>(in_.get());
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool is_number = error == std::errc{} && end == text.data() + text.size() &&
                               text.find_first_not_of("0123456789+-.eE") == text.npos;
        if (!is_number && text != "true" && text != "false" && text != "null")
            throw std::runtime_error{"'" + text + "' is no value"};
        return text;
    }

    int next() { return (in_ >> std::ws).peek(); }

    void take(char wanted) {
        if (next() != wanted) throw std::runtime_error{std::string{"there is no '"} + wanted + "' where it should be"};
        in_.get();
    }

    std::istream& in_;
    weft::yielder<leaf>& out_;
};

weft::generator<leaf> leaves_of(std::istream& in) {
    return weft::generator<leaf>{[&in](auto& out) { json_parser{in, out}.value(""); }};
}

asio::awaitable<void> receive(tcp::socket socket) {
    return weft::stackful([socket = std::move(socket)](auto&) mutable {
        example::socket_stream sender{std::move(socket)};
        try {
            for (const leaf& each : leaves_of(sender)) {
                std::cout << each.path << " = " << each.value << '\n';
                sender << "got " << each.path << std::endl;
            }
            std::cout << "complete\n";
        } catch (const std::runtime_error& e) {
            std::cout << e.what() << '\n';
        }
    });
}

/// Sends parts of a document; waits for an answer to each but the last.
asio::awaitable<void> send(tcp::socket socket, std::vector<std::string> parts) {
    return weft::stackful([socket = std::move(socket), parts = std::move(parts)](auto&) mutable {
        example::socket_stream receiver{std::move(socket)};
        for (const std::string& part : parts) {
            std::cout << "    " << part << '\n';
            for (const char c : part) receiver << c << std::flush;
            std::string answer;
            if (&part != &parts.back()) std::getline(receiver, answer);
        }
    });
}

void transmit(std::vector<std::string> parts) {
    asio::io_context context{1};
    auto [here, there] = example::connected_sockets(context);
    example::start(context, receive(std::move(here)));
    example::start(context, send(std::move(there), std::move(parts)));
    context.run();
}

} // namespace

int main() {
    weft::report_stack_overflow();
    transmit({R"([{"name": "warp",)", R"( "threads": 480, )", R"("colours": ["red")", R"(, "deep \"blue\""])",
              R"(}, {"name": "weft")", R"(, "shuttle": {"empty": false,)", R"( "turns": -1.5e3 })", R"(}, [], {}])"});
    transmit({R"({"reed": [[4, )", R"(5 })"});
}
