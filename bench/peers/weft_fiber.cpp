// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/weft_stacks.hpp>

#include <weft/fiber.hpp>

namespace {

struct fiber : bench::weft_stacks {
    static constexpr const char* name = "weft::fiber";

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks)
            : fiber_{std::allocator_arg, stacks, [](weft::fiber_ref self) { Body::run(self); }} {}
        [[gnu::always_inline]] void resume() { fiber_.resume(); }
        [[gnu::always_inline]] void prefetch() { fiber_.prefetch(); }
        [[gnu::always_inline]] void prefetch_stack() { fiber_.prefetch_stack(); }

    private:
        weft::fiber fiber_;
    };
};

const bool registered = bench::register_peer<fiber>();

} // namespace
