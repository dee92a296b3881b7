// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// boost::context::fiber.

#include "../round_trip.hpp"

#include <boost/context/fiber.hpp>

#include <utility>

namespace {

class boost_fiber {
public:
    struct inside {
        boost::context::fiber resumer;
        ALWAYS_INLINE void suspend() { resumer = std::move(resumer).resume(); }
    };

    explicit boost_fiber(void (*body)(inside))
        : fiber_{[body](boost::context::fiber&& resumer) {
              body({std::move(resumer)});
              return boost::context::fiber{};
          }} {}
    ALWAYS_INLINE void resume() { fiber_ = std::move(fiber_).resume(); }

private:
    boost::context::fiber fiber_;
};

} // namespace

int main(int argc, char** argv) {
    return trace<boost_fiber>(argc, argv);
}
