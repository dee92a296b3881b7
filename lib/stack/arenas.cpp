// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "arenas.h"

#include "guard.h"

#include <weft/detail/throw_or_die.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace weft {
namespace {

constexpr std::size_t first_arena = std::size_t{1} << 20;    // bytes
constexpr std::size_t largest_arena = std::size_t{256} << 20;
constexpr std::size_t shift = 128; // bytes from one colour to the next: a pair of cache lines

// They fill half a page.
std::size_t colours() noexcept {
    return page_size() / 2 / shift;
}

std::size_t odd_pages(std::size_t bytes) noexcept {
    return bytes / page_size() % 2 != 0 ? bytes : bytes + page_size();
}

} // namespace

// One page more than asked for is what the colours take from.
arenas::arenas(std::size_t size) : size_{whole_pages(size) + page_size()}, slot_{odd_pages(page_size() + size_)} {}

arenas::~arenas() {
    for (const arena& a : arenas_) unmap(a.lowest, a.slots * slot_);
}

stack arenas::allocate() {
    if (!closed_.empty()) {
        const closed_slot last = closed_.back();
        if (open(last.lowest + page_size(), size_, last.how)) {
            closed_.pop_back();
            ++arena_of(last.lowest).in_use;
            return stack_in(last.lowest);
        }
    }
    if (!growing_) grow();
    arena& a = arena_of(growing_);
    std::byte* const slot = a.lowest + a.begun * slot_;
    if (!install_guard(slot)) detail::throw_or_die(stack_exhausted(slot_));
    ++a.in_use;
    if (++a.begun == a.slots) growing_ = nullptr;
    return stack_in(slot);
}

void arenas::deallocate(const stack& s) noexcept {
    std::byte* const slot = slot_of(s);
    closed_.push_back({slot, close(slot + page_size(), size_)});
    --arena_of(slot).in_use;
}

void arenas::trim() noexcept {
    std::erase_if(arenas_, [&](const arena& a) {
        if (a.in_use != 0) return false;
        std::erase_if(closed_, [&](const closed_slot& slot) {
            return slot.lowest >= a.lowest && slot.lowest < a.lowest + a.slots * slot_;
        });
        if (growing_ == a.lowest) growing_ = nullptr;
        unmap(a.lowest, a.slots * slot_);
        return true;
    });
}

arenas::arena& arenas::arena_of(const void* address) noexcept {
    return *std::prev(std::upper_bound(arenas_.begin(), arenas_.end(), address,
                                       [](const void* p, const arena& a) { return p < a.lowest; }));
}

// Each arena is as large as all before it together. Where there is not enough address space for that, or memory that
// may be locked: smaller.
void arenas::grow() {
    std::size_t all = 0;
    for (const arena& a : arenas_) all += a.slots;
    std::size_t slots = std::max<std::size_t>(std::clamp(all * slot_, first_arena, largest_arena) / slot_, 1);
    closed_.reserve(all + slots);
    arenas_.reserve(arenas_.size() + 1);
    void* lowest;
    while (!(lowest = map(slots * slot_))) {
        if (slots == 1) detail::throw_or_die(stack_exhausted(slot_));
        slots = slots / 2;
    }
    growing_ = static_cast<std::byte*>(lowest);
    const auto place = std::find_if(arenas_.begin(), arenas_.end(), [&](const arena& a) { return a.lowest > growing_; });
    arenas_.insert(place, {growing_, slots, 0, 0});
}

// Neighbours get different colours, and so do the tenants of neighbouring arenas.
stack arenas::stack_in(std::byte* slot) const noexcept {
    const std::size_t colour = reinterpret_cast<std::uintptr_t>(slot) / slot_ % colours() * shift;
    return {size_ - colour, slot + page_size() + size_ - colour};
}

std::byte* arenas::slot_of(const stack& s) const noexcept {
    return static_cast<std::byte*>(s.sp) - s.size - page_size();
}

} // namespace weft
