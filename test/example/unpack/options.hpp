// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "clients.hpp"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <span>
#include <vector>

namespace unpack {

struct options {
    std::filesystem::path archive;
    std::size_t honest = 64;
    std::size_t truncating = 2;
    std::size_t corrupting = 2;
    std::size_t disconnecting = 2;
    std::uint32_t seed = 1;
    std::filesystem::path list;
    bool quiet = false;
    bool no_verify = false;
    bool abandon = false;
};

/// Throws CLI::ParseError, which `app.exit` turns into a message and an exit status.
inline options parse(CLI::App& app, int argc, char** argv) {
    options o;
    app.add_option("ARCHIVE", o.archive, "a tar, tar.gz, tar.bz2, tar.xz, tar.zst or zip file")
        ->required()
        ->check(CLI::ExistingFile);
    const auto number = [&app](const char* name, auto& value, const char* meaning) {
        return app.add_option(name, value, meaning)->capture_default_str();
    };
    number("--clients", o.honest, "clients that send the archive whole")->check(CLI::Range(1, 10000));
    number("--truncate", o.truncating, "further clients that send only the first part of it");
    number("--corrupt", o.corrupting, "further clients that send noise from some byte on");
    number("--disconnect", o.disconnecting, "further clients that reset the connection in the middle");
    number("--seed", o.seed, "decides the sizes of the pieces and the places of the damage");
    app.add_option("--list", o.list, "write the whole listing to this file ('-': standard output)");
    app.add_flag("--quiet", o.quiet, "print only what is wrong, and the verdict");
    app.add_flag("--no-verify", o.no_verify, "do not ask tar or unzip, and sha256sum, what is in the archive");
    app.add_flag("--abandon", o.abandon, "drop everything when half has arrived, and see that nothing is left over");
    app.parse(argc, argv);
    return o;
}

/// The clients that the options ask for, the dishonest ones spread among the honest.
inline std::vector<client> clients_for(const options& o, std::span<const std::byte> archive) {
    std::mt19937 random{o.seed};
    std::vector<client> clients(o.honest + o.truncating + o.corrupting + o.disconnecting);
    std::size_t next = o.honest;
    const auto some_are = [&](conduct how, std::size_t count) {
        for (; count > 0; --count) clients[next++].how = how;
    };
    some_are(conduct::truncating, o.truncating);
    some_are(conduct::corrupting, o.corrupting);
    some_are(conduct::disconnecting, o.disconnecting);
    std::shuffle(clients.begin(), clients.end(), random);
    for (client& c : clients) {
        c.seed = static_cast<std::uint32_t>(random());
        c.damaged_from = place_of_damage(archive, random);
    }
    return clients;
}

} // namespace unpack
