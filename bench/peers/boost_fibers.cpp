// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/boost_stacks.hpp>

#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>

namespace {

/// Its scheduler chooses who runs: resuming one lets all run, in turn.
struct fibers : bench::boost_stacks {
    static constexpr const char* name = "boost::fibers";
    static constexpr bool is_scheduled = true;

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks)
            : fiber_{boost::fibers::launch::post, std::allocator_arg, stacks, [] {
                         self s;
                         try {
                             Body::run(s);
                         } catch (stop) {
                         }
                     }} {
            stopping = false;
        }
        // They end together: whoever waits for one lets all others run, so one by one they would run n * n times.
        ~coroutine() {
            stopping = true;
            fiber_.join();
        }
        [[gnu::always_inline]] void resume() { boost::this_fiber::yield(); }

    private:
        struct stop {};
        struct self {
            [[gnu::always_inline]] void suspend() {
                boost::this_fiber::yield();
                if (stopping) throw stop{};
            }
        };

        static inline bool stopping;
        boost::fibers::fiber fiber_;
    };
};

const bool registered = bench::register_peer<fibers>();

} // namespace
