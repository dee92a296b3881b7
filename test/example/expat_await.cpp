// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A SAX handler that waits.
//
// The job: add up orders in XML while they arrive, where a server knows the prices. expat pushes: it is given pieces
// of a document and calls a handler for every element, which must return before the next byte is parsed; so a handler
// cannot ask a server something, unless it blocks the thread. Here it asks over a socket and just waits for the
// answer: weft suspends it together with expat. Two orders are read on one thread, and the price list answers only
// when both have asked. Then a thread that blocks reads each order once more, by the same order_reader, and must come
// to the same.
//
// The lines that matter: total(), whose body is blocking-style code; on_element() and parse(), which take exceptions
// around expat's frames, where none may pass.

#include "shared/blocking.hpp"
#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/exception_detour.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <expat.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// Adds up an order: <order><item name="bolt" count="2"/>...</order>
class order_reader {
public:
    explicit order_reader(std::iostream& price_list) : price_list_{price_list}, parser_{XML_ParserCreate(nullptr)} {
        if (!parser_) throw std::bad_alloc{};
        XML_SetUserData(parser_.get(), this);
        XML_SetStartElementHandler(parser_.get(), &order_reader::on_element);
    }

    void parse(std::string_view piece, bool last = false) {
        if (XML_Parse(parser_.get(), piece.data(), static_cast<int>(piece.size()), last) != XML_STATUS_ERROR) return;
        detour_.rethrow();
        throw std::runtime_error{XML_ErrorString(XML_GetErrorCode(parser_.get()))};
    }

    int total() const { return total_; }

private:
    static void XMLCALL on_element(void* self, const XML_Char* name, const XML_Char** attributes) {
        auto& reader = *static_cast<order_reader*>(self);
        if (!reader.detour_.run([&] { reader.element(name, attributes); }))
            XML_StopParser(reader.parser_.get(), XML_FALSE);
    }

    void element(std::string_view name, const XML_Char** attributes) {
        if (name != "item") return;
        const std::string item = value_of("name", attributes);
        price_list_ << item << std::endl;
        int price = 0;
        if (!(price_list_ >> price)) throw std::runtime_error{"nobody sells a " + item};
        total_ += price * std::stoi(value_of("count", attributes));
    }

    static std::string value_of(const char* name, const XML_Char** attributes) {
        for (; *attributes; attributes += 2)
            if (std::strcmp(attributes[0], name) == 0) return attributes[1];
        throw std::runtime_error{"an item has no " + std::string{name}};
    }

    std::iostream& price_list_;
    int total_ = 0;
    weft::exception_detour detour_;
    std::unique_ptr<XML_ParserStruct, decltype([](XML_Parser p) { XML_ParserFree(p); })> parser_;
};

/// To its callers an ordinary coroutine.
asio::awaitable<int> total(tcp::socket order, tcp::socket price_list) {
    return weft::stackful([order = std::move(order), price_list = std::move(price_list)](auto&) mutable {
        example::socket_stream document{std::move(order)};
        example::socket_stream prices{std::move(price_list)};
        order_reader reader{prices};
        for (std::string line; std::getline(document, line);) reader.parse(line + '\n');
        reader.parse("", true);
        return reader.total();
    });
}

std::string price_of(const std::string& item) {
    return item == "bolt" ? "3" : item == "nut" ? "2" : item == "washer" ? "1" : "none";
}

/// What came of an order, in words.
std::string outcome(const std::function<int()>& sum) {
    try {
        return "total " + std::to_string(sum());
    } catch (const std::runtime_error& e) {
        return e.what();
    }
}

/// The same without weft.
std::string outcome_in_a_thread(const std::string& order) {
    return example::in_thread([&] {
        return outcome([&] {
            example::blocking_server prices{price_of};
            order_reader reader{prices.stream()};
            reader.parse(order, true);
            return reader.total();
        });
    });
}

/// Reads two orders at once.
void read(const std::array<std::string, 2>& orders) {
    asio::io_context context{1};
    auto [customer_1, prices_1] = example::connected_sockets(context);
    auto [customer_2, prices_2] = example::connected_sockets(context);
    example::start(context, example::answer_pairs(std::move(prices_1), std::move(prices_2), price_of));

    std::array<std::string, 2> results;
    const auto note = [](std::string& result) {
        return [&result](std::exception_ptr reason, int sum) {
            result = outcome([&] {
                if (reason) std::rethrow_exception(reason);
                return sum;
            });
        };
    };
    asio::co_spawn(context, total(example::arriving(context, orders[0]), std::move(customer_1)), note(results[0]));
    asio::co_spawn(context, total(example::arriving(context, orders[1]), std::move(customer_2)), note(results[1]));
    context.run();
    for (std::size_t i = 0; i < orders.size(); ++i)
        std::cout << results[i] << "; in a blocking thread the same: "
                  << example::said_of(results[i] == outcome_in_a_thread(orders[i])) << '\n';
}

} // namespace

int main() {
    weft::report_stack_overflow();
    read({"<order>\n<item name='bolt' count='2'/>\n<item name='nut' count='10'/>\n</order>\n",
          "<order>\n<item name='washer' count='7'/>\n<item name='bolt' count='1'/>\n</order>\n"});
    read({"<order>\n<item name='left-handed screwdriver' count='1'/>\n</order>\n",
          "<order>\n<item name='nut' count='4'/>\n</ordre>\n"});
}
