// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/stack_overflow.hpp>

#include "../stack/guard.h"
#include "../stack/usage.h"
#include "../thread/thread_state.h"
#include "checksum.h"
#include "stack_overflow.h"

#include <weft/detail/base/throw_or_die.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <new>
#include <string_view>
#include <system_error>

#include <csignal>
#include <unistd.h>

namespace weft {
namespace {

// A library that checks contexts reports without being asked, unless a sanitizer does.
constexpr bool reports_unasked =
    detail::checks_contexts && !WEFT_ASAN && !WEFT_HWASAN && !WEFT_MSAN && !WEFT_TSAN && !WEFT_TELLS_VALGRIND;

std::atomic<bool> asked_for{false};

// ---------------------------------------------------------------------------------------------------------------------
// The report. Everything here may be called by a signal handler.

struct address {
    explicit address(const void* a) noexcept : value{reinterpret_cast<std::uintptr_t>(a)} {}
    std::uintptr_t value;
};

// One line, written at once. What does not fit is left out.
class line {
public:
    line& operator<<(std::string_view text) noexcept {
        const std::size_t count = std::min(text.size(), text_.size() - size_);
        std::copy_n(text.data(), count, text_.data() + size_);
        size_ += count;
        return *this;
    }
    line& operator<<(std::size_t number) noexcept { return print(number, 10); }
    line& operator<<(address a) noexcept { return (*this << "0x").print(a.value, 16); }
    void write() const noexcept {
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text_.data(), size_);
    }

private:
    line& print(std::uintptr_t number, int base) noexcept {
        std::array<char, 24> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
        return *this << std::string_view{digits.data(), static_cast<std::size_t>(end - digits.data())};
    }

    std::array<char, 512> text_;
    std::size_t size_ = 0;
};

// How much of `stack` has been used, on which `touched` lies; 0 if that is not known.
std::size_t used_of(const detail::stack_bounds& stack, const void* touched) noexcept {
    const auto* const lowest = static_cast<const std::byte*>(stack.lowest);
    const std::byte* const end = detail::lowest_touched(lowest, touched);
    return end ? static_cast<std::size_t>(lowest + stack.size - end) : 0;
}

std::uintptr_t stack_pointer([[maybe_unused]] const void* context) noexcept {
#if defined(__linux__) && defined(__x86_64__)
    return static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
#elif defined(__linux__) && defined(__aarch64__)
    return static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.sp);
#else
    return 0; // not known: taken to be in place
#endif
}

// A function touches its frame at its stack pointer or above; when it makes the frame, a little below, whatever the size
// of pages.
bool is_overflow(const detail::stack_bounds& stack, const void* fault, const void* context) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(fault);
    const auto lowest = reinterpret_cast<std::uintptr_t>(stack.lowest);
    constexpr std::size_t little = 4096;
    return at >= lowest - detail::guard_size() && at < lowest + stack.size && stack_pointer(context) <= at + little;
}

void report(const detail::stack_bounds& stack, std::size_t used, const char* whose, const char* name,
            const void* fault) noexcept {
    line l;
    l << "weft: stack overflow in " << whose;
    if (name) l << " \"" << name << "\"";
    l << ": fault at " << address{fault} << ", its stack is " << address{stack.lowest} << " to "
      << address{static_cast<const std::byte*>(stack.lowest) + stack.size} << ", " << stack.size << " bytes, of which ";
    if (used == 0)
        l << "an unknown number have been used";
    else
        l << used << " have been used";
    l << ". Give it a larger stack, or look for a recursion without end.\n";
    l.write();
}

void report_if_overflow(const siginfo_t& info, const void* context) noexcept {
    const detail::thread_state& thread = detail::this_thread();
    if (const detail::fiber_record* const fiber = running_fiber(thread)) {
        const detail::fiber_details& details = *fiber->details;
        const detail::stack_bounds stack = details.operations->memory(*fiber);
        if (is_overflow(stack, info.si_addr, context))
            report(stack, used_of(stack, &details), details.name ? "the fiber" : "a fiber without a name", details.name,
                   info.si_addr);
    } else if (thread.context && is_overflow(*thread.context, info.si_addr, context)) {
        report(*thread.context, used_of(*thread.context, thread.context), "a fiber_context", nullptr, info.si_addr);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The handler, and what was there before it.

constexpr std::array<int, 2> signals{SIGSEGV, SIGBUS};

// Two handlers, as both may be installed, with a program's own between them: that of a library that checks contexts, and
// that of report_stack_overflow().
enum fault_handler { unasked, asked };
std::array<struct sigaction, signals.size()> handlers_before[2];

// By the processor at an instruction, which will do so again; not by kill() or raise().
bool is_fault(const siginfo_t& info) noexcept {
    return info.si_code > 0;
}

void go_on_as_before(fault_handler which, int signal, siginfo_t* info, void* context) noexcept {
    struct sigaction& old = handlers_before[which][signal == signals[0] ? 0 : 1];
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    if (old.sa_flags & SA_SIGINFO) {
        if (old.sa_flags & static_cast<int>(SA_RESETHAND)) ::sigaction(signal, &by_default, nullptr);
        old.sa_sigaction(signal, info, context);
    } else if (old.sa_handler == SIG_IGN && !is_fault(*info)) {
        return;
    } else if (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN) {
        ::sigaction(signal, &old, nullptr);
        if (!is_fault(*info)) ::raise(signal); // else back to the instruction, which ends the process now
    } else {
        if (old.sa_flags & static_cast<int>(SA_RESETHAND)) ::sigaction(signal, &by_default, nullptr);
        old.sa_handler(signal);
    }
}

// A thread that weft knows has a stack for signals. Any other one is not asked for its state, which a handler must not
// make: in a shared object that would take memory from the heap.
bool on_signal_stack() noexcept {
    stack_t now{};
    return ::sigaltstack(nullptr, &now) == 0 && now.ss_flags & SS_ONSTACK;
}

template <fault_handler Which>
void on_fault(int signal, siginfo_t* info, void* context) {
    const int error = errno;
    const bool reports = Which == asked || !asked_for.load(std::memory_order_relaxed); // else the other one has
    if (reports && is_fault(*info) && on_signal_stack()) report_if_overflow(*info, context);
    errno = error;
    go_on_as_before(Which, signal, info, context);
}

template <fault_handler Which>
void install() noexcept {
    detail::guard_size(); // so that the handler finds the size of pages known
    for (std::size_t n = 0; n < signals.size(); ++n) {
        struct sigaction& old = handlers_before[Which][n];
        ::sigaction(signals[n], nullptr, &old);
        if (Which == unasked && (old.sa_flags & SA_SIGINFO || old.sa_handler != SIG_DFL)) continue; // the program's own
        struct sigaction ours {};
        ours.sa_sigaction = &on_fault<Which>;
        ours.sa_mask = old.sa_mask;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (old.sa_flags & static_cast<int>(SA_NODEFER | SA_RESTART));
        ::sigaction(signals[n], &ours, nullptr);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The stack that signals of this thread are handled on.

// Room for the registers that the system leaves there (up to some ten KiB of vectors), the report, and another handler's
// handler, which may walk stacks.
std::size_t signal_stack_size() noexcept {
    std::size_t size = std::size_t{64} * 1024;
#if defined(_SC_MINSIGSTKSZ)
    if (const long registers = ::sysconf(_SC_MINSIGSTKSZ); registers > 0) size += static_cast<std::size_t>(registers);
#endif
    return size;
}

class signal_stack {
public:
    signal_stack() noexcept {
        stack_t now{};
        ::sigaltstack(nullptr, &now);
        if (!(now.ss_flags & SS_DISABLE)) { // another library's
            present_ = true;
            return;
        }
        WEFT_TRY {
            memory_ = guarded_stack{signal_stack_size()}.allocate();
        }
        WEFT_CATCH(const std::bad_alloc&) {
            return;
        }
        stack_t ours{};
        ours.ss_size = memory_.size;
        ours.ss_sp = lowest();
        present_ = ::sigaltstack(&ours, nullptr) == 0;
    }

    ~signal_stack() {
        if (!memory_.sp) return;
        stack_t now{};
        ::sigaltstack(nullptr, &now);
        if (now.ss_flags & SS_ONSTACK) return; // the thread ends in a handler
        if (now.ss_sp == lowest()) {
            now.ss_flags = SS_DISABLE;
            ::sigaltstack(&now, nullptr);
        }
        guarded_stack{}.deallocate(memory_);
    }

    signal_stack(const signal_stack&) = delete;
    signal_stack& operator=(const signal_stack&) = delete;

    bool present() const noexcept { return present_; }

private:
    void* lowest() const noexcept { return static_cast<std::byte*>(memory_.sp) - memory_.size; }

    stack memory_;
    bool present_ = false;
};

} // namespace

bool detail::watch_this_thread() noexcept {
    if constexpr (reports_unasked) {
        [[maybe_unused]] static const bool installed = (install<unasked>(), true);
    } else {
        if (!asked_for.load(std::memory_order_acquire)) return true;
    }
    static thread_local const signal_stack mine;
    return mine.present();
}

void report_stack_overflow() {
    [[maybe_unused]] static const bool installed = [] {
        install<asked>();
        asked_for.store(true, std::memory_order_release);
        return true;
    }();
    if (!detail::watch_this_thread()) detail::throw_or_die(stack_exhausted(signal_stack_size()));
}

std::size_t stack_usage(fiber_ref fiber) {
    const detail::fiber_record& record = detail::fiber_access::record(fiber);
    if (const std::size_t used = used_of(record.details->operations->memory(record), record.details)) return used;
    detail::throw_or_die(
        std::system_error(errno, std::generic_category(),
                          "weft: the system does not say which pages are in use: mount /proc, or allow mincore"));
}

std::size_t stack_usage(const fiber& f) {
    if (!f)
        detail::throw_or_die(
            fiber_error("weft: stack_usage() of an empty fiber: it was moved from or never given a body"));
    return stack_usage(fiber_ref{detail::fiber_access::record(f)});
}

} // namespace weft
