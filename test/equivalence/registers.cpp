// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The register-file differential. A case is a random walk of control among up to eight contexts and the two threads
// that carry them. Before every switch all registers are random; after it, whoever arrives must find his own again.
// Each case runs on weft's assembly, on Boost's and on the inline switch, and all three must leave the same trace.

#include "registers.hpp"

#include <weft/detail/control_block.hpp>
#include <weft/detail/switch.hpp>

#include <boost/context/detail/fcontext.hpp>

#include <CLI/CLI.hpp>

#include <alloca.h>

#include <array>
#include <atomic>
#include <bit>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace {

// A weft::transfer is passed and returned in the same registers as Boost's transfer_t.
static_assert(sizeof(weft::transfer) == sizeof(boost::context::detail::transfer_t));

// ----- the three switches under test, as functions with one signature ------------------------------------------------

// What arrives with the inline switch: it carries nothing itself. One flow of control runs at a time.
struct {
    weft::context from;
    void* data;
    weft::transfer (*call)(weft::transfer);
} mailbox;

#if defined(__aarch64__)
#    define FLOATING_POINT_REGISTER "w"
#else
#    define FLOATING_POINT_REGISTER "x"
#endif

// Values that the compiler keeps in a register wherever it believes the switch leaves one alone. They differ at every
// switch, so a register missing in the switch's clobber list shows.
class live_values {
public:
    [[gnu::always_inline]] live_values()
        : a_{++last}, b_{++last}, c_{++last}, x_{std::bit_cast<double>(++last)}, y_{std::bit_cast<double>(++last)} {
        asm volatile("" : "+r"(a_), "+r"(b_), "+r"(c_), "+" FLOATING_POINT_REGISTER(x_), "+" FLOATING_POINT_REGISTER(y_));
        kept_[0] = a_;
        kept_[1] = b_;
        kept_[2] = c_;
        kept_[3] = bits(x_);
        kept_[4] = bits(y_);
    }
    [[gnu::always_inline]] bool intact() const {
        return a_ == kept_[0] && b_ == kept_[1] && c_ == kept_[2] && bits(x_) == kept_[3] && bits(y_) == kept_[4];
    }

private:
    // Only moved, never computed with: any floating-point exception may be unmasked here.
    static std::uint64_t bits(double d) { return std::bit_cast<std::uint64_t>(d); }

    static inline std::uint64_t last = 0;
    std::uint64_t a_, b_, c_;
    double x_, y_;
    volatile std::uint64_t kept_[5];
};

bool live_values_lost = false;

bool block_address_lost = false;

// The register that has the block's address before the inline switch and must have it after.
[[gnu::always_inline]] inline void* block_address() {
    void* address;
#if defined(__aarch64__)
    asm volatile("mov %0, x0" : "=r"(address));
#else
    asm volatile("movq %%rdi, %0" : "=r"(address));
#endif
    return address;
}

// The two directions of the inline switch, which alternate for each block, whoever the flows are.
struct to_fiber {
    [[gnu::always_inline]] static void run(weft::detail::control_block& block) { weft::detail::switch_to_fiber(block); }
};
struct to_resumer {
    [[gnu::always_inline]] static void run(weft::detail::control_block& block) { weft::detail::switch_to_resumer(block); }
};

template <class Direction>
[[gnu::always_inline]] inline weft::transfer inline_switch(weft::context to, void* data,
                                                           weft::transfer (*call)(weft::transfer)) {
    mailbox = {to, data, call}; // the block that is left through holds the one who left
    const live_values values;
    Direction::run(*static_cast<weft::detail::control_block*>(to));
    const void* const address = block_address();
    if (!values.intact()) live_values_lost = true;
    if (address != mailbox.from) block_address_lost = true; // one comes back through the block one left through
    const weft::transfer arrived{mailbox.from, mailbox.data};
    return mailbox.call ? mailbox.call(arrived) : arrived;
}

template <class Direction>
[[gnu::noinline]] weft::transfer inline_jump(weft::context to, void* data) {
    return inline_switch<Direction>(to, data, nullptr);
}

template <class Direction>
[[gnu::noinline]] weft::transfer inline_ontop(weft::context to, void* data, weft::transfer (*call)(weft::transfer)) {
    return inline_switch<Direction>(to, data, call);
}

enum class backend { assembly, boost, inlined };
constexpr std::array backends{backend::assembly, backend::boost, backend::inlined};

const char* name_of(backend b) {
    return b == backend::assembly ? "weft" : b == backend::boost ? "Boost" : "inline";
}

template <class Function>
void* address(Function* function) {
    return reinterpret_cast<void*>(function);
}

void* jump_of(backend b, bool is_to_fiber) {
    switch (b) {
    case backend::assembly: return address(&weft_jump_context);
    case backend::boost: return address(&boost::context::detail::jump_fcontext);
    default: return is_to_fiber ? address(&inline_jump<to_fiber>) : address(&inline_jump<to_resumer>);
    }
}

void* ontop_of(backend b, bool is_to_fiber) {
    switch (b) {
    case backend::assembly: return address(&weft_ontop_context);
    case backend::boost: return address(&boost::context::detail::ontop_fcontext);
    default: return is_to_fiber ? address(&inline_ontop<to_fiber>) : address(&inline_ontop<to_resumer>);
    }
}

// ----- random numbers (splitmix64: a case's numbers depend on its seed only)
// -------------------------------------------

class random_words {
public:
    explicit random_words(std::uint64_t seed) : state_{seed} {}
    std::uint64_t operator()() {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    unsigned below(unsigned n) { return static_cast<unsigned>((*this)() >> 32) % n; }
    bool one_in(unsigned n) { return below(n) == 0; }

private:
    std::uint64_t state_;
};

// ----- what one processor's registers promise
// --------------------------------------------------------------------------

#if defined(__aarch64__)

constexpr bool control_is_per_context = false; // FPCR is the thread's, in weft as in Boost
constexpr std::size_t call_pushes = 0;
constexpr const char* frame_pointer_name = "x29";
constexpr std::uint64_t fpcr_modes = 0x1f << 22; // rounding, flush to zero, default NaN, alternative half precision

void randomize(registers& r, random_words& random) {
    r.x18 = random();
    for (auto& x : r.x19_to_x29) x = random();
    r.fpcr = random() & fpcr_modes;
    for (auto& v : r.v8_to_v15) v = {random(), random()};
}

std::uint64_t frame_pointer(const registers& r) { return r.x19_to_x29[10]; }

// Calls differs(name, found, expected) for each register that must have been preserved and was not.
template <class Differs>
void compare_preserved(const registers& found, const registers& expected, Differs differs) {
    static constexpr const char* x[] = {"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29"};
    static constexpr const char* d[] = {"d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15"};
    for (int i = 0; i < 11; ++i)
        if (found.x19_to_x29[i] != expected.x19_to_x29[i]) differs(x[i], found.x19_to_x29[i], expected.x19_to_x29[i]);
    for (int i = 0; i < 8; ++i)
        if (found.v8_to_v15[i].low != expected.v8_to_v15[i].low)
            differs(d[i], found.v8_to_v15[i].low, expected.v8_to_v15[i].low);
}

template <class Differs>
void compare_control(const registers& found, const registers& expected, Differs differs) {
    if (found.fpcr != expected.fpcr) differs("FPCR", found.fpcr, expected.fpcr);
}

// The platform register: no switch may touch it, so it is what the leaving side had there.
template <class Differs>
void compare_untouched(const registers& found, const registers& left, Differs differs) {
    if (found.x18 != left.x18) differs("x18", found.x18, left.x18);
}

bool upper_halves_kept(const registers& found, const registers& expected) {
    for (int i = 0; i < 8; ++i)
        if (found.v8_to_v15[i].high != expected.v8_to_v15[i].high) return false;
    return true;
}

template <class Add>
void trace_preserved(const registers& r, Add add) {
    add(r.x18);
    add(r.fpcr);
    for (auto x : r.x19_to_x29) add(x);
    for (auto& v : r.v8_to_v15) add(v.low);
}

// Runs make with random modes in force; returns them.
template <class Make>
registers with_random_control(random_words&, Make make) {
    make();
    return {};
}

#else

constexpr bool control_is_per_context = true; // MXCSR and x87: by the assembly; the inline switch leaves them the thread's
constexpr std::size_t call_pushes = 8;
constexpr const char* frame_pointer_name = "rbp";
constexpr std::uint32_t mxcsr_modes = 0xffc0; // all but the status flags
constexpr std::uint32_t default_mxcsr = 0x1f80;
constexpr std::uint16_t x87_modes = 0x0f3f;   // rounding, precision, masks
constexpr std::uint16_t x87_reserved = 0x0040;
constexpr std::uint16_t default_x87 = 0x037f;

void randomize_control(registers& r, random_words& random) {
    r.mxcsr = static_cast<std::uint32_t>(random()) & mxcsr_modes;
    r.x87_control = static_cast<std::uint16_t>((random() & x87_modes) | x87_reserved);
}

void randomize(registers& r, random_words& random) {
    r.rbx = random();
    r.rbp = random();
    for (auto& x : r.r12_to_r15) x = random();
    randomize_control(r, random);
}

std::uint64_t frame_pointer(const registers& r) { return r.rbp; }

template <class Differs>
void compare_preserved(const registers& found, const registers& expected, Differs differs) {
    static constexpr const char* r[] = {"r12", "r13", "r14", "r15"};
    if (found.rbx != expected.rbx) differs("rbx", found.rbx, expected.rbx);
    if (found.rbp != expected.rbp) differs("rbp", found.rbp, expected.rbp);
    for (int i = 0; i < 4; ++i)
        if (found.r12_to_r15[i] != expected.r12_to_r15[i]) differs(r[i], found.r12_to_r15[i], expected.r12_to_r15[i]);
}

template <class Differs>
void compare_control(const registers& found, const registers& expected, Differs differs) {
    if ((found.mxcsr & mxcsr_modes) != (expected.mxcsr & mxcsr_modes)) differs("MXCSR", found.mxcsr, expected.mxcsr);
    if (found.x87_control != expected.x87_control) differs("x87 control word", found.x87_control, expected.x87_control);
}

template <class Differs>
void compare_untouched(const registers&, const registers&, Differs) {}

bool upper_halves_kept(const registers&, const registers&) { return true; }

template <class Add>
void trace_preserved(const registers& r, Add add) {
    add(r.rbx);
    add(r.rbp);
    for (auto x : r.r12_to_r15) add(x);
}

template <class Make>
registers with_random_control(random_words& random, Make make) {
    registers r{};
    randomize_control(r, random);
    asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(r.mxcsr), "m"(r.x87_control) : "memory");
    make();
    asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(default_mxcsr), "m"(default_x87) : "memory");
    return r;
}

#endif

// ----- one case on one switch
// ------------------------------------------------------------------------------------------

constexpr unsigned most_contexts = 8;
constexpr unsigned threads = 2;
constexpr std::size_t stack_size = 32 * 1024;

struct flow { // a context, or (the last ones) the home of a thread: its own stack
    weft::context handle;
    probe registers;
    bool entered;
    weft::detail::control_block block;
    bool block_holds_fiber; // the direction of the next switch through it
    message first; // what the inline switch's entry is given
    std::uint64_t filling; // the words its stack was filled with
    ::registers creator;   // control words when it was made
    std::byte* lowest;
    std::byte* top;
};

struct statistics {
    std::uint64_t cases, switches, ontops, entries, migrations, failures;
    std::uint64_t to_fiber, to_resumer;     // of the inline switch
    std::uint64_t upper_kept, upper_changed; // of v8 to v15
};

class trial {
public:
    trial();

    /// Runs one case and leaves its trace. False if something was not as promised.
    bool run(backend on, std::uint64_t seed, std::uint64_t number);
    const std::vector<std::uint64_t>& trace() const { return trace_; }

    /// A thread's share: from the moment it is handed control until it gives it to the other one or the case ends.
    void take_turn(unsigned thread);
    [[noreturn]] void enter(weft::transfer arrived, message& found_in);

    std::atomic<unsigned> turn{0}; // which thread has control; `threads`: none, the program ends
    statistics count{};

private:
    flow& home(unsigned thread) { return flows_[most_contexts + thread]; }
    void make(flow& f);
    void go(unsigned self, unsigned target, bool ontop);
    bool alternate(weft::context block);
    void next(unsigned self);
    void arrive(unsigned self, weft::transfer arrived);
    void check_arrival(unsigned self, weft::transfer arrived);
    void check_first_entry(flow& me, const registers& found);
    void check_control(const registers& found, const registers& own);
    [[gnu::format(printf, 2, 3)]] void fail(const char* format, ...);
    auto differs(const char* where);

    bool per_context_control() const { return control_is_per_context && on_ != backend::inlined; }

    std::vector<std::byte> memory_;
    std::array<flow, most_contexts + threads> flows_{};
    std::array<message, 16> messages_{};
    std::vector<std::uint64_t> trace_;
    backend on_{};
    random_words random_{0};
    std::uint64_t number_ = 0;
    unsigned contexts_ = 0;
    unsigned thread_ = 0;       // which one has control
    unsigned switches_left_ = 0;
    bool migrating_ = false;    // control went home to go on in the other thread
    bool finished_ = false;
    bool failed_ = false;

    // the switch under way
    unsigned leaving_ = 0, arriving_ = 0;
    message* sent_ = nullptr;     // what must arrive
    message* on_top_ = nullptr;   // what registers_ontop is given, if it is called
};

trial* running; // for a context's first function, which is given nothing else

trial::trial() : memory_(most_contexts * stack_size + 64) {
    auto lowest = (reinterpret_cast<std::uintptr_t>(memory_.data()) + 63) & ~std::uintptr_t{63};
    for (unsigned i = 0; i < most_contexts; ++i, lowest += stack_size) {
        flows_[i].lowest = reinterpret_cast<std::byte*>(lowest);
        flows_[i].top = flows_[i].lowest + stack_size;
    }
    for (unsigned i = 0; i < threads; ++i) home(i).entered = true;
    for (unsigned i = 0; i < messages_.size(); ++i) messages_[i].number = i;
    trace_.reserve(2048);
}

void trial::fail(const char* format, ...) {
    failed_ = true;
    if (++count.failures > 20) return;
    std::printf("case %" PRIu64 ", %s, %u switches before its end: ", number_, name_of(on_), switches_left_);
    va_list arguments;
    va_start(arguments, format);
    std::vprintf(format, arguments);
    va_end(arguments);
    std::printf("\n");
    std::fflush(stdout);
}

auto trial::differs(const char* where) {
    return [this, where](const char* name, std::uint64_t found, std::uint64_t expected) {
        fail("%s: %s is %016" PRIx64 ", not %016" PRIx64, where, name, found, expected);
    };
}

bool trial::run(backend on, std::uint64_t seed, std::uint64_t number) {
    on_ = on;
    number_ = number;
    random_ = random_words{seed + number * 0xd1342543de82ef95};
    trace_.clear();
    failed_ = finished_ = migrating_ = false;
    contexts_ = 1 + random_.below(most_contexts);
    switches_left_ = 4 + random_.below(20);
    for (unsigned i = 0; i < contexts_; ++i) make(flows_[i]);
    running = this;
    thread_ = 0;
    for (;;) {
        take_turn(0);
        if (finished_) break;
        turn.store(1);
        turn.notify_all();
        turn.wait(1);
        if (finished_) break;
    }
    ++count.cases;
    return !failed_;
}

void trial::make(flow& f) {
    f.filling = random_();
    for (std::size_t offset = 8; offset <= 512; offset += 8) std::memcpy(f.top - offset, &f.filling, 8);
    std::byte* const top = f.top - random_.below(16); // need not be aligned
    const std::size_t size = stack_size - random_.below(1024);
    f.entered = false;
    f.creator = with_random_control(random_, [&] {
        switch (on_) {
        case backend::assembly:
            f.handle = weft::make_context(top, size, &registers_entry);
            break;
        case backend::boost:
            f.handle = boost::context::detail::make_fcontext(
                top, size, reinterpret_cast<void (*)(boost::context::detail::transfer_t)>(address(&registers_entry)));
            break;
        case backend::inlined:
            weft::detail::make_control_block(f.block, top, size, &registers_inline_entry, &f.first);
            f.block_holds_fiber = true;
            f.handle = &f.block;
            break;
        }
    });
}

void trial::take_turn(unsigned thread) {
    thread_ = thread;
    do {
        go(most_contexts + thread, random_.below(contexts_), random_.one_in(2));
    } while (!finished_ && !migrating_);
    migrating_ = false;
}

void trial::next(unsigned self) {
    if (switches_left_ == 0) {
        finished_ = true;
        go(self, most_contexts + thread_, false);
    }
    --switches_left_;
    // Then the other thread resumes what this one has suspended. Rarely: both wait for the scheduler, which is busy elsewhere.
    migrating_ = random_.one_in(96);
    const unsigned target = random_.below(contexts_);
    if (migrating_ || target == self)
        go(self, most_contexts + thread_, random_.one_in(2));
    else
        go(self, target, random_.one_in(2));
}

[[gnu::noinline]] void trial::go(unsigned self, unsigned target, bool ontop) {
    void* const room = alloca(16 * random_.below(32)); // so that sp differs from switch to switch
    asm volatile("" : : "r"(room) : "memory");
    flow& me = flows_[self];
    probe& p = me.registers;
    randomize(p.loaded, random_);
    for (auto& word : p.scratch) word = random_();
    message& first = messages_[random_.below(messages_.size())];
    message& second = messages_[(first.number + 1) % messages_.size()];
    first.reply = &second;
    sent_ = ontop ? &second : &first;
    // Boost cannot begin a context by ontop (see differences.cpp): there the result arrives by a jump.
    const bool calls = ontop && !(on_ == backend::boost && !flows_[target].entered);
    on_top_ = calls ? &first : nullptr;
    leaving_ = self;
    arriving_ = target;
    p.to = std::exchange(flows_[target].handle, nullptr);
    p.data = calls ? &first : sent_;
    const bool is_to_fiber = on_ == backend::inlined && alternate(p.to);
    p.function = calls ? ontop_of(on_, is_to_fiber) : jump_of(on_, is_to_fiber);
    p.call = reinterpret_cast<weft::transfer (*)(weft::transfer)>(random_()); // jump must not look at it
    if (calls) p.call = &registers_ontop;
    ++count.switches;
    count.ontops += calls;
    arrive(self, registers_switch(&p));
}

// Is the inline switch through this block one to its fiber? The next one is not, then.
bool trial::alternate(weft::context block) {
    for (flow& f : flows_) {
        if (&f.block != block) continue;
        ++(f.block_holds_fiber ? count.to_fiber : count.to_resumer);
        return std::exchange(f.block_holds_fiber, !f.block_holds_fiber);
    }
    fail("%p is no control block", block);
    return false;
}

// Whatever context control came to.
void trial::check_arrival(unsigned self, weft::transfer arrived) {
    const flow& left = flows_[leaving_];
    if (self != arriving_) fail("control came to context %u, not %u", self, arriving_);
    if (arrived.data != sent_) fail("data is %p, not %p", arrived.data, static_cast<void*>(sent_));
    if (on_ == backend::inlined) {
        if (std::exchange(live_values_lost, false)) fail("a value that was alive in a register changed");
        if (std::exchange(block_address_lost, false)) fail("the register of the block's address has another one");
        if (arrived.from != left.registers.to) fail("from is not the block that was left through");
    } else {
        const auto from = reinterpret_cast<std::uintptr_t>(arrived.from);
        const std::uintptr_t sp = left.registers.loaded.stack_pointer;
        if (from >= sp || from + 256 < sp) fail("from is %p, not just below the sp that was left", arrived.from);
    }
    flows_[leaving_].handle = arrived.from;
    trace_.insert(trace_.end(), {leaving_, arriving_, sent_->number});
}

// The control words belong to the context, or to the thread: then they are what the leaving side had.
void trial::check_control(const registers& found, const registers& own) {
    compare_control(found, per_context_control() ? own : flows_[leaving_].registers.loaded, differs("control"));
}

void trial::arrive(unsigned self, weft::transfer arrived) {
    flow& me = flows_[self];
    const registers& mine = me.registers.loaded;
    const registers& found = me.registers.found;
    check_arrival(self, arrived);
    compare_preserved(found, mine, differs("switch"));
    compare_untouched(found, flows_[leaving_].registers.loaded, differs("switch"));
    check_control(found, mine);
    if (found.stack_pointer != mine.stack_pointer) differs("switch")("sp", found.stack_pointer, mine.stack_pointer);
    if (on_top_ && on_ != backend::inlined) { // there, the wrapper's own registers are in between
        compare_preserved(on_top_->found, mine, differs("on top"));
        compare_untouched(on_top_->found, flows_[leaving_].registers.loaded, differs("on top"));
        check_control(on_top_->found, mine);
        const std::uint64_t sp = mine.stack_pointer - call_pushes;
        if (on_top_->found.stack_pointer != sp) differs("on top")("sp", on_top_->found.stack_pointer, sp);
    }
    ++(upper_halves_kept(found, mine) ? count.upper_kept : count.upper_changed);
    trace_preserved(found, [this](std::uint64_t word) { trace_.push_back(word); });
}

void trial::check_first_entry(flow& me, const registers& found) {
    if ((found.stack_pointer + call_pushes) % 16 != 0) fail("first entry: sp is %" PRIx64 ": not aligned", found.stack_pointer);
    const auto top = reinterpret_cast<std::uintptr_t>(me.top);
    if (found.stack_pointer >= top || found.stack_pointer + 128 < top)
        if (found.stack_pointer != top)
            fail("first entry: sp is %" PRIx64 ", not just below the stack's top %" PRIxPTR, found.stack_pointer, top);
    compare_untouched(found, flows_[leaving_].registers.loaded, differs("first entry"));
    check_control(found, me.creator);

    // A difference between weft and Boost 1.81: the frame pointer of a new context.
    if (on_ != backend::boost) {
        if (frame_pointer(found) != 0) differs("first entry")(frame_pointer_name, frame_pointer(found), 0);
        return;
    }
#if defined(__aarch64__)
    const std::uint64_t boost_has = me.filling; // what happened to be in the stack's memory
#else
    std::uint64_t boost_has; // where its entry would return to
    std::memcpy(&boost_has, reinterpret_cast<void*>(found.stack_pointer), sizeof boost_has);
#endif
    if (frame_pointer(found) != boost_has) differs("first entry")(frame_pointer_name, frame_pointer(found), boost_has);
}

void trial::enter(weft::transfer arrived, message& found_in) {
    const unsigned self = arriving_;
    flow& me = flows_[self];
    if (on_ == backend::inlined) {
        arrived = {mailbox.from, mailbox.data};
        if (mailbox.call) arrived = mailbox.call(arrived);
    }
    if (me.entered) fail("context %u entered a second time", self);
    me.entered = true;
    ++count.entries;
    check_arrival(self, arrived);
    check_first_entry(me, found_in.found);
    if (on_top_ && on_ != backend::inlined) {
        if ((on_top_->found.stack_pointer + call_pushes) % 16 != 0)
            fail("on top of a new context: sp is %" PRIx64 ": not aligned", on_top_->found.stack_pointer);
        compare_untouched(on_top_->found, flows_[leaving_].registers.loaded, differs("on top of a new context"));
        check_control(on_top_->found, me.creator);
    }
    for (;;) next(self);
}

} // namespace

extern "C" [[noreturn]] void registers_first_entry(weft::context from, message* sent) {
    running->enter({from, sent}, *sent);
}

int main(int argc, char** argv) try {
    std::uint64_t cases = 100'000;
    std::uint64_t first = 0;
    std::uint64_t seed = std::random_device{}();
    CLI::App app{"Random registers across random switches: weft's assembly, Boost's, and weft's inline switch."};
    app.add_option("--cases", cases, "How many cases (default 100000)");
    app.add_option("--first", first, "The number of the first one: --first K --cases 1 repeats case K");
    app.add_option("--seed", seed, "Repeats a run (default: another one each time)");
    CLI11_PARSE(app, argc, argv);
    std::printf("seed %" PRIu64 "\n", seed);
    std::fflush(stdout);

    const auto one = std::make_unique<trial>();
    std::jthread other{[&one] {
        for (unsigned turn; (turn = one->turn.load()) != threads;) {
            if (turn == 1) {
                one->take_turn(1);
                ++one->count.migrations;
                one->turn.store(0);
                one->turn.notify_all();
            } else {
                one->turn.wait(turn);
            }
        }
    }};

    std::vector<std::uint64_t> reference;
    for (std::uint64_t number = first; number < first + cases && one->count.failures <= 20; ++number) {
        for (const backend on : backends) {
            one->run(on, seed, number);
            if (on == backends.front()) {
                reference = one->trace();
            } else if (one->trace() != reference) {
                ++one->count.failures;
                std::printf("case %" PRIu64 ": the trace of %s differs from weft's\n", number, name_of(on));
            }
        }
    }
    one->turn.store(threads);
    one->turn.notify_all();

    const statistics& n = one->count;
    std::printf("%" PRIu64 " cases, each on %zu switches: %" PRIu64 " switches, %" PRIu64 " of them on top, %" PRIu64
                " first entries, %" PRIu64 " turns of the second thread; %" PRIu64 " failures\n",
                n.cases / backends.size(), backends.size(), n.switches, n.ontops, n.entries, n.migrations, n.failures);
    std::printf("inline: %" PRIu64 " switches to the block's fiber, %" PRIu64 " to its resumer\n", n.to_fiber, n.to_resumer);
#if defined(__aarch64__)
    std::printf("the upper halves of v8-v15, which any call may change, had changed in %" PRIu64 " of %" PRIu64 " arrivals\n",
                n.upper_changed, n.upper_changed + n.upper_kept);
#endif
    return n.failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& e) {
    std::fprintf(stderr, "registers: %s\n", e.what());
    return EXIT_FAILURE;
}
