// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/bodies.hpp>
#include <harness/capabilities.hpp>
#include <harness/placement.hpp>

#include <deque>

namespace bench {

/// Up to fifteen other coroutines of the peer, so that the next one gets another stack each time. None where they
/// would run, too.
template <class Peer>
class company {
public:
    company() {
        if constexpr (most_coroutines<Peer>() > 16 && !scheduled<Peer>)
            for (std::size_t n = random_below(16); n > 0; --n) others_.emplace_back(typename Peer::usual{});
    }

private:
    std::deque<usual_coroutine<Peer, flat>> others_;
};

} // namespace bench
