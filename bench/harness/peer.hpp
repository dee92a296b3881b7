// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <work/create.hpp>
#include <work/generator.hpp>
#include <work/memory.hpp>
#include <work/round_trip.hpp>
#include <work/scale.hpp>

/// A peer is a type of one file in bench/peers, which registers it:
///
///     struct my_fibers {
///         static constexpr const char* name = "mine";
///         using usual = ...;                             // where its stacks come from by default
///         using pooled = ...;                            // if it has a pool of stacks
///         using system = ...;                            // if it has stacks made by system calls
///         using guarded = ...;                           // if it has stacks that are only handed out with a guard page
///         static void trim();                            // if it keeps the memory of stacks: gives it back
///         template <class Body, class Stacks> class coroutine { // runs Body::run(self), see bodies.hpp
///         public:
///             explicit coroutine(Stacks stacks);
///             void resume();                             // to the next self.suspend(), or to the end
///         };
///     };
///     const bool registered = bench::register_peer<my_fibers>();
///
/// One that is no stackful coroutine specialises `coroutine` for the bodies it can run and leaves it undefined for
/// others. A peer may offer `static auto numbers()`, an endless range of int, instead or as well.
namespace bench {

template <class Peer>
bool register_peer() {
    register_round_trips<Peer>();
    register_generator<Peer>();
    register_creation<Peer>();
    register_scale<Peer>();
    register_memory<Peer>();
    return true;
}

} // namespace bench
