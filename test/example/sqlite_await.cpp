// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A function of SQL that waits.
//
// SQLite runs a SELECT from its first row to its last in one call, and an application's function inside of it must
// return with the value. Here `temperature(city)` asks a weather service over a socket, and weft suspends it while it
// waits, with all of SQLite's virtual machine below it. Two SELECTs are under way on one thread; the service answers
// only when both have asked. A third one is abandoned in the middle: it is unwound, and closes its database.
//
// Each coroutine has a connection of its own, opened without SQLite's mutexes: a mutex must not be held by a thread
// across a wait. No exception may pass through SQLite's frames; weft::exception_detour takes them around.

#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/exception_detour.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <sqlite3.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

int open_databases = 0;

/// A database in memory whose SQL knows the function temperature(city).
class database {
public:
    explicit database(std::iostream& service) : service_{service} {
        constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
        sqlite3* opened = nullptr;
        const int result = sqlite3_open_v2("", &opened, flags, nullptr);
        connection_.reset(opened);
        ++open_databases;
        check(result);
        check(sqlite3_create_function(opened, "temperature", 1, SQLITE_UTF8, this, &temperature, nullptr, nullptr));
    }

    /// Calls `use` with every row.
    template <class Use>
    void execute(const char* sql, Use use) {
        sqlite3_stmt* prepared = nullptr;
        check(sqlite3_prepare_v2(connection_.get(), sql, -1, &prepared, nullptr));
        const statement owner{prepared};
        while (check(sqlite3_step(prepared)) == SQLITE_ROW) use(prepared);
    }

private:
    static void temperature(sqlite3_context* call, int, sqlite3_value** arguments) {
        auto& self = *static_cast<database*>(sqlite3_user_data(call));
        const bool answered = self.detour_.run([&] {
            self.service_ << reinterpret_cast<const char*>(sqlite3_value_text(arguments[0])) << std::endl;
            double degrees = 0;
            if (!(self.service_ >> degrees)) throw std::runtime_error{"no weather is known there"};
            sqlite3_result_double(call, degrees);
        });
        if (!answered) sqlite3_result_error(call, "the weather service failed", -1);
    }

    int check(int result) {
        if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return result;
        detour_.rethrow();
        throw std::runtime_error{connection_ ? sqlite3_errmsg(connection_.get()) : "out of memory"};
    }

    static void close(sqlite3* connection) {
        if (sqlite3_close(connection) == SQLITE_OK) --open_databases; // else a statement is still open
    }

    using statement = std::unique_ptr<sqlite3_stmt, decltype([](sqlite3_stmt* s) { sqlite3_finalize(s); })>;

    std::iostream& service_;
    weft::exception_detour detour_;
    std::unique_ptr<sqlite3, decltype([](sqlite3* s) { close(s); })> connection_;
};

/// The warmest city of each country. To its callers an ordinary coroutine.
asio::awaitable<void> ask(const char* cities, tcp::socket service, std::string& answer) {
    return weft::stackful([cities, service = std::move(service), &answer](auto&) mutable {
        example::socket_stream weather{std::move(service)};
        database data{weather};
        const auto nothing = [](sqlite3_stmt*) {};
        data.execute("CREATE TABLE city(name, country)", nothing);
        data.execute(cities, nothing);
        data.execute("SELECT country, max(temperature(name)) AS warmest FROM city GROUP BY country ORDER BY warmest",
                     [&](sqlite3_stmt* row) {
                         answer += std::string{reinterpret_cast<const char*>(sqlite3_column_text(row, 0))} + ' ' +
                                   reinterpret_cast<const char*>(sqlite3_column_text(row, 1)) + '\n';
                     });
    });
}

std::string temperature_in(const std::string& city) {
    return std::to_string(city.size() * 3) + ".5"; // as good as any other forecast
}

constexpr auto north = "INSERT INTO city VALUES ('Oslo', 'Norway'), ('Turku', 'Finland'), ('Bergen', 'Norway')";
constexpr auto south = "INSERT INTO city VALUES ('Palermo', 'Italy'), ('Athens', 'Greece'), ('Bari', 'Italy')";

} // namespace

int main() {
    weft::report_stack_overflow();
    std::string answers[2];
    {
        asio::io_context context{1};
        auto [weather_1, service_1] = example::connected_sockets(context);
        auto [weather_2, service_2] = example::connected_sockets(context);
        example::start(context, example::answer_pairs(std::move(service_1), std::move(service_2), temperature_in));
        example::start(context, ask(north, std::move(weather_1), answers[0]));
        example::start(context, ask(south, std::move(weather_2), answers[1]));
        context.run();
    }
    for (const std::string& answer : answers) std::cout << answer;

    {
        asio::io_context context{1};
        auto [weather, service] = example::connected_sockets(context);
        example::start(context, ask(north, std::move(weather), answers[0]));
        context.poll();
        std::cout << "databases open in the middle of a SELECT: " << open_databases << '\n';
    }
    std::cout << "and when it has been abandoned: " << open_databases << '\n';
}
