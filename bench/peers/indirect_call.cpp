// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>

namespace {

/// The least that leaving a function for another can cost.
struct indirect_call {
    static constexpr const char* name = "indirect call";
    static constexpr std::size_t most = 1;
    struct usual {};

    template <class Body, class Stacks>
    class coroutine;

    class caller {
    public:
        explicit caller(usual) {}
        [[gnu::always_inline]] void resume() { called_(); }

    private:
        [[gnu::noinline]] static void called() { asm volatile("" ::: "memory"); }
        void (*volatile called_)() = &called;
    };
};

template <class Stacks>
class indirect_call::coroutine<bench::flat, Stacks> : public caller {
    using caller::caller;
};
template <std::size_t Copy, class Stacks>
class indirect_call::coroutine<bench::deep<Copy>, Stacks> : public caller {
    using caller::caller;
};
template <class Stacks>
class indirect_call::coroutine<bench::many_sites, Stacks> : public caller {
    using caller::caller;
};

const bool registered = bench::register_peer<indirect_call>();

} // namespace
