// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Boost.Context's switch.

#include "../round_trip.hpp"

#include <boost/context/detail/fcontext.hpp>

namespace {

class jump_fcontext {
public:
    struct inside {
        boost::context::detail::fcontext_t resumer;
        ALWAYS_INLINE void suspend() { resumer = boost::context::detail::jump_fcontext(resumer, nullptr).fctx; }
    };

    explicit jump_fcontext(void (*body)(inside))
        : body_{body}, context_{boost::context::detail::make_fcontext(stack_ + sizeof stack_, sizeof stack_, &run)} {}
    ALWAYS_INLINE void resume() { context_ = boost::context::detail::jump_fcontext(context_, this).fctx; }

private:
    static void run(boost::context::detail::transfer_t arrived) {
        static_cast<jump_fcontext*>(arrived.data)->body_({arrived.fctx});
    }

    void (*body_)(inside);
    boost::context::detail::fcontext_t context_;
    alignas(16) char stack_[64 * 1024];
};

} // namespace

int main(int argc, char** argv) {
    return trace<jump_fcontext>(argc, argv);
}
