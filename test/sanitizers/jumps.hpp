// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>
#include <weft/switch.hpp>

#include <cstddef>

#if WEFT_ASAN
#    include <sanitizer/common_interface_defs.h>
#endif
#if WEFT_TSAN
#    include <sanitizer/tsan_interface.h>
#endif
#if WEFT_TELLS_VALGRIND
#    include <valgrind/valgrind.h>
#endif

/// A user of weft/switch.hpp. The bare switch tells a sanitizer nothing: whoever owns the stacks does, as here.
class jumping {
public:
    explicit jumping(void (*work)(jumping&)) : work_{work}, stack_{allocator_.allocate()} {
        context_ = weft::make_context(stack_.sp, stack_.size, [](weft::transfer t) {
            auto& self = *static_cast<jumping*>(t.data);
            self.arrived_inside(t);
            self.work_(self);
            self.ended_ = true;
            self.depart_outside(true);
            weft::jump_context(self.context_, nullptr);
        });
#if WEFT_TSAN
        inside_ = __tsan_create_fiber(0);
#endif
#if WEFT_TELLS_VALGRIND
        registered_ = VALGRIND_STACK_REGISTER(lowest(), stack_.sp);
#endif
    }
    jumping(const jumping&) = delete;
    jumping& operator=(const jumping&) = delete;
    ~jumping() {
#if WEFT_TSAN
        __tsan_destroy_fiber(inside_);
#endif
#if WEFT_TELLS_VALGRIND
        VALGRIND_STACK_DEREGISTER(registered_);
#endif
        allocator_.deallocate(stack_);
    }

    bool ended() const { return ended_; }

    void enter() {
        void* fake_stack = nullptr;
        static_cast<void>(fake_stack);
#if WEFT_ASAN
        __sanitizer_start_switch_fiber(&fake_stack, lowest(), stack_.size);
#endif
#if WEFT_TSAN
        outside_ = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(inside_, 0);
#endif
        const weft::transfer back = weft::jump_context(context_, this);
#if WEFT_ASAN
        __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
        context_ = back.from;
    }

    void leave() {
        depart_outside(false);
        arrived_inside(weft::jump_context(context_, nullptr));
    }

private:
    const void* lowest() const { return static_cast<std::byte*>(stack_.sp) - stack_.size; }

    void arrived_inside(weft::transfer t) {
        context_ = t.from;
#if WEFT_ASAN
        __sanitizer_finish_switch_fiber(fake_stack_, &outside_lowest_, &outside_size_);
#endif
    }

    void depart_outside([[maybe_unused]] bool last) {
#if WEFT_ASAN
        __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, outside_lowest_, outside_size_);
#endif
#if WEFT_TSAN
        __tsan_switch_to_fiber(outside_, 0);
#endif
    }

    void (*work_)(jumping&);
    inline static weft::default_stack_allocator allocator_;
    weft::stack stack_;
    weft::context context_ = nullptr;
    bool ended_ = false;
    void* fake_stack_ = nullptr;
    const void* outside_lowest_ = nullptr;
    std::size_t outside_size_ = 0;
    void* inside_ = nullptr;
    void* outside_ = nullptr;
    unsigned registered_ = 0;
};
