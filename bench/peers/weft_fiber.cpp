// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/weft_fiber.hpp>
#include <peers/weft_stacks.hpp>

namespace {

struct fiber : bench::weft_stacks {
    static constexpr const char* name = "weft::fiber";

    template <class Body, class Stacks>
    class coroutine : public bench::weft_fiber<Body, Stacks> {
    public:
        using bench::weft_fiber<Body, Stacks>::weft_fiber;
        [[gnu::always_inline]] void prefetch() { this->fiber_.prefetch(); }
        [[gnu::always_inline]] void prefetch_stack() { this->fiber_.prefetch_stack(); }
    };
};

const bool registered = bench::register_peer<fiber>();

} // namespace
