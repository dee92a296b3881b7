// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Runs the programs of a corpus, then random ones, on every backend: what libFuzzer does, for processors it does not
// run on.

#include "fuzz.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace {

using bytes = std::vector<std::uint8_t>;

bytes read(const std::filesystem::path& file) {
    std::ifstream in{file, std::ios::binary};
    if (!in) throw std::runtime_error("cannot read " + file.string());
    return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<std::filesystem::path> files_of(const std::vector<std::string>& names) {
    std::vector<std::filesystem::path> files;
    for (const std::filesystem::path name : names) {
        if (std::filesystem::is_directory(name))
            std::copy(std::filesystem::directory_iterator{name}, {}, std::back_inserter(files));
        else
            files.push_back(name);
    }
    std::sort(files.begin(), files.end());
    return files;
}

bytes random_program(std::mt19937_64& random) {
    bytes program(2 * (1 + random() % 200));
    for (auto& b : program) b = static_cast<std::uint8_t>(random() >> 32);
    return program;
}

} // namespace

int main(int argc, char** argv) try {
    std::vector<std::string> names;
    std::uint64_t count = 0;
    std::uint64_t seed = std::random_device{}();
    std::string failed_file = "failed-program";
    CLI::App app{"Programs of switches on weft, Boost and a model: all must leave the same trace."};
    app.add_option("corpus", names, "Files and folders of programs");
    app.add_option("--random", count, "How many random programs to run after them");
    app.add_option("--seed", seed, "Repeats the random programs of a run (default: others each time)");
    app.add_option("--save", failed_file, "Where to put a random program that fails");
    CLI11_PARSE(app, argc, argv);

    bool all = true;
    for (const auto& file : files_of(names)) {
        if (fuzz::agree(read(file))) continue;
        std::fprintf(stderr, "failed: %s\n", file.c_str());
        all = false;
    }
    if (count > 0) {
        std::printf("seed %" PRIu64 "\n", seed);
        std::fflush(stdout);
    }
    std::mt19937_64 random{seed};
    for (std::uint64_t i = 0; i < count && all; ++i) {
        const bytes program = random_program(random);
        if (fuzz::agree(program)) continue;
        std::ofstream{failed_file, std::ios::binary}.write(reinterpret_cast<const char*>(program.data()),
                                                           static_cast<std::streamsize>(program.size()));
        std::fprintf(stderr, "failed: random program %" PRIu64 ", written to %s\n", i, failed_file.c_str());
        all = false;
    }
    fuzz::print(fuzz::so_far());
    return all ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& e) {
    std::fprintf(stderr, "replay: %s\n", e.what());
    return EXIT_FAILURE;
}
