// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/weft_fiber.hpp>
#include <peers/weft_stacks.hpp>

#include <weft/fp_env.hpp>

namespace {

/// Keeps MXCSR and the x87 control word for each fiber, as fcontext does.
struct fiber_with_fp_env : bench::weft_stacks {
    static constexpr const char* name = "weft::fiber with fp_env::per_fiber";

    template <class Body, class Stacks>
    struct coroutine : bench::weft_fiber<Body, Stacks> {
        explicit coroutine(Stacks stacks)
            : bench::weft_fiber<Body, Stacks>{stacks, weft::fiber_options{.floating_point = weft::fp_env::per_fiber}} {}
    };
};

const bool registered = bench::register_peer<fiber_with_fp_env>();

} // namespace
