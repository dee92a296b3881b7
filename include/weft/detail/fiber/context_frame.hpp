// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/base/stack_bounds.hpp>
#include <weft/detail/fiber/current_fiber.hpp>
#include <weft/detail/fiber/frame_place.hpp>
#include <weft/detail/fiber/sanitizer_switch.hpp>
#include <weft/detail/thread/exception_state.hpp>
#include <weft/stack.hpp>
#include <weft/switch.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace weft {
class WEFT_ABI_TAG fiber_context;
} // namespace weft

namespace weft::detail {

struct context_access;

/// A flow of control that does not run: what a fiber_context stands for. Lies on its own stack.
struct WEFT_ABI_TAG waiting_flow {
    context registers = nullptr;
    std::uint64_t owner = 0;              // the number of its thread; 0 before its first resume
    exception_state exceptions;
    fiber_record* fiber = nullptr;        // the innermost weft::fiber that runs in it
    const stack_bounds* stack = nullptr;  // of the fiber_context; null: a thread's
    sanitizer_fiber sanitizer{};
};

struct WEFT_ABI_TAG context_record;

/// What comes with control.
struct WEFT_ABI_TAG delivery {
    fiber_context (*call)(void* fn, fiber_context&& caller) = nullptr; // to be done on arrival, if there is a caller
    void* fn = nullptr;
    waiting_flow* caller = nullptr; // null: it has ended
    waiting_flow* target = nullptr;
    context_record* ended = nullptr;
};

/// A fiber_context's fiber; lies at the top of its stack.
struct context_record : waiting_flow {
    fiber_context (*run)(context_record&, const delivery&) = nullptr; // calls the entry and destroys it
    void (*release)(context_record&) noexcept = nullptr;              // gives the stack back; on another stack
    stack_bounds memory{};
    delivery last; // what its successor gets
};

/// Makes `record` ready to run on the memory between `lowest` and itself.
WEFT_API void prepare_context(context_record& record, void* lowest) noexcept;

/// Leaves the running flow for `target`, and returns with what comes when another flow resumes it.
WEFT_API delivery switch_to(waiting_flow& target, delivery sent) noexcept;

WEFT_API bool may_resume(const waiting_flow& flow) noexcept;

[[noreturn]] WEFT_API void terminate_context(const char* sentence) noexcept;
[[noreturn]] WEFT_API void throw_context_stack_misaligned();
[[noreturn]] WEFT_API void throw_context_stack_too_small(std::size_t size, std::size_t needed);

template <class T>
concept is_fiber_context = std::same_as<std::remove_cvref_t<T>, fiber_context>;

/// Exactly fiber_context or fiber_context&&.
template <class Fn, class Result = std::invoke_result_t<Fn, fiber_context&&>>
concept returns_fiber_context = std::same_as<Result, fiber_context> || std::same_as<Result, fiber_context&&>;

/// What arrives in a flow as an object.
template <class Context>
inline Context receive(const delivery& came);

/// A record together with its entry and with what gives the stack back, both on that stack. `Context` is fiber_context,
/// which is complete where this is used.
template <class Context, class Entry, class GiveBack>
class WEFT_ABI_TAG context_frame final : public context_record {
public:
    template <class F, class G>
    static waiting_flow& create(std::span<std::byte> memory, F&& entry, G&& give_back) {
        const auto lowest = reinterpret_cast<std::uintptr_t>(memory.data());
        const frame_place<context_frame> place{.lowest = lowest, .top = lowest + memory.size()};
        if (!place.leaves(least_room))
            throw_context_stack_too_small(memory.size(), sizeof(context_frame) + alignof(context_frame) + least_room);
        begin_stack(memory.data(), memory.size());
        auto* const frame = new (place.get())
            context_frame(std::forward<F>(entry), std::forward<G>(give_back));
        frame->memory = {memory.data(), memory.size()};
        prepare_context(*frame, memory.data());
        return *frame;
    }

private:
    static constexpr std::size_t least_room = 2048; // for the first frames of any entry

    template <class F, class G>
    context_frame(F&& entry, G&& give_back) : give_back_(std::forward<G>(give_back)), entry_(std::forward<F>(entry)) {
        this->run = &run_entry;
        this->release = &release_stack;
    }
    ~context_frame() {}

    static Context run_entry(context_record& record, const delivery& came) {
        const entry_guard destroys_it{static_cast<context_frame&>(record).entry_};
        Context caller = receive<Context>(came);
        return std::invoke(std::move(destroys_it.entry), std::move(caller));
    }

    static void release_stack(context_record& record) noexcept {
        auto& frame = static_cast<context_frame&>(record);
        GiveBack give_back(std::move(frame.give_back_));
        const std::span<std::byte> memory{const_cast<std::byte*>(static_cast<const std::byte*>(frame.memory.lowest)),
                                          frame.memory.size};
        frame.~context_frame();
        give_back(memory);
    }

    struct entry_guard {
        Entry& entry;
        ~entry_guard() { std::destroy_at(&entry); }
    };

    GiveBack give_back_;
    union {
        Entry entry_;
    };
};

/// Gives a stack back to the process-wide pool.
struct give_back_to_pool {
    void operator()(std::span<std::byte> memory) const noexcept {
        default_stack_allocator{}.deallocate({memory.size(), memory.data() + memory.size()});
    }
};

/// Calls a user's deleter.
template <class D, std::size_t N>
struct give_back_to_deleter {
    D deleter;
    void operator()(std::span<std::byte> memory) {
        std::invoke(std::move(deleter), std::span<std::byte, N>{memory.data(), memory.size()});
    }
};

} // namespace weft::detail
