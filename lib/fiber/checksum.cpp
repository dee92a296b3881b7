// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "checksum.h"

#include <cstdio>
#include <cstdlib>

namespace weft::detail {
namespace {

std::uint64_t mix(std::uint64_t before, const void* word) noexcept {
    before = (before ^ reinterpret_cast<std::uintptr_t>(word)) * 0x9e37'79b9'7f4a'7c15; // odd: no two words give the same,
    return before ^ before >> 32;                                                      // and the same word twice does not
}

// Also of the record's address: a block that was copied over another is none of its own. No secret: it finds accidents.
std::uint64_t checksum_of(const fiber_record& fiber) noexcept {
    const control_block& block = fiber.context;
    written_by_assembly(&block, sizeof block);
    std::uint64_t sum = mix(0, &fiber);
#if WEFT_SWITCH_NATIVE
    const bool resumer_waits = !waits(fiber);
    sum = mix(sum, block.program_counter);
    sum = mix(sum, block.stack_pointer);
    sum = mix(sum, resumer_waits ? block.resumer_base_register : block.fiber_base_register);
    return mix(sum, resumer_waits ? block.resumer_frame_pointer : block.fiber_frame_pointer);
#else
    return mix(sum, block.context);
#endif
}

} // namespace

void set_checksum_of_checked(fiber_record& fiber) noexcept {
    if (resumable(fiber))
        wait_with_care(fiber, but_for_checksum);
    else
        set_marks(fiber.context, all_marks);
    fiber.details->checksum = checksum_of(fiber);
}

void verify_checksum_of_checked(fiber_record& fiber) noexcept {
    if (fiber.details->checksum != checksum_of(fiber)) {
        const bool resumer_waits = !waits(fiber);
        const auto* lowest = static_cast<const std::byte*>(fiber.details->sanitizer.own.lowest);
        std::fprintf(stderr,
                     "weft: the context of %s fiber \"%s\" (stack %p to %p) was overwritten while it waited: look for "
                     "writes beyond the end of an array in the fiber's body, or through a pointer to what is gone\n",
                     resumer_waits ? "what resumed" : "the suspended", fiber.details->name ? fiber.details->name : "",
                     static_cast<const void*>(lowest), static_cast<const void*>(lowest + fiber.details->sanitizer.own.size));
        std::abort();
    }
    if (fiber.state & but_for_checksum) wait_plainly(fiber);
}

} // namespace weft::detail
