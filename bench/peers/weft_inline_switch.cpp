// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/owned_stack.hpp>
#include <harness/peer.hpp>
#include <peers/weft_stacks.hpp>

#include <weft/detail/switch/inline_switch.hpp>

namespace {

/// The switch that weft's fibers are made of, by itself.
struct inline_switch : bench::weft_stacks {
    static constexpr const char* name = "weft inline switch";

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks) : stack_{stacks} {
            weft::detail::make_control_block(block_, stack_.top(), stack_.size(), &entry, &block_);
        }
        [[gnu::always_inline]] void resume() { weft::detail::switch_to_fiber(block_); }

    private:
        struct self {
            weft::detail::control_block& block;
            [[gnu::always_inline]] void suspend() { weft::detail::switch_to_resumer(block); }
        };

        static void entry(void* block) {
            self s{*static_cast<weft::detail::control_block*>(block)};
            Body::run(s);
            s.suspend();
        }

        weft::detail::control_block block_;
        bench::owned_stack<Stacks> stack_;
    };
};

const bool registered = bench::register_peer<inline_switch>();

} // namespace
