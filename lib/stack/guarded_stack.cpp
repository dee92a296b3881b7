// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "guard.h"
#include "map.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <cerrno>
#include <cstddef>

namespace weft {

guarded_stack::guarded_stack(std::size_t size) : size_{detail::whole_pages(size)} {}

stack guarded_stack::allocate() const {
    const std::size_t mapped = size_ + detail::guard_size();
    void* const lowest = detail::map(mapped);
    if (!lowest) detail::throw_or_die(stack_exhausted(mapped));
    if (!detail::install_guard(lowest)) {
        const int error = errno;
        detail::unmap(lowest, mapped);
        errno = error;
        detail::throw_or_die(stack_exhausted(mapped));
    }
    return {size_, static_cast<std::byte*>(lowest) + mapped};
}

void guarded_stack::deallocate(const stack& s) const noexcept {
    const std::size_t mapped = s.size + detail::guard_size();
    detail::unmap(static_cast<std::byte*>(s.sp) - mapped, mapped);
}

} // namespace weft
