// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

/// The same work as without weft: in a thread that blocks. What comes of it is compared with what comes of the bodies.
namespace example {

/// Runs the job in a thread of its own, and returns its result.
template <class Job>
auto in_thread(Job job) {
    std::optional<decltype(job())> result;
    std::thread{[&] { result.emplace(job()); }}.join();
    return std::move(*result);
}

/// A server in a thread of its own, which answers line by line, and the stream to it, which blocks whoever reads.
class blocking_server {
public:
    explicit blocking_server(std::function<std::string(const std::string&)> answer);
    ~blocking_server();

    std::iostream& stream();

private:
    struct connection;
    std::unique_ptr<connection> connection_;
};

/// "yes" or "NO": is it what a blocking thread has come to?
inline const char* said_of(bool same) {
    return same ? "yes" : "NO";
}

} // namespace example
