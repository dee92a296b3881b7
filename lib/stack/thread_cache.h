// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <array>
#include <cstddef>

// What a thread keeps for itself of what is everybody's, to be used again without asking anybody else.
namespace weft::detail {

enum class cache_phase : unsigned char {
    unused,
    in_use, // what is in it is given back when the thread ends
    closed, // the thread ends: nobody would give it back any more
};

/// Does the calling thread keep the cache that `phase` belongs to? It does from the first time on until it ends: then
/// `Empty` is called. Destructors of other thread_local objects may still end fibers after that.
template <void (*Empty)() noexcept>
bool open_cache(cache_phase& phase) noexcept {
    struct thread_end {
        cache_phase& phase;
        ~thread_end() {
            phase = cache_phase::closed;
            Empty();
        }
    };
    if (phase != cache_phase::unused) return phase == cache_phase::in_use;
    static thread_local const thread_end at_the_end{phase};
    static_cast<void>(at_the_end);
    phase = cache_phase::in_use;
    return true;
}

/// Such a cache, for thread_local variables.
template <class T>
struct thread_cache {
    static constexpr std::size_t capacity = 16;

    void push(T* one) noexcept { kept[count++] = one; }
    T* pop() noexcept { return kept[--count]; }

    std::array<T*, capacity> kept;
    std::size_t count;
    cache_phase phase;
};

} // namespace weft::detail
