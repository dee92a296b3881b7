// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <utility>

// What the coroutines of the benchmarks do. `self.suspend()` gives control back to the resumer. run() is inlined into
// the function that the library is given: it is that function's body, as if it had been written there.
namespace bench {

/// Calls `step` below `Depth` calls that are not inlined and not tail calls.
template <int Depth>
struct below {
    template <class Step>
    [[gnu::noinline]] static void call(Step& step) {
        if constexpr (Depth == 1)
            step();
        else
            below<Depth - 1>::call(step);
        asm volatile("" ::: "memory");
    }
};

/// Suspends in a loop.
struct flat {
    template <class Self>
    [[gnu::always_inline]] static void run(Self& self) {
        for (;;) self.suspend();
    }
};

/// Keeps something on its stack.
struct uses_frames {
    template <class Self>
    [[gnu::always_inline]] static void run(Self& self) {
        volatile int kept[16] = {};
        for (;;) {
            kept[8] = kept[8] + 1;
            self.suspend();
        }
    }
};

/// Suspends in a loop below three calls. Each `Copy` has code of its own, at another place.
template <std::size_t Copy>
struct deep {
    template <class Self>
    [[gnu::always_inline]] static void run(Self& self) {
        auto loop = [&self] {
            for (;;) self.suspend();
        };
        below<3>::call(loop);
    }
};

/// Makes three calls, suspends, returns from them: so its returns come after calls that its resumer has made.
template <std::size_t Copy>
struct returning {
    template <class Self>
    [[gnu::always_inline]] static void run(Self& self) {
        auto step = [&self] { self.suspend(); };
        for (;;) below<3>::call(step);
    }
};

/// Suspends from 13 places in turn: no divisor of the 16 it is resumed from.
struct many_sites {
    template <class Self>
    [[gnu::always_inline]] static void run(Self& self) {
        for (;;)
            [&self]<std::size_t... I>(std::index_sequence<I...>) {
                ((static_cast<void>(I), self.suspend()), ...);
            }(std::make_index_sequence<13>());
    }
};

/// Ends at once.
struct nothing {
    template <class Self>
    static void run(Self&) {}
};

} // namespace bench
