// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>

#include <weft/generator.hpp>

namespace {

struct generator {
    static constexpr const char* name = "weft::generator";

    static auto numbers() {
        return weft::generator<int>{[](auto& out) {
            for (int n = 0;; n = (n + 1) & 0xffff) out.yield(n);
        }};
    }
};

const bool registered = bench::register_peer<generator>();

} // namespace
