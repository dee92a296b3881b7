// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/owned_stack.hpp>

namespace bench {

/// A coroutine on a switch with the contract of fcontext. `Switch` has context, transfer, make(top, size, entry) and
/// jump(to, data), which gives {context, data}.
template <class Switch, class Body, class Stacks>
class fcontext_coroutine {
    using context = typename Switch::context;
    using transfer = typename Switch::transfer;

public:
    explicit fcontext_coroutine(Stacks stacks)
        : stack_{stacks}, context_{Switch::make(stack_.top(), stack_.size(), &entry)} {}

    [[gnu::always_inline]] void resume() { context_ = Switch::from(Switch::jump(context_, nullptr)); }

private:
    struct self {
        context resumer;
        [[gnu::always_inline]] void suspend() { resumer = Switch::from(Switch::jump(resumer, nullptr)); }
    };

    static void entry(transfer t) {
        self s{Switch::from(t)};
        Body::run(s);
        s.suspend();
    }

    owned_stack<Stacks> stack_;
    context context_;
};

} // namespace bench
