// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// switch_to_fiber(control_block&) and switch_to_resumer(control_block&) of the backend this build runs on.

#include <weft/detail/base/config.hpp>

#if !WEFT_SWITCH_NATIVE
#    include <weft/detail/switch/inline_switch_fcontext.hpp>
#elif defined(__aarch64__)
#    include <weft/detail/switch/inline_switch_aarch64.hpp>
#else
#    include <weft/detail/switch/inline_switch_x86_64.hpp>
#endif

namespace weft::detail {
/// Only where switch_tests_tag: there the tag bits come with a load that the switch needs anyway, so a test of them in the
/// same statement costs no load of its own. The other machines test the word before they switch, and have no such functions.
bool try_switch_to_resumer(control_block& block) noexcept;
suspended_flow waiting_in(const control_block& block) noexcept;
void* switch_to_fiber(control_block& block, suspended_flow fiber) noexcept;
} // namespace weft::detail
