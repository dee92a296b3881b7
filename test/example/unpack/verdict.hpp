// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "clients.hpp"
#include "stream.hpp"
#include "verify.hpp"

#include <algorithm>
#include <cstddef>
#include <iomanip>
#include <iostream>
#include <list>
#include <span>
#include <string_view>
#include <vector>

namespace unpack {

inline std::string_view name_of(conduct how) {
    switch (how) {
    case conduct::truncating: return "truncating";
    case conduct::corrupting: return "corrupting";
    case conduct::disconnecting: return "disconnecting";
    default: return "honest";
    }
}

/// How a stream has to end whose client does this.
inline stream::end due_end(conduct how) {
    switch (how) {
    case conduct::truncating:
    case conduct::corrupting: return stream::end::bad_archive;
    case conduct::disconnecting: return stream::end::lost_connection;
    default: return stream::end::complete;
    }
}

/// Compares what the server found out with what the clients did, in sentences. `ok()` if nothing was amiss.
class verdict {
public:
    explicit verdict(bool quiet) : quiet_{quiet} {}

    bool ok() const { return ok_; }

    /// The listing that all honest streams agree upon.
    const std::vector<entry>& listing() const { return *listing_; }

    /// Every stream ended as its client's conduct demands, and all listings of honest clients are the same.
    void judge(std::span<const client> clients, const std::list<stream>& streams) {
        std::size_t equal = 0;
        std::vector<std::pair<const stream*, conduct>> sabotaged;
        for (const stream& s : streams) {
            const auto is_its_client = [&s](const client& each) { return each.port == s.client_port; };
            const auto c = std::find_if(clients.begin(), clients.end(), is_its_client);
            if (c == clients.end()) {
                fault("stream ", s.number, " belongs to no client of this program");
            } else if (s.outcome != due_end(c->how)) {
                fault("stream ", s.number, " of a client that is ", name_of(c->how), " ended wrongly: ",
                      s.error.empty() ? "no error" : s.error);
            } else if (c->how != conduct::honest) {
                sabotaged.emplace_back(&s, c->how);
            } else {
                if (!listing_) listing_ = &s.listing;
                if (s.listing == *listing_)
                    ++equal;
                else
                    fault("stream ", s.number, " lists something else than the others");
            }
        }
        if (listing_) {
            say(equal, " streams arrived whole, their listings of ", listing_->size(), " members are equal");
        } else {
            fault("no stream arrived whole");
            listing_ = &none_;
        }
        if (sabotaged.empty()) return;
        say(sabotaged.size(), " sabotaged streams failed, each with its error:");
        for (const auto& [s, how] : sabotaged)
            say("  stream ", std::setw(3), s->number, "  ", std::left, std::setw(14), name_of(how), std::right,
                s->error);
    }

    /// The listing is what `tar` or `unzip` extracts.
    void judge(const reference& expected) {
        constexpr std::size_t shown = 10;
        const std::vector<std::string> differences = expected.differences(*listing_);
        for (std::size_t i = 0; i < std::min(shown, differences.size()); ++i) fault(differences[i]);
        if (differences.size() > shown) fault("and ", differences.size() - shown, " more differences");
        if (differences.empty())
            say(expected.judges(), " agree: ", listing_->size(), " members, ", expected.files(),
                " files with their SHA-256");
        else
            fault(expected.judges(), " do not agree with the listing");
    }

    /// The streams took turns inside libarchive, and nothing of them is left.
    void judge(const traffic& all, std::size_t streams) {
        say(all.interleaved, " of ", all.reads, " reads suspended libarchive and another stream ran meanwhile; up to ",
            all.most_waiting, " of ", streams, " streams were inside libarchive at once");
        if (streams > 1 && (all.interleaved == 0 || all.most_waiting < 2)) fault("the streams did not interleave");
        judge_left_overs(all);
    }

    /// Streams were suspended when they were dropped, and nothing of them is left.
    void judge_abandoned(const traffic& all) {
        say("dropped while ", all.abandoned, " streams were waiting inside libarchive");
        if (all.abandoned == 0) fault("there was nothing to drop: the archive is too small");
        judge_left_overs(all);
    }

    template <class... Parts>
    void fault(const Parts&... parts) {
        ok_ = false;
        std::cout << "  WRONG ";
        (std::cout << ... << parts) << '\n';
    }

    template <class... Parts>
    void say(const Parts&... parts) const {
        if (quiet_) return;
        std::cout << "  ";
        (std::cout << ... << parts) << '\n';
    }

private:
    void judge_left_overs(const traffic& all) {
        if (all.open_archives == 0 && all.waiting == 0)
            say("nothing is left over: no archive is open, no read is under way");
        else
            fault(all.open_archives, " archives are still open, ", all.waiting, " reads are under way");
    }

    bool quiet_;
    bool ok_ = true;
    const std::vector<entry>* listing_ = nullptr;
    std::vector<entry> none_;
};

} // namespace unpack
