// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber_record.hpp>

// The build defines it: 1 where it was configured with WEFT_CHECK_CONTEXTS=ON, or with neither ON nor OFF as Debug.
#if !defined(WEFT_CHECK_CONTEXTS)
#    define WEFT_CHECK_CONTEXTS 0
#endif

// Checksums of control blocks, see fiber_details::checksum. Each block has one while a flow waits in it: it is set when
// control has left that flow, and verified before control goes back there.
namespace weft::detail {

/// Are the fibers that this library makes checked? What it does to a fiber it reads in the record: another library may
/// have made it.
inline constexpr bool checks_contexts = WEFT_CHECK_CONTEXTS != 0;

void set_checksum_of_checked(fiber_record& fiber) noexcept;
void verify_checksum_of_checked(fiber_record& fiber) noexcept;

/// If the fiber is checked: sets the checksum of what waits in its block now, and both tag bits.
inline void set_checksum(fiber_record& fiber) noexcept {
    if (fiber.state & checked) [[unlikely]]
        set_checksum_of_checked(fiber);
}

/// If the fiber is checked: what waits in its block is about to go on. Where that is not what it was when the checksum
/// was set, the program ends with a message. A fiber that waits for no other reason gets the tag bits that the switch
/// has left.
inline void verify_checksum(fiber_record& fiber) noexcept {
    if (fiber.state & checked) [[unlikely]]
        verify_checksum_of_checked(fiber);
}

/// The fiber, whose body has not begun and which waits plainly, is checked from now on.
inline void begin_to_check(fiber_record& fiber) noexcept {
    fiber.state |= checked;
    set_checksum(fiber);
}

} // namespace weft::detail
