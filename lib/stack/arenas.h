// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <cerrno>
#include <cstddef>
#include <new>
#include <vector>

namespace weft {

/// Memory for what is written down about stacks; operator delete takes it back. \throws stack_exhausted if there is
/// none. It is asked of the plain operator new: where a program replaces that and operator delete alone,
/// AddressSanitizer answers to the nothrow one, with memory that the program's operator delete cannot take back.
inline void* allocate_account(std::size_t bytes) {
#if WEFT_EXCEPTIONS
    try {
        return ::operator new(bytes);
    } catch (const std::bad_alloc&) {
    }
#else
    if (void* const memory = ::operator new(bytes, std::nothrow)) return memory;
#endif
    errno = ENOMEM;
    detail::throw_or_die(stack_exhausted(bytes));
}

/// std::allocator by allocate_account().
template <class T>
struct account_allocator {
    using value_type = T;

    T* allocate(std::size_t count) { return static_cast<T*>(allocate_account(count * sizeof(T))); }
    void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory); }
    friend bool operator==(const account_allocator&, const account_allocator&) noexcept = default;
};

/// Stacks of one size, side by side in a few large mappings, so that a million of them is no million mappings. Not
/// thread-safe.
///
/// The tops of stacks that lie a power of two apart would fall into the same few sets of the processor's first cache,
/// and those of a hundred fibers would drive each other out: so tops are shifted by some lines, a different number
/// ("colour") for each. Likewise their pages in the caches of translations (TLBs), and the words of the page tables,
/// which lines within a page cannot set apart: so stacks lie an odd number of pages apart. (One of a hundred tops, in
/// random order, takes three ns 127 or 129 pages apart, and 15 at 128.)
class arenas {
public:
    explicit arenas(std::size_t size); ///< \throws std::invalid_argument
    ~arenas();
    arenas(const arenas&) = delete;
    arenas& operator=(const arenas&) = delete;

    /// A stack with its guard. \throws stack_exhausted
    stack allocate();
    /// Its memory goes back to the system, its address space stays here.
    void deallocate(const stack& s) noexcept;
    /// Unmaps the arenas no stack of which is in use.
    void trim() noexcept;

private:
    struct arena {
        std::byte* lowest;
        std::size_t slots;
        std::size_t begun;  // slots that have had their guard
        std::size_t in_use;
    };

    struct closed_slot {
        std::byte* lowest;
        guard_method how; // see close()
    };

    arena& arena_of(const void* address) noexcept;
    void grow();
    stack stack_in(std::byte* slot) const noexcept;
    std::byte* slot_of(const stack& s) const noexcept;

    std::size_t size_; // usable bytes, the colour's included
    std::size_t slot_; // bytes from one stack to the next: the guard, then size_, then a page to spare if that is even
    std::vector<arena, account_allocator<arena>> arenas_; // by address
    // Slots that were in use; room for all, so that giving one back needs no memory.
    std::vector<closed_slot, account_allocator<closed_slot>> closed_;
    std::byte* growing_ = nullptr;  // the arena whose slots have not all been begun
};

} // namespace weft
