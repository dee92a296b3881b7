// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// switch_to_fiber(control_block&) and switch_to_resumer(control_block&) of the backend this build runs on.

#include <weft/detail/config.hpp>

#if !WEFT_SWITCH_NATIVE
#    include <weft/detail/switch_fcontext.hpp>
#elif defined(__aarch64__)
#    include <weft/detail/switch_aarch64.hpp>
#else
#    include <weft/detail/switch_x86_64.hpp>
#endif

namespace weft::detail {
/// Only where switch_asks_mark: the others ask before they switch, and have no such functions.
bool try_switch_to_resumer(control_block& block) noexcept;
suspended_flow waiting_in(const control_block& block) noexcept;
void* switch_to_fiber(control_block& block, suspended_flow fiber) noexcept;
} // namespace weft::detail
