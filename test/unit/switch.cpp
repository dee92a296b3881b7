// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/switch.hpp: the out-of-line switch; and weft/detail/switch/inline_switch.hpp: the inline one under fibers.

#include "child.hpp"
#include "thread_id.hpp"

#include <weft/detail/switch/inline_switch.hpp>
#include <weft/switch.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>

using weft::context;
using weft::transfer;

namespace {

class raw_stack {
public:
    static constexpr std::size_t size = 128 * 1024;
    std::byte* top() const { return memory_.get() + size; }
    bool has(const void* address) const { return address >= memory_.get() && address < top(); }

private:
    std::unique_ptr<std::byte[]> memory_{new std::byte[size]};
};

context make(const raw_stack& s, void (*entry)(transfer)) {
    return weft::make_context(s.top(), raw_stack::size, entry);
}

// A value the compiler knows nothing about: what a type promises of it is then really looked at.
template <class T>
T opaque(T value) {
    asm volatile("" : "+r"(value));
    return value;
}

void echo(transfer t) {
    for (;;) t = weft::jump_context(t.from, t.data);
}

} // namespace

BOOST_AUTO_TEST_SUITE(make_and_jump)

static int entered;

BOOST_AUTO_TEST_CASE(make_runs_nothing) {
    const raw_stack s;
    entered = 0;
    const context c = make(s, [](transfer t) {
        for (;;) {
            ++entered;
            t = weft::jump_context(t.from, nullptr);
        }
    });
    BOOST_TEST(c != nullptr);
    BOOST_TEST(entered == 0);
    weft::jump_context(c, nullptr);
    BOOST_TEST(entered == 1);
}

BOOST_AUTO_TEST_CASE(data_pass_both_ways) {
    const raw_stack s;
    context c = make(s, echo);
    std::array<int, 1000> values;
    for (int& v : values) {
        const transfer t = weft::jump_context(c, &v);
        BOOST_REQUIRE(t.data == &v);
        BOOST_REQUIRE(t.from != nullptr);
        c = t.from;
    }
    BOOST_TEST(weft::jump_context(c, nullptr).data == nullptr);
}

struct ring {
    context origin;
    context second;
    std::string trace;
};

// Three flows, each of which goes on to another one than it came from: `from` is whoever was left last.
BOOST_AUTO_TEST_CASE(from_is_the_context_that_was_left) {
    const raw_stack first, second;
    ring r{};
    r.second = make(second, [](transfer t) {
        auto& shared = *static_cast<ring*>(t.data);
        const context came_from = t.from;
        shared.trace += "2 ";
        t = weft::jump_context(shared.origin, &shared);
        shared.trace += "2 ";
        shared.origin = t.from;
        weft::jump_context(came_from, &shared);
    });
    const context c = make(first, [](transfer t) {
        auto& shared = *static_cast<ring*>(t.data);
        shared.trace += "1 ";
        shared.origin = t.from;
        weft::jump_context(shared.second, &shared);
        shared.trace += "1 ";
        weft::jump_context(shared.origin, &shared);
    });
    transfer t = weft::jump_context(c, &r);
    r.trace += "0 ";
    t = weft::jump_context(t.from, &r); // back to the second, who left last
    r.trace += "0";
    BOOST_TEST(r.trace == "1 2 0 2 1 0");
}

struct entry_facts {
    std::uintptr_t frame;
    void* caller_frame;
    bool on_stack;
    const raw_stack* stack;
};

[[gnu::noinline]] void report_entry(transfer t) {
    auto& facts = *static_cast<entry_facts*>(t.data);
    void** const frame = opaque(static_cast<void**>(__builtin_frame_address(0)));
    facts.frame = reinterpret_cast<std::uintptr_t>(frame);
    facts.caller_frame = *frame;
    facts.on_stack = facts.stack->has(frame);
    weft::jump_context(t.from, nullptr);
}

BOOST_AUTO_TEST_CASE(the_entry_begins_aligned_whatever_the_top_is) {
    for (std::size_t shift = 0; shift < 48; ++shift) {
        const raw_stack s;
        entry_facts facts{1, nullptr, false, &s};
        weft::jump_context(weft::make_context(s.top() - shift, raw_stack::size - shift, report_entry), &facts);
        BOOST_TEST_CONTEXT("top moved down by " << shift) {
            BOOST_TEST(facts.frame % 16 == 0u);
            BOOST_TEST(facts.on_stack);
        }
    }
}

#if WEFT_SWITCH_NATIVE
BOOST_AUTO_TEST_CASE(a_walk_along_the_frame_pointers_ends_at_the_entry) {
    const raw_stack s;
    entry_facts facts{1, &facts, false, &s};
    weft::jump_context(make(s, report_entry), &facts);
    BOOST_TEST(facts.caller_frame == nullptr);
}
#endif

BOOST_AUTO_TEST_CASE(an_entry_that_returns_aborts) {
    const auto end = weft_test::in_child([] {
        const raw_stack s;
        weft::jump_context(make(s, [](transfer) {}), nullptr);
        return 0;
    });
    BOOST_TEST(end.signal == SIGABRT, end);
}

// What AddressSanitizer has poisoned around the locals of a context that never returns is no business of the next one.
template <std::size_t Size>
static void fill(transfer t) { // its entry
    volatile char first[Size];
    volatile char second[Size];
    for (std::size_t i = 0; i < Size; ++i) {
        second[i] = static_cast<char>(i);
        first[i] = second[i];
    }
    weft::jump_context(t.from, const_cast<char*>(first));
}

BOOST_AUTO_TEST_CASE(memory_of_an_abandoned_context_serves_another_one) {
    const raw_stack s;
    BOOST_TEST(s.has(weft::jump_context(make(s, &fill<24>), nullptr).data));
    BOOST_TEST(s.has(weft::jump_context(make(s, &fill<2000>), nullptr).data));
}

// Threads: the context goes where it is continued.
BOOST_AUTO_TEST_CASE(a_context_may_be_continued_on_any_thread) {
    const raw_stack s;
    context c = make(s, [](transfer t) {
        for (;;) {
            *static_cast<std::thread::id*>(t.data) = weft_test::this_thread_id();
            t = weft::jump_context(t.from, t.data);
        }
    });
    for (int round = 0; round < 10; ++round) {
        std::thread::id ran_on;
        std::thread other{[&] { c = weft::jump_context(c, &ran_on).from; }};
        const std::thread::id expected = other.get_id();
        other.join();
        BOOST_TEST((ran_on == expected));
        c = weft::jump_context(c, &ran_on).from;
        BOOST_TEST((ran_on == weft_test::this_thread_id()));
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(ontop)

struct visit {
    context from = nullptr;
    const void* frame = nullptr;
    int answer = 0;
    std::string trace;
};

transfer look_around(transfer t) {
    auto& v = *static_cast<visit*>(t.data);
    v.from = t.from;
    v.frame = __builtin_frame_address(0);
    v.trace += "call ";
    return {t.from, &v.answer};
}

BOOST_AUTO_TEST_CASE(on_a_suspended_context_the_call_runs_there_and_its_result_arrives) {
    const raw_stack s;
    context c = make(s, echo);
    c = weft::jump_context(c, nullptr).from;
    for (int round = 0; round < 3; ++round) {
        visit v;
        const transfer t = weft::ontop_context(c, &v, look_around);
        BOOST_TEST(s.has(v.frame));
        BOOST_TEST(v.from != nullptr);
        BOOST_TEST(t.data == &v.answer); // what the call returned arrived, and echo sent it back
        c = t.from;
    }
}

BOOST_AUTO_TEST_CASE(on_a_fresh_context_the_call_runs_before_the_entry_and_its_result_is_the_argument) {
    const raw_stack s;
    const context c = make(s, [](transfer t) {
        auto& v = *reinterpret_cast<visit*>(static_cast<char*>(t.data) - offsetof(visit, answer));
        v.trace += t.from == v.from ? "entry " : "entry from elsewhere ";
        weft::jump_context(t.from, &v);
    });
    visit v;
    const transfer t = weft::ontop_context(c, &v, look_around);
    v.trace += "back";
    BOOST_TEST(v.trace == "call entry back");
    BOOST_TEST(s.has(v.frame));
    BOOST_TEST(t.data == &v);
}

BOOST_AUTO_TEST_CASE(the_call_may_send_its_target_elsewhere) {
    const raw_stack s, other;
    context c = weft::jump_context(make(s, echo), nullptr).from;
    struct two {
        context other;
        int marker;
    } both{make(other, echo), 0};
    // The echo on `s` is told that it came from the echo on `other`: it sends the data there, and that one to whoever
    // came.
    static context origin;
    c = weft::ontop_context(c, &both, [](transfer t) {
            origin = t.from;
            auto& b = *static_cast<two*>(t.data);
            b.other = weft::jump_context(b.other, &b.marker).from;
            return transfer{origin, &b};
        }).from;
    BOOST_TEST(weft::jump_context(both.other, &both.marker).data == &both.marker);
    BOOST_TEST(weft::jump_context(c, &both).data == &both);
}

struct thrown {
    context from;
    int value;
};

transfer throw_value(transfer t) {
    throw thrown{t.from, *static_cast<int*>(t.data)};
}

// What leaves the call appears at the switch the target waits in: its jump ...
BOOST_AUTO_TEST_CASE(an_exception_appears_at_the_targets_jump) {
    const raw_stack s;
    context c = make(s, [](transfer t) {
        for (;;) {
            int caught = 0;
            try {
                t = weft::jump_context(t.from, nullptr);
            } catch (const thrown& e) {
                caught = e.value;
                t.from = e.from;
            }
            t = weft::jump_context(t.from, &caught);
        }
    });
    for (int value : {7, 8, 9}) {
        c = weft::jump_context(c, nullptr).from;
        const transfer t = weft::ontop_context(c, &value, throw_value);
        BOOST_REQUIRE(t.data);
        BOOST_TEST(*static_cast<int*>(t.data) == value);
        c = t.from;
    }
}

// ... or its ontop.
BOOST_AUTO_TEST_CASE(an_exception_appears_at_the_targets_ontop) {
    const raw_stack s;
    context c = make(s, [](transfer t) {
        int value = 5;
        for (;;) {
            try {
                t = weft::ontop_context(t.from, &value, [](transfer u) { return u; });
            } catch (const thrown& e) {
                value = e.value + 1;
                t.from = e.from;
            }
        }
    });
    transfer t = weft::jump_context(c, nullptr);
    BOOST_TEST(*static_cast<int*>(t.data) == 5);
    int value = 41;
    t = weft::ontop_context(t.from, &value, throw_value);
    BOOST_TEST(*static_cast<int*>(t.data) == 42);
}

BOOST_AUTO_TEST_CASE(an_exception_may_come_from_another_thread) {
    const raw_stack s;
    context c = make(s, [](transfer t) {
        int caught = 0;
        try {
            t = weft::jump_context(t.from, nullptr);
        } catch (const thrown& e) {
            caught = e.value;
            t.from = e.from;
        }
        weft::jump_context(t.from, &caught);
    });
    c = weft::jump_context(c, nullptr).from;
    int arrived = 0;
    std::thread{[&] {
        int value = 11;
        arrived = *static_cast<int*>(weft::ontop_context(c, &value, throw_value).data);
    }}.join();
    BOOST_TEST(arrived == 11);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(preserved_registers)

// How a flow gives control away in the middle of a computation: through a context, a control block, or not at all.
struct no_switch {
    void operator()() {}
};
struct by_jump {
    context& peer;
    void operator()() { peer = weft::jump_context(peer, nullptr).from; }
};
struct by_ontop {
    context& peer;
    void operator()() {
        peer = weft::ontop_context(peer, nullptr, [](transfer t) { return t; }).from;
    }
};
struct to_fiber {
    weft::detail::control_block& block;
    void operator()() { weft::detail::switch_to_fiber(block); }
};
struct to_resumer {
    weft::detail::control_block& block;
    void operator()() { weft::detail::switch_to_resumer(block); }
};

// More live values than there are callee-saved registers; all of them change between two switches.
template <class Switch>
[[gnu::noinline]] double churn(std::uint64_t seed, int rounds, Switch away) {
    std::uint64_t a = seed, b = a + 1, c = b * 3, d = c ^ 5, e = d + 7, f = e * 11, g = f ^ 13, h = g + 17, i = h * 19,
                  j = i ^ 23, k = j + 29, l = k * 31;
    double p = static_cast<double>(seed), q = p + 1, r = q * 2, s = r - 3, t = s / 4, u = t + 5, v = u * 6, w = v - 7,
           x = w / 8, y = x + 9;
    float z = static_cast<float>(seed);
    long double m = static_cast<long double>(seed) / 3;
    for (int round = 0; round < rounds; ++round) {
        a += l, b ^= a, c += b, d ^= c, e += d, f ^= e, g += f, h ^= g, i += h, j ^= i, k += j, l ^= k;
        p += 0.25, q -= p, r += q * 0.5, s -= r, t += s * 0.5, u -= t, v += u * 0.5, w -= v, x += w * 0.5, y -= x;
        z += 0.5F;
        m = m / 2 + 1;
        away();
    }
    const std::uint64_t integers = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l;
    return static_cast<double>(integers >> 40) + p + q + r + s + t + u + v + w + x + y + static_cast<double>(z) +
           static_cast<double>(m);
}

constexpr int rounds = 40;

struct peer_result {
    double digest;
    bool ended;
};

template <class Switch>
void churn_in_context(transfer t) {
    auto& result = *static_cast<peer_result*>(t.data);
    context peer = t.from;
    result.digest = churn(99, rounds, Switch{peer});
    result.ended = true;
    weft::jump_context(peer, nullptr);
}

template <class Switch>
void check_churn_between_contexts() {
    const raw_stack s;
    peer_result result{};
    context peer = make(s, churn_in_context<Switch>);
    peer = weft::jump_context(peer, &result).from;
    const double mine = churn(1234567, rounds, Switch{peer});
    BOOST_TEST(result.ended);
    BOOST_TEST(mine == churn(1234567, rounds, no_switch{}));
    BOOST_TEST(result.digest == churn(99, rounds, no_switch{}));
}

BOOST_AUTO_TEST_CASE(live_values_survive_jump) {
    check_churn_between_contexts<by_jump>();
}

BOOST_AUTO_TEST_CASE(live_values_survive_ontop) {
    check_churn_between_contexts<by_ontop>();
}

struct churning_block {
    weft::detail::control_block block;
    peer_result result;
};

BOOST_AUTO_TEST_CASE(live_values_survive_the_inline_switch) {
    const raw_stack s;
    churning_block peer{};
    weft::detail::make_control_block(
        peer.block, s.top(), raw_stack::size,
        [](void* argument) {
            auto& me = *static_cast<churning_block*>(argument);
            me.result.digest = churn(99, rounds, to_resumer{me.block});
            me.result.ended = true;
            weft::detail::switch_to_resumer(me.block);
        },
        &peer);
    weft::detail::switch_to_fiber(peer.block);
    const double mine = churn(1234567, rounds, to_fiber{peer.block});
    BOOST_TEST(peer.result.ended);
    BOOST_TEST(mine == churn(1234567, rounds, no_switch{}));
    BOOST_TEST(peer.result.digest == churn(99, rounds, no_switch{}));
}

BOOST_AUTO_TEST_SUITE_END()

// Who owns the rounding modes: on x86-64 each context, on AArch64 the thread.
BOOST_AUTO_TEST_SUITE(rounding)

struct modes {
    int rounding = 0; // as the C library sees it
#if defined(__x86_64__)
    unsigned int mxcsr = 0;
    unsigned short x87 = 0;
#endif

    static modes now() {
        modes m;
        m.rounding = std::fegetround();
#if defined(__x86_64__)
        asm volatile("stmxcsr %0" : "=m"(m.mxcsr));
        asm volatile("fnstcw %0" : "=m"(m.x87));
        m.mxcsr &= 0xffc0; // the control bits: exception masks, rounding, flush to zero
#endif
        return m;
    }
    friend bool operator==(const modes&, const modes&) = default;
};

modes set_rounding(int mode) {
    std::fesetround(mode);
    return modes::now();
}

struct witness {
    std::array<modes, 4> seen;
};

void watch_modes(transfer t) {
    auto& w = *static_cast<witness*>(t.data);
    w.seen[0] = modes::now();
    w.seen[1] = set_rounding(FE_UPWARD);
    t = weft::jump_context(t.from, nullptr);
    w.seen[2] = modes::now();
    t = weft::ontop_context(t.from, nullptr, [](transfer u) { return u; });
    w.seen[3] = modes::now();
    weft::jump_context(t.from, nullptr);
}

struct restore_rounding {
    ~restore_rounding() { std::fesetround(FE_TONEAREST); }
};

BOOST_AUTO_TEST_CASE(of_contexts) {
    const restore_rounding at_end;
    const raw_stack s;
    witness w;
    [[maybe_unused]] const modes down = set_rounding(FE_DOWNWARD);
    context c = make(s, watch_modes);
    [[maybe_unused]] const modes nearest = set_rounding(FE_TONEAREST);
    c = weft::jump_context(c, &w).from;
    const modes after_first = modes::now();
    const modes zero = set_rounding(FE_TOWARDZERO);
    c = weft::jump_context(c, nullptr).from;
    const modes after_second = modes::now();
    weft::ontop_context(c, nullptr, [](transfer t) { return t; });
    const modes after_third = modes::now();
    const modes up = set_rounding(FE_UPWARD);
    set_rounding(FE_TONEAREST);
#if defined(__x86_64__)
    BOOST_TEST((w.seen[0] == down)); // a context begins with its creator's modes
    BOOST_TEST((w.seen[1] == up));
    BOOST_TEST((after_first == nearest));
    BOOST_TEST((w.seen[2] == up));
    BOOST_TEST((after_second == zero));
    BOOST_TEST((w.seen[3] == up));
    BOOST_TEST((after_third == zero));
#else
    BOOST_TEST((w.seen[0] == nearest));
    BOOST_TEST((after_first == up));
    BOOST_TEST((w.seen[2] == zero));
    BOOST_TEST((after_second == zero));
    BOOST_TEST((w.seen[3] == zero));
    BOOST_TEST((after_third == zero));
#endif
}

#if WEFT_SWITCH_NATIVE
struct mode_block {
    weft::detail::control_block block;
    modes seen;
};

BOOST_AUTO_TEST_CASE(the_inline_switch_leaves_them_to_the_thread) {
    const restore_rounding at_end;
    const raw_stack s;
    mode_block m{};
    weft::detail::make_control_block(
        m.block, s.top(), raw_stack::size,
        [](void* argument) {
            auto& inside = *static_cast<mode_block*>(argument);
            inside.seen = modes::now();
            set_rounding(FE_UPWARD);
            weft::detail::switch_to_resumer(inside.block);
        },
        &m);
    const modes down = set_rounding(FE_DOWNWARD);
    weft::detail::switch_to_fiber(m.block);
    const modes after = modes::now();
    const modes up = set_rounding(FE_UPWARD);
    set_rounding(FE_TONEAREST);
    BOOST_TEST((m.seen == down));
    BOOST_TEST((after == up));
}
#endif

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(control_blocks)

using weft::detail::control_block;
using weft::detail::switch_to_fiber;
using weft::detail::switch_to_resumer;

// A block that any flow may take: its switches alternate between the two directions, whoever makes them.
struct shared_block {
    control_block block;
    bool holds_fiber = true;

    void exchange() {
        if (std::exchange(holds_fiber, !holds_fiber))
            switch_to_fiber(block);
        else
            switch_to_resumer(block);
    }
};

struct block_facts {
    control_block block;
    std::uintptr_t frame;
    void* caller_frame;
};

[[gnu::noinline]] void report_fiber_entry(void* argument) {
    auto& facts = *static_cast<block_facts*>(argument);
    void** const frame = opaque(static_cast<void**>(__builtin_frame_address(0)));
    facts.frame = reinterpret_cast<std::uintptr_t>(frame);
    facts.caller_frame = *frame;
    switch_to_resumer(facts.block);
}

BOOST_AUTO_TEST_CASE(what_the_fiber_hands_over_arrives) {
    const raw_stack s;
    control_block both{};
    weft::detail::make_control_block(
        both, s.top(), raw_stack::size,
        [](void* argument) {
            auto& block = *static_cast<control_block*>(argument);
            for (std::uintptr_t word = 1;; word = ~(word << 1)) {
                switch_to_resumer(block, reinterpret_cast<void*>(word));
                switch_to_resumer(block); // nothing
            }
        },
        &both);
    std::uintptr_t word = 1;
    for (int bit = 0; bit != std::numeric_limits<std::uintptr_t>::digits; ++bit) {
        BOOST_TEST(switch_to_fiber(both) == reinterpret_cast<void*>(word));
        switch_to_fiber(both);
        word = ~(word << 1);
    }
}

BOOST_AUTO_TEST_CASE(the_tags_tell_how_a_flow_was_left) {
    using namespace weft::detail;
    const raw_stack s;
    struct {
        control_block block;
        std::vector<std::uintptr_t> found;
    } both{};
    make_control_block(
        both.block, s.top(), raw_stack::size,
        [](void* argument) {
            auto& [block, found] = *static_cast<decltype(both)*>(argument);
            for (bool for_good = false;; for_good = !for_good) {
                found.push_back(tags_of(block));
                if (for_good)
                    switch_to_resumer_for_good(block);
                else
                    switch_to_resumer(block);
            }
        },
        &both);
    const auto begun = tags_of(both.block);
    BOOST_TEST(begun == resumable_tag);
    for (const auto left : {resumable_tag, no_tag, resumable_tag, no_tag}) {
        switch_to_fiber(both.block);
        BOOST_TEST(tags_of(both.block) == left);
        set_tags(both.block, resumable_tag);
    }
    BOOST_TEST(both.found == std::vector<std::uintptr_t>(4, suspendable_tag), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_entry_begins_aligned_and_ends_the_frame_chain) {
    for (std::size_t shift = 0; shift < 48; ++shift) {
        const raw_stack s;
        block_facts facts{{}, 1, &facts};
        weft::detail::make_control_block(facts.block, s.top() - shift, raw_stack::size - shift, report_fiber_entry, &facts);
        switch_to_fiber(facts.block);
        BOOST_TEST(facts.frame % 16 == 0u);
#if WEFT_SWITCH_NATIVE
        BOOST_TEST(facts.caller_frame == nullptr);
#endif
    }
}

struct pair_of_flows {
    shared_block a, b;
    std::string trace;
};

void flow_b(void* argument) {
    auto& p = *static_cast<pair_of_flows*>(argument);
    p.trace += "b ";
    p.a.exchange(); // to the main flow, over the head of the first
    p.trace += "b ";
    p.b.exchange();
}

void flow_a(void* argument) {
    auto& p = *static_cast<pair_of_flows*>(argument);
    p.trace += "a ";
    p.b.exchange();
    p.trace += "a ";
    p.a.exchange();
}

pair_of_flows* start_pair(const raw_stack& first, const raw_stack& second, pair_of_flows& p) {
    weft::detail::make_control_block(p.a.block, first.top(), raw_stack::size, flow_a, &p);
    weft::detail::make_control_block(p.b.block, second.top(), raw_stack::size, flow_b, &p);
    p.a.exchange();
    p.trace += "main ";
    return &p;
}

BOOST_AUTO_TEST_CASE(nested) {
    const raw_stack first, second;
    pair_of_flows p{};
    start_pair(first, second, p);
    p.a.exchange(); // where it was left: in the second flow
    p.trace += "main";
    BOOST_TEST(p.trace == "a b main b a main");
}

BOOST_AUTO_TEST_CASE(crossing) {
    const raw_stack first, second;
    pair_of_flows p{};
    start_pair(first, second, p);
    p.b.exchange(); // the first flow waits there; it goes on to the second through its own block
    p.trace += "main";
    BOOST_TEST(p.trace == "a b main a b main");
}

// A block exchanges the running flow with the one it holds, whichever they are. Against that model: 9 flows take 8
// blocks at random, each with live values of its own.
constexpr unsigned int seed = 20240229;

struct puzzle {
    struct flow {
        puzzle* owner;
        std::size_t number;
    };

    std::array<raw_stack, 8> stacks;
    std::array<shared_block, 8> blocks;
    std::array<flow, 8> flows;
    std::array<std::size_t, 8> held; // which flow each block holds; 8 is the main one
    std::size_t running = 8;
    std::mt19937 random{seed};
    int steps = 20000;
    int wrong = 0;

    puzzle() {
        for (std::size_t n = 0; n < 8; ++n) {
            flows[n] = {this, n};
            held[n] = n;
            weft::detail::make_control_block(blocks[n].block, stacks[n].top(), raw_stack::size, start, &flows[n]);
        }
    }

    static void start(void* argument) {
        auto& me = *static_cast<flow*>(argument);
        me.owner->wander(me.number);
    }

    void wander(std::size_t me) {
        double real = static_cast<double>(me);
        std::size_t whole = me * 1000, hops = 0;
        for (;;) {
            if (running != me) ++wrong;
            if (real != static_cast<double>(me) + static_cast<double>(hops) / 2 || whole != me * 1000 + hops) ++wrong;
            if (steps-- <= 0 && me == 8) return;
            std::size_t through = random() % 8;
            if (steps <= 0)
                for (std::size_t n = 0; n < 8; ++n)
                    if (held[n] == 8) through = n;
            running = std::exchange(held[through], me);
            ++hops, ++whole, real += 0.5;
            blocks[through].exchange();
        }
    }
};

BOOST_AUTO_TEST_CASE(any_exchange_follows_the_model) {
    BOOST_TEST_MESSAGE("seed " << seed);
    const auto p = std::make_unique<puzzle>();
    p->wander(8);
    BOOST_TEST_CONTEXT("seed " << seed) {
        BOOST_TEST(p->wrong == 0);
        BOOST_TEST(p->steps <= 0);
    }
}

BOOST_AUTO_TEST_SUITE_END()
