// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/weft_stacks.hpp>

#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <coroutine>

namespace {

/// The body of a coroutine: resuming goes through the coroutine, suspending through an awaiter.
struct stackful : bench::weft_stacks {
    static constexpr const char* name = "weft::stackful";

    template <class Body, class Stacks>
    class coroutine {
    public:
        explicit coroutine(Stacks stacks)
            : task_{weft::stackful<weft::task<>>(std::allocator_arg, stacks,
                                                 [this](auto& co) {
                                                     self<std::remove_reference_t<decltype(co)>> s{co, next_};
                                                     Body::run(s);
                                                 })},
              next_{task_.operator co_await().await_suspend(std::noop_coroutine())} {}
        [[gnu::always_inline]] void resume() { next_.resume(); }

    private:
        struct park {
            std::coroutine_handle<>& next;
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<> h) const noexcept { next = h; }
            void await_resume() const noexcept {}
        };

        template <class Co>
        struct self {
            Co& co;
            std::coroutine_handle<>& next;
            [[gnu::always_inline]] void suspend() { co.await(park{next}); }
        };

        weft::task<> task_;
        std::coroutine_handle<> next_;
    };
};

const bool registered = bench::register_peer<stackful>();

} // namespace
