// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "invariants.h"

#include <weft/detail/fiber/fiber_state.hpp>
#include <weft/detail/switch/control_block.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace weft::detail {
namespace {

// What is wrong; null: nothing.
const char* violation(const fiber_record& fiber) noexcept {
    const fiber_details& details = *fiber.details;
    const std::uintptr_t tags = tags_of(fiber.block);
    const std::uint32_t state = fiber.state, progress = fiber.progress;
    constexpr std::uint32_t of_running = unwinding | has_inner | set_aside | bound | abandoned;
    constexpr std::uint32_t reasons = but_for_fp | but_for_checksum;

    if (tags == all_tags) return "both tags hold";
    if (tags & resumable_tag && state != plain) return "it is resumable, and not plain";
    if (tags & suspendable_tag && (state & waits_slow || !(progress & begun)))
        return "it is suspendable, and does not run";
    if (state & waits_slow && state & (of_running | threw)) return "it waits, and its state is that of one that does not";
    if (progress & ended && !(progress & begun)) return "its body has ended, and not begun";
    if (progress & ended && (tags != no_tag || state & ~std::uint32_t{threw}))
        return "its body has ended, and it can be continued";
    if (progress & ended && details.owner) return "its body has ended, and it has an owner";
    if (state & threw && !(progress & failed)) return "it has thrown, and not failed";
    if (state & reasons && !(state & waits_slow)) return "there is a reason why it waits so, and it does not";
    if ((state & reasons) == reasons) return "there are two only reasons why it waits so";
    if (state & but_for_fp && !(progress & own_fp)) return "it waits for control words that it does not have";
    if (state & but_for_checksum && !(state & checked)) return "it waits for a checksum that it does not have";
    if (state & has_inner && !details.inner) return "it has an inner fiber, and none is known";
    if (details.inner && details.inner->details->outer != &fiber) return "its inner fiber has another outer one";
    if (state & bound && !details.bindings) return "it is bound to its thread, and by nothing";
    if (details.name && !(progress & named)) return "it has a name, and is not named";
    if (tags & resumable_tag && (details.inner || details.bindings || details.exceptions.any() || progress & own_fp))
        return "it is resumable, and has more than its registers";
    return nullptr;
}

} // namespace

void check_state_of(const fiber_record& fiber) noexcept {
    const char* const wrong = violation(fiber);
    if (!wrong) return;
    std::fprintf(stderr,
                 "weft: the fiber \"%s\" is in no state of a fiber (%s; state %u, progress %u, tags %u): look for writes "
                 "beyond the end of an array, or for a fiber that two threads use at the same time\n",
                 fiber.details->name ? fiber.details->name : "", wrong, unsigned{fiber.state}, unsigned{fiber.progress},
                 tags_of(fiber.block) & resumable_tag ? 1U : tags_of(fiber.block) & suspendable_tag ? 2U : 0U);
    std::abort();
}

} // namespace weft::detail
