// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft::fiber.

#include "../round_trip.hpp"

#include <weft/fiber.hpp>

namespace {

class fiber {
public:
    struct inside {
        weft::fiber_ref self;
        ALWAYS_INLINE void suspend() { self.suspend(); }
    };

    explicit fiber(void (*body)(inside)) : fiber_{[body](weft::fiber_ref self) { body({self}); }} {}
    ALWAYS_INLINE void resume() { fiber_.resume(); }

private:
    weft::fiber fiber_;
};

} // namespace

int main(int argc, char** argv) {
    return trace<fiber>(argc, argv);
}
