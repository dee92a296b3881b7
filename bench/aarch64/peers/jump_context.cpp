// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft's out-of-line switch.

#include "../round_trip.hpp"

#include <weft/switch.hpp>

namespace {

class jump_context {
public:
    struct inside {
        weft::context resumer;
        ALWAYS_INLINE void suspend() { resumer = weft::jump_context(resumer, nullptr).from; }
    };

    explicit jump_context(void (*body)(inside))
        : body_{body}, context_{weft::make_context(stack_ + sizeof stack_, sizeof stack_, &run)} {}
    ALWAYS_INLINE void resume() { context_ = weft::jump_context(context_, this).from; }

private:
    static void run(weft::transfer arrived) {
        static_cast<jump_context*>(arrived.data)->body_({arrived.from});
    }

    void (*body_)(inside);
    weft::context context_;
    alignas(16) char stack_[64 * 1024];
};

} // namespace

int main(int argc, char** argv) {
    return trace<jump_context>(argc, argv);
}
