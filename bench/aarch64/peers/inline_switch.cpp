// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft's inline switch: one control block, no fiber around it.

#include "../round_trip.hpp"

#include <weft/detail/switch/inline_switch.hpp>

namespace {

class inline_switch {
public:
    struct inside {
        weft::detail::control_block& block;
        ALWAYS_INLINE void suspend() { weft::detail::switch_to_resumer(block); }
    };

    explicit inline_switch(void (*body)(inside)) : body_{body} {
        weft::detail::make_control_block(block_, stack_ + sizeof stack_, sizeof stack_, &run, this);
    }
    ALWAYS_INLINE void resume() { weft::detail::switch_to_fiber(block_); }

private:
    static void run(void* self) {
        auto& peer = *static_cast<inline_switch*>(self);
        peer.body_({peer.block_});
    }

    weft::detail::control_block block_;
    void (*body_)(inside);
    alignas(16) char stack_[64 * 1024];
};

} // namespace

int main(int argc, char** argv) {
    return trace<inline_switch>(argc, argv);
}
