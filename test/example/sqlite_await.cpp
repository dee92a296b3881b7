// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A function of SQL that waits, and a database that is busy.
//
// The job: fill tables with what a weather service says. SQLite runs a statement from its first row to its last in one
// call, and an application's function inside of it must return with the value. Here `temperature(city)` asks the
// service over a socket, and weft suspends it while it waits, with all of SQLite's virtual machine below it. Two
// SELECTs are under way on one thread; the service answers only when both have asked. Then two bodies write into one
// file: while the first waits for the service in the middle of its transaction, the second's busy handler waits for
// the first. A last SELECT is abandoned in the middle: it is unwound, and closes its database. Threads that block come
// to the same answers.
//
// The lines that matter: temperature() and busy(), which wait and take exceptions around SQLite's frames, where none
// may pass; check(), which rethrows them. Each coroutine has a connection of its own, opened without SQLite's mutexes:
// a thread must not hold a mutex across a wait.

#include "shared/blocking.hpp"
#include "shared/loopback.hpp"
#include "shared/socket_stream.hpp"

#include <weft/asio.hpp>
#include <weft/exception_detour.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

std::atomic<int> open_databases = 0;

/// A database whose SQL knows the function temperature(city). `pause` takes a while; it is called when another
/// connection keeps the database locked.
class database {
public:
    database(const char* file, std::iostream& service, std::function<void()> pause = {})
        : service_{service}, pause_{std::move(pause)} {
        constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        sqlite3* opened = nullptr;
        const int result = sqlite3_open_v2(file, &opened, flags, nullptr);
        connection_.reset(opened);
        ++open_databases;
        check(result);
        check(sqlite3_create_function(opened, "temperature", 1, SQLITE_UTF8, this, &temperature, nullptr, nullptr));
        if (pause_) check(sqlite3_busy_handler(opened, &busy, this));
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

    /// Returns 0 if SQLite shall give up, else it tries again.
    static int busy(void* self, int) {
        auto& data = *static_cast<database*>(self);
        return data.detour_.run(data.pause_);
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
    std::function<void()> pause_;
    weft::exception_detour detour_;
    std::unique_ptr<sqlite3, decltype([](sqlite3* s) { close(s); })> connection_;
};

const auto nothing = [](sqlite3_stmt*) {};

std::string text(sqlite3_stmt* row, int column) {
    return reinterpret_cast<const char*>(sqlite3_column_text(row, column));
}

/// The warmest city of each country.
std::string warmest(const char* cities, std::iostream& weather) {
    database data{":memory:", weather};
    std::string answer;
    data.execute("CREATE TABLE city(name, country)", nothing);
    data.execute(cities, nothing);
    data.execute("SELECT country, max(temperature(name)) AS warmest FROM city GROUP BY country ORDER BY warmest",
                 [&](sqlite3_stmt* row) { answer += text(row, 0) + ' ' + text(row, 1) + '\n'; });
    return answer;
}

/// Notes a city's temperature in a file that others write into, too.
void note(const char* file, std::iostream& weather, std::function<void()> pause, const std::string& city) {
    database data{file, weather, std::move(pause)};
    data.execute("BEGIN IMMEDIATE", nothing);
    data.execute("CREATE TABLE IF NOT EXISTS noted(city, temperature)", nothing);
    data.execute(("INSERT INTO noted VALUES ('" + city + "', temperature('" + city + "'))").c_str(), nothing);
    data.execute("COMMIT", nothing);
}

std::string noted(const char* file, std::iostream& weather) {
    database data{file, weather};
    std::string answer;
    data.execute("SELECT * FROM noted ORDER BY city",
                 [&](sqlite3_stmt* row) { answer += text(row, 0) + ' ' + text(row, 1) + '\n'; });
    return answer;
}

/// These are ordinary coroutines to their callers.
asio::awaitable<void> ask(const char* cities, tcp::socket service, std::string& answer) {
    return weft::stackful([cities, service = std::move(service), &answer](auto&) mutable {
        example::socket_stream weather{std::move(service)};
        answer = warmest(cities, weather);
    });
}

asio::awaitable<void> note(const char* file, tcp::socket service, asio::io_context& context, const char* city,
                           int& pauses) {
    return weft::stackful([file, service = std::move(service), &context, city, &pauses](auto&) mutable {
        example::socket_stream weather{std::move(service)};
        const auto pause = [&] {
            ++pauses;
            asio::steady_timer{context, std::chrono::milliseconds{1}}.async_wait(weft::use_fiber);
        };
        note(file, weather, pause, city);
    });
}

std::string temperature_in(const std::string& city) {
    return std::to_string(city.size() * 3) + ".5"; // as good as any other forecast
}

/// A file that is there as long as this.
struct temporary_file {
    std::string name = (std::filesystem::temp_directory_path() / "weft-example-XXXXXX").string();

    temporary_file() { ::close(::mkstemp(name.data())); }
    ~temporary_file() { std::filesystem::remove(name); }
};

constexpr auto north = "INSERT INTO city VALUES ('Oslo', 'Norway'), ('Turku', 'Finland'), ('Bergen', 'Norway')";
constexpr auto south = "INSERT INTO city VALUES ('Palermo', 'Italy'), ('Athens', 'Greece'), ('Bari', 'Italy')";

void two_selects() {
    std::string answers[2];
    asio::io_context context{1};
    auto [weather_1, service_1] = example::connected_sockets(context);
    auto [weather_2, service_2] = example::connected_sockets(context);
    example::start(context, example::answer_pairs(std::move(service_1), std::move(service_2), temperature_in));
    example::start(context, ask(north, std::move(weather_1), answers[0]));
    example::start(context, ask(south, std::move(weather_2), answers[1]));
    context.run();

    const auto in_a_thread = [](const char* cities) {
        return example::in_thread([&] { return warmest(cities, example::blocking_server{temperature_in}.stream()); });
    };
    std::cout << answers[0] << answers[1] << "in a blocking thread the same: "
              << example::said_of(answers[0] == in_a_thread(north) && answers[1] == in_a_thread(south)) << '\n';
}

void two_writers() {
    const temporary_file file, other_file;
    asio::io_context context{1};
    int pauses = 0;
    for (const char* city : {"Riga", "Tartu"}) {
        auto [weather, service] = example::connected_sockets(context);
        example::start(context, example::answer(std::move(service), temperature_in));
        example::start(context, note(file.name.c_str(), std::move(weather), context, city, pauses));
    }
    context.run();

    example::blocking_server weather{temperature_in};
    const auto write = [&](const char* city) {
        example::blocking_server own{temperature_in};
        const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds{1}); };
        note(other_file.name.c_str(), own.stream(), pause, city);
    };
    std::thread riga{write, "Riga"}, tartu{write, "Tartu"};
    riga.join();
    tartu.join();
    const std::string bodies = noted(file.name.c_str(), weather.stream());
    std::cout << bodies << "one waited for the other's transaction: " << (pauses > 0 ? "yes" : "NO")
              << "\nin blocking threads the same: "
              << example::said_of(bodies == noted(other_file.name.c_str(), weather.stream())) << '\n';
}

void abandoned() {
    {
        asio::io_context context{1};
        std::string answer;
        auto [weather, service] = example::connected_sockets(context);
        example::start(context, ask(north, std::move(weather), answer));
        context.poll();
        std::cout << "databases open in the middle of a SELECT: " << open_databases << '\n';
    }
    std::cout << "and when it has been abandoned: " << open_databases << '\n';
}

} // namespace

int main() {
    weft::report_stack_overflow();
    two_selects();
    two_writers();
    abandoned();
}
