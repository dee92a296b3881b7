// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/process_memory.hpp>

#include <fstream>
#include <sstream>
#include <string>

std::size_t bench::process_memory() {
    std::ifstream status{"/proc/self/status"};
    std::size_t kibibytes = 0;
    for (std::string line; std::getline(status, line);) {
        std::istringstream words{line};
        std::string what;
        std::size_t amount;
        if (words >> what >> amount && (what == "VmRSS:" || what == "VmPTE:")) kibibytes += amount;
    }
    return kibibytes * 1024;
}
