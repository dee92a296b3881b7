// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A runtime for fibers that yield to each other in turn, like the one that chapter 5 of "Asynchronous Programming in
// Rust" builds from inline assembly: four slots, one of them the program's own, 2 MiB of stack for each of the others,
// and a guard that runs where a fiber's function returns to and makes its slot free again. Here the switch, the stacks
// and the first entry are weft's; what is left is the scheduling.
//
//     c_fibers             two fibers count in turn
//     c_fibers too-many    asks for one fiber more than there are slots

#include <weft/fiber.hpp>
#include <weft/stack.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

/// `spawn` was called while every slot was taken.
struct no_free_slot : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class runtime {
public:
    static constexpr std::size_t slots = 4; // slot 0 is whoever calls run()
    static constexpr std::size_t stack_size = 2 * 1024 * 1024;

    /// Puts `work` into a free slot; it starts when its turn comes. May be called from a fiber. Throws no_free_slot.
    void spawn(std::function<void()> work) {
        for (std::size_t i = 1; i < slots; ++i) {
            if (slots_[i].state != status::available) continue;
            const auto body = [this, i, work = std::move(work)] {
                work();
                guard(i);
            };
            slots_[i].fiber = weft::fiber{std::allocator_arg, weft::guarded_stack{stack_size}, body};
            slots_[i].state = status::ready;
            return;
        }
        throw no_free_slot{"all " + std::to_string(slots - 1) + " slots for fibers are taken: "
                           "let one of them finish before you spawn another, or raise runtime::slots"};
    }

    /// Runs the fibers in turn until none is left.
    void run() {
        for (bool any = true; any;) {
            any = false;
            for (slot& each : slots_) {
                if (each.state != status::ready) continue;
                any = true;
                each.state = status::running;
                each.fiber.resume();
                if (each.state == status::running) each.state = status::ready;
            }
        }
    }

    /// Called by a fiber, from any depth: lets the others run first.
    static void yield() { weft::this_fiber::suspend(); }

private:
    enum class status { available, ready, running };

    struct slot {
        status state = status::available;
        weft::fiber fiber;
    };

    /// Runs last in every fiber, still on its stack.
    void guard(std::size_t finished) { slots_[finished].state = status::available; }

    std::array<slot, slots> slots_;
};

void count(int id, int end) {
    std::cout << "THREAD " << id << " STARTING\n";
    for (int i = 0; i < end; ++i) {
        std::cout << "thread: " << id << " counter: " << i << '\n';
        runtime::yield();
    }
    std::cout << "THREAD " << id << " FINISHED\n";
}

} // namespace

int main(int argc, char** argv) {
    runtime fibers;
    try {
        fibers.spawn([] { count(1, 10); });
        fibers.spawn([] { count(2, 15); });
        if (argc > 1 && std::string_view{argv[1]} == "too-many") {
            fibers.spawn([] { count(3, 1); });
            fibers.spawn([] { count(4, 1); });
        }
    } catch (const no_free_slot& e) {
        std::cerr << "c_fibers: " << e.what() << '\n';
        return EXIT_FAILURE;
    }
    fibers.run();
}
