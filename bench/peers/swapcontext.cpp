// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/owned_stack.hpp>
#include <harness/peer.hpp>
#include <peers/boost_stacks.hpp>

#include <ucontext.h>

#include <cstdint>

namespace {

/// POSIX: each switch is a system call too, for the signal mask.
struct posix : bench::boost_stacks {
    static constexpr const char* name = "swapcontext";

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks) : stack_{stacks} {
            getcontext(&self_.coroutine);
            self_.coroutine.uc_stack.ss_sp = stack_.bottom();
            self_.coroutine.uc_stack.ss_size = stack_.size();
            self_.coroutine.uc_link = &self_.resumer;
            const auto address = reinterpret_cast<std::uintptr_t>(&self_);
            makecontext(&self_.coroutine, reinterpret_cast<void (*)()>(&entry), 2, static_cast<unsigned>(address >> 32),
                        static_cast<unsigned>(address));
        }
        [[gnu::always_inline]] void resume() { swapcontext(&self_.resumer, &self_.coroutine); }

    private:
        struct self {
            ucontext_t coroutine;
            ucontext_t resumer;
            [[gnu::always_inline]] void suspend() { swapcontext(&coroutine, &resumer); }
        };

        static void entry(unsigned high, unsigned low) {
            Body::run(*reinterpret_cast<self*>(std::uintptr_t{high} << 32 | low));
        }

        self self_;
        bench::owned_stack<Stacks> stack_;
    };
};

const bool registered = bench::register_peer<posix>();

} // namespace
