// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// nftw's callback waits, and is told by nobody for whom it is called.
//
// The job: ask a server about every file below a folder. nftw walks through the folder in one call and calls a
// function for each entry, which must return before the next; and it passes nothing through to that function. Here the
// function asks over a socket and just waits for the answer: weft suspends it together with nftw and the folders that
// nftw holds open. Two walks are under way on one thread, and the server answers only when both have asked. Then a
// thread that blocks walks through each folder once more, and must come to the same. A last walk is abandoned in the
// middle.
//
// The lines that matter: on_entry(), for any C interface without user data. What it is called for stands in a
// variable, which others set while this one waits: it reads the variable first and sets it again last. Between the two
// it takes exceptions around nftw's frames. (Where bodies change threads, that needs a thread_local, which functions
// of their own read and write that are not inlined.)

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

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using asio::ip::tcp;

/// Asks `server` about each file.
class walk {
public:
    explicit walk(std::iostream& server) : server_{server} { ++under_way; }
    ~walk() { --under_way; }
    walk(const walk&) = delete;
    walk& operator=(const walk&) = delete;

    /// Sorted: nftw has no order.
    std::set<std::string> through(const fs::path& folder) {
        current = this;
        const int result = ::nftw(folder.c_str(), &walk::on_entry, 8, FTW_PHYS);
        detour_.rethrow();
        if (result != 0) throw std::system_error{errno, std::generic_category(), folder.string()};
        return std::exchange(found_, {});
    }

    static inline int under_way = 0;

private:
    /// Returns 0 to go on, or nftw returns what this does.
    static int on_entry(const char* path, const struct stat*, int kind, FTW* place) {
        walk& self = *current;
        const bool well = self.detour_.run([&] {
            if (kind == FTW_F) self.ask(path + place->base);
        });
        current = &self;
        return well ? 0 : 1;
    }

    void ask(const std::string& name) {
        server_ << name << std::endl;
        std::string answer;
        std::getline(server_, answer);
        found_.insert(name + ": " + answer);
    }

    static inline walk* current = nullptr;
    std::iostream& server_;
    weft::exception_detour detour_;
    std::set<std::string> found_;
};

/// To its callers an ordinary coroutine.
asio::awaitable<void> walk_through(fs::path folder, tcp::socket server, std::set<std::string>& found) {
    return weft::stackful([folder = std::move(folder), server = std::move(server), &found](auto&) mutable {
        example::socket_stream stream{std::move(server)};
        found = walk{stream}.through(folder);
    });
}

std::string kind_of(const std::string& name) {
    return name.ends_with(".cpp") ? "a program" : name.ends_with(".md") ? "a page" : "something else";
}

/// A folder with two trees of files, that is there as long as this.
struct folder {
    fs::path path;

    folder() {
        std::string name = (fs::temp_directory_path() / "weft-example-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::system_error{errno, std::generic_category(), name};
        path = name;
        for (const char* file : {"loom/warp.cpp", "loom/beam/heddle.cpp", "loom/beam/notes.md", "loom/beam/reed",
                                 "yarn/a/b/c/wool.md", "yarn/a/silk.cpp", "yarn/a/b/flax.md", "yarn/cotton.cpp"}) {
            fs::create_directories((path / file).parent_path());
            std::ofstream{path / file} << "thread\n";
        }
    }
    ~folder() { fs::remove_all(path); }
};

} // namespace

int main() {
    weft::report_stack_overflow();
    const folder files;
    std::set<std::string> found[2];
    {
        asio::io_context context{1};
        auto [here_1, there_1] = example::connected_sockets(context);
        auto [here_2, there_2] = example::connected_sockets(context);
        example::start(context, example::answer_pairs(std::move(there_1), std::move(there_2), kind_of));
        example::start(context, walk_through(files.path / "loom", std::move(here_1), found[0]));
        example::start(context, walk_through(files.path / "yarn", std::move(here_2), found[1]));
        context.run();
    }
    const auto in_a_thread = [&](const char* name) {
        return example::in_thread([&] {
            example::blocking_server server{kind_of};
            return walk{server.stream()}.through(files.path / name);
        });
    };
    for (const auto& names : found)
        for (const std::string& name : names) std::cout << name << '\n';
    std::cout << "in a blocking thread the same: "
              << example::said_of(found[0] == in_a_thread("loom") && found[1] == in_a_thread("yarn")) << '\n';

    {
        asio::io_context context{1};
        auto [here, there] = example::connected_sockets(context);
        example::start(context, walk_through(files.path, std::move(here), found[0]));
        context.poll();
        std::cout << "walks under way: " << walk::under_way << '\n';
    }
    std::cout << "and when it has been abandoned: " << walk::under_way << '\n';
}
