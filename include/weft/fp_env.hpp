// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

namespace weft {

/// Whose are the rounding mode, the treatment of denormals and the traps of floating point (std::fesetround and so on)?
/// Of a fiber, a generator's body or a stackful body: see weft::fiber_options.
enum class fp_env {
    thread,    ///< The thread's: what a fiber changes, its resumer sees, and the other way round.
               ///< (Boost.Context's switch for x86-64 keeps the rounding mode with each stack whatever is asked.)
    per_fiber, ///< The fiber's: it begins with that of the thread that creates it and keeps it over suspensions and threads.
               ///< On AArch64 FPCR, on x86-64 MXCSR and the x87 control word; raised flags in MXCSR go with it, FPSR
               ///< stays the thread's. Costs a few nanoseconds per resume: writing these registers is slow.
};

} // namespace weft
