// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "account.hpp"
#include "random.hpp"

#include <weft/stack.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

/// \file
/// What goes wrong on purpose: exceptions, operator new, stacks that cannot be had.
namespace soak {

/// What bodies and operands throw.
class fault {
public:
    explicit fault(std::uint64_t number) noexcept : number_{number} {}
    std::uint64_t number() const noexcept {
        token_.check();
        return number_;
    }

private:
    std::uint64_t number_;
    token<thing::exception> token_;
};

/// While it lives, the operator new of this thread may fail once. Nothing may be suspended meanwhile.
class failing_new {
public:
    explicit failing_new(random_source& random) noexcept;
    ~failing_new();
    failing_new(const failing_new&) = delete;
    failing_new& operator=(const failing_new&) = delete;
};

/// Blocks that came from operator new and were not given back.
std::size_t live_blocks() noexcept;

/// No stack, on purpose.
class no_stack : public std::bad_alloc {};

/// A stack allocator that takes its stacks from all over, counts them, and sometimes has none.
class stacks {
public:
    explicit stacks(random_source& random) noexcept;

    weft::stack allocate() const;
    void deallocate(const weft::stack& s) const noexcept;

    /// Gives back what is idle on this thread and in the pools; call it on each thread.
    static void trim() noexcept;

private:
    enum class source : std::uint8_t { process_pool, own_pool, mapping, heap };
    source source_;
    bool fails_;
};

} // namespace soak
