// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/boost_stacks.hpp>

#include <boost/context/fiber.hpp>

#include <memory>

namespace {

struct context_fiber : bench::boost_stacks {
    static constexpr const char* name = "boost::context::fiber";

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks)
            : fiber_{std::allocator_arg, stacks, [](boost::context::fiber&& resumer) {
                         self s{std::move(resumer)};
                         Body::run(s);
                         return std::move(s.resumer);
                     }} {}
        [[gnu::always_inline]] void resume() { fiber_ = std::move(fiber_).resume(); }

    private:
        struct self {
            boost::context::fiber resumer;
            [[gnu::always_inline]] void suspend() { resumer = std::move(resumer).resume(); }
        };

        boost::context::fiber fiber_;
    };
};

const bool registered = bench::register_peer<context_fiber>();

} // namespace
