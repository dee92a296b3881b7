// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/weft_stacks.hpp>

#include <weft/fiber.hpp>

#include <cstddef>

namespace {

/// One for all that name it.
struct small_stacks {
    weft::stack allocate() { return pool().allocate(); }
    void deallocate(const weft::stack& s) noexcept { pool().deallocate(s); }
    static weft::stack_pool& pool() {
        static weft::stack_pool stacks{std::size_t{104} * 1024}; // the default of weft 0.1
        return stacks;
    }
};

/// What the number of fibers costs where their stacks are small, beside the default's half a MiB.
struct fiber_with_small_stacks {
    static constexpr const char* name = "weft::fiber with small stacks";
    using usual = small_stacks;
    using guarded = bench::only_guarded<usual, -1>;
    static void trim() { small_stacks::pool().trim(); }

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks)
            : fiber_{std::allocator_arg, stacks, [](weft::fiber_ref self) { Body::run(self); }} {}
        [[gnu::always_inline]] void resume() { fiber_.resume(); }

    private:
        weft::fiber fiber_;
    };
};

const bool registered = [] {
    bench::register_scale<fiber_with_small_stacks>();
    bench::register_memory<fiber_with_small_stacks>();
    return true;
}();

} // namespace
