// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <atomic>
#include <cstddef>

namespace weft::detail {

/// Somebody of a layer above who keeps stacks of the process-wide pool for himself. To who asks the pool, those that
/// the calling thread keeps so are idle, too.
struct stack_keeper {
    std::size_t (*kept)() noexcept; // on this thread
    void (*give_back)() noexcept;   // all of them, to the allocator
};

/// Null while nobody does.
extern constinit std::atomic<const stack_keeper*> keeper_of_stacks;

} // namespace weft::detail
