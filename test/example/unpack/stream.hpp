// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "archive_reader.hpp"
#include "entry.hpp"

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace unpack {

/// What has been found out about one connection.
struct stream {
    enum class end { open, complete, bad_archive, lost_connection };

    std::size_t number = 0; ///< in the order of arrival, from 1
    std::uint16_t client_port = 0;
    std::uint64_t received = 0; ///< bytes
    std::vector<entry> listing; ///< members that arrived whole
    std::string current; ///< path of the member that is being read
    end outcome = end::open;
    std::string error;

    /// Notes how the coroutine that served the connection ended.
    void ended(std::exception_ptr reason) {
        outcome = end::complete;
        if (!reason) return;
        try {
            std::rethrow_exception(reason);
        } catch (const archive_error& e) {
            fail(end::bad_archive, e.what());
        } catch (const boost::system::system_error& e) {
            fail(end::lost_connection, e.code().message());
        }
    }

private:
    void fail(end how, const std::string& why) {
        outcome = how;
        error = why + "; " + std::to_string(received) + " bytes had arrived, member " +
                std::to_string(listing.size() + 1) +
                (current.empty() ? " was next" : " was under way: " + escaped(current));
    }
};

/// All connections together. One thread serves them: plain integers do.
struct traffic {
    std::uint64_t received = 0; ///< bytes
    std::size_t ended = 0; ///< streams
    std::size_t reads = 0; ///< times that libarchive was suspended for more bytes
    std::size_t interleaved = 0; ///< … and another stream ran before it went on
    std::size_t waiting = 0; ///< streams that are suspended so, now
    std::size_t most_waiting = 0;
    std::size_t abandoned = 0; ///< streams that were suspended so when everything was dropped
    std::size_t open_archives = 0; ///< to be 0 when all is over
    std::uint64_t turn = 0; ///< counts every time a stream goes on
};

/// Lives as long as one read of a stream is under way.
class pause {
public:
    explicit pause(traffic& all) : all_{all}, turn_{all.turn} {
        ++all.reads;
        all.most_waiting = std::max(all.most_waiting, ++all.waiting);
    }
    ~pause() {
        --all_.waiting;
        if (all_.turn != turn_) ++all_.interleaved;
        ++all_.turn;
    }
    pause(const pause&) = delete;
    pause& operator=(const pause&) = delete;

private:
    traffic& all_;
    std::uint64_t turn_;
};

/// Adds one to a counter for as long as it lives.
class counted {
public:
    explicit counted(std::size_t& counter) : counter_{counter} { ++counter_; }
    ~counted() { --counter_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;

private:
    std::size_t& counter_;
};

} // namespace unpack
