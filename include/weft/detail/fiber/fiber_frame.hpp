// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/base/stack_bounds.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/fiber/frame_place.hpp>
#include <weft/stack.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace weft::detail {

[[noreturn]] WEFT_API void throw_stack_too_small(std::size_t size, std::size_t needed);

/// What lies at the top of a fiber's stack: its details, room for its body, and the allocator and the memory of the
/// stack.
template <class Allocator, std::size_t BodySize, std::size_t BodyAlignment>
class WEFT_ABI_TAG fiber_frame final : public fiber_details {
public:
    using stack_type = decltype(std::declval<Allocator&>().allocate());

    /// A fiber without a body.
    static fiber_record& create(Allocator allocator) {
        const stack_type memory = allocator.allocate();
        const auto top = reinterpret_cast<std::uintptr_t>(memory.sp);
        const frame_place<fiber_frame> place{.lowest = top - memory.size, .top = top};
        auto* const lowest = reinterpret_cast<void*>(place.lowest);
        if (!place.leaves(least_room)) [[unlikely]] {
            give_back(allocator, memory);
            throw_stack_too_small(memory.size, top - place.address + least_room);
        }
        begin_stack(lowest, memory.size);
        fiber_frame* frame = nullptr;
        WEFT_TRY {
            frame = new (place.get()) fiber_frame(allocator, memory);
            return prepare(*frame, {lowest, memory.size});
        }
        WEFT_CATCH(...) {
            if (frame) frame->~fiber_frame();
            give_back(allocator, memory);
            WEFT_RETHROW;
        }
    }

    /// Where a body can be made.
    static void* body(const fiber_record& record) noexcept { return of(record).body_; }
    template <class Body>
    static constexpr bool fits = sizeof(Body) <= BodySize && alignof(Body) <= BodyAlignment;

    static void release(fiber_record& record) noexcept {
        fiber_frame& frame = of(record);
        Allocator allocator = std::move(frame.allocator_);
        stack_type memory = frame.memory_;
        frame.~fiber_frame();
        allocator.deallocate(memory);
    }

    static stack_bounds memory(const fiber_record& record) noexcept {
        const stack_type& memory = of(record).memory_;
        const std::size_t size = memory.size;
        return {static_cast<const std::byte*>(static_cast<void*>(memory.sp)) - size, size};
    }

private:
    static constexpr std::size_t least_room = 1024; // for the first frames of any body

    // By value and not inlined, so that create() can keep `memory` in registers: written to its own stack in two words
    // and copied as one, it would cost a stall of some 12 cycles.
    [[gnu::noinline, gnu::cold]] static void give_back(Allocator allocator, stack_type memory) {
        allocator.deallocate(memory);
    }

    fiber_frame(const Allocator& allocator, const stack_type& memory) : allocator_(allocator), memory_(memory) {}

    static fiber_frame& of(const fiber_record& record) noexcept { return static_cast<fiber_frame&>(*record.details); }

    Allocator allocator_;
    stack_type memory_;
    alignas(BodyAlignment) unsigned char body_[BodySize];
};

/// That of the fibers which threads keep when they have ended, with room for the body of most. (Frames end with a cache
/// line.)
using cached_fiber_frame = fiber_frame<default_stack_allocator, 128, alignof(fiber_details)>;

} // namespace weft::detail
