// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/boost_stacks.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>

namespace {

/// Suspends by posting its own continuation: a round trip goes through Asio's queue.
struct asio_spawn : bench::boost_stacks {
    static constexpr const char* name = "boost::asio::spawn";
    static constexpr std::size_t most = 1;

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks) {
            boost::asio::spawn(
                io_, std::allocator_arg, stacks,
                [this](boost::asio::yield_context yield) {
                    self s{io_, yield};
                    Body::run(s);
                },
                boost::asio::detached);
        }
        [[gnu::always_inline]] void resume() { io_.poll_one(); }

    private:
        struct self {
            boost::asio::io_context& io;
            boost::asio::yield_context& yield;
            [[gnu::always_inline]] void suspend() { boost::asio::post(io, yield); }
        };

        boost::asio::io_context io_{1};
    };
};

const bool registered = bench::register_peer<asio_spawn>();

} // namespace
