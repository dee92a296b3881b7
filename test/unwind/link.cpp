// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The library built with WEFT_LINK_BACKTRACES: what a running fiber's stack looks like to the unwinder of the C++
// runtime and to a walk along the frame pointers goes on to whoever resumed it.

#include <weft/fiber.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include <unwind.h>

namespace {

using functions = std::vector<std::uintptr_t>; // where the function of each frame begins, the innermost first

[[gnu::noinline]] functions seen_by_unwinder() {
    functions seen;
    _Unwind_Backtrace(
        [](_Unwind_Context* context, void* into) {
            auto& all = *static_cast<functions*>(into);
            all.push_back(_Unwind_GetRegionStart(context));
            return all.size() > 1000 ? _URC_NORMAL_STOP : _URC_NO_REASON;
        },
        &seen);
    return seen;
}

// A return address without the signature that it may have on AArch64.
void* without_signature(std::uintptr_t address) {
#if defined(__aarch64__)
    address &= (std::uintptr_t{1} << 48) - 1;
#endif
    return reinterpret_cast<void*>(address);
}

// From here to the last frame of a function of this file, `main_like`: what lies beyond need not keep frame pointers.
[[gnu::noinline]] functions seen_along_frame_pointers(std::uintptr_t last) {
    functions seen;
    const auto* frame = static_cast<const std::uintptr_t*>(__builtin_frame_address(0));
    while (seen.size() < 1000 && (seen.empty() || seen.back() != last)) {
        const auto function = _Unwind_FindEnclosingFunction(without_signature(frame[1]));
        seen.push_back(reinterpret_cast<std::uintptr_t>(function));
        frame = reinterpret_cast<const std::uintptr_t*>(frame[0]);
        if (!frame) break;
    }
    return seen;
}

template <class Function>
std::uintptr_t address(Function* function) {
    return reinterpret_cast<std::uintptr_t>(function);
}

// How often, and whether in this order, `expected` are among `seen`.
void check_order(const functions& seen, const functions& expected) {
    functions found;
    std::copy_if(seen.begin(), seen.end(), std::back_inserter(found),
                 [&](std::uintptr_t f) { return std::find(expected.begin(), expected.end(), f) != expected.end(); });
    BOOST_TEST(found == expected, boost::test_tools::per_element{});
}

struct witness {
    std::uintptr_t last;
    functions unwound;
    functions walked;
};

#define APART [[gnu::noinline, gnu::used]]

APART void looks(witness& w) {
    w.unwound = seen_by_unwinder();
    w.walked = seen_along_frame_pointers(w.last);
    asm volatile("");
}

APART void resumes_first(weft::fiber& f) {
    f.resume();
    asm volatile("");
}

APART void resumes_again(weft::fiber& f) {
    f.resume();
    asm volatile("");
}

APART void resumes_inner(weft::fiber& f) {
    f.resume();
    asm volatile("");
}

} // namespace

BOOST_AUTO_TEST_SUITE(linked)

BOOST_AUTO_TEST_CASE(at_the_first_entry_and_after_a_suspension) {
    witness first{address(&resumes_first), {}, {}};
    witness second{address(&resumes_again), {}, {}};
    weft::fiber f{[&](weft::fiber_ref self) {
        looks(first);
        self.suspend();
        looks(second);
    }};
    resumes_first(f);
    resumes_again(f);
    for (const functions* seen : {&first.unwound, &first.walked}) check_order(*seen, {address(&looks), address(&resumes_first)});
    for (const functions* seen : {&second.unwound, &second.walked})
        check_order(*seen, {address(&looks), address(&resumes_again)});
}

BOOST_AUTO_TEST_CASE(through_fibers_that_resumed_fibers) {
    witness w{address(&resumes_first), {}, {}};
    weft::fiber outer{[&] {
        weft::fiber inner{[&](weft::fiber_ref self) {
            self.suspend();
            looks(w);
        }};
        inner.resume();
        resumes_inner(inner);
    }};
    resumes_first(outer);
    for (const functions* seen : {&w.unwound, &w.walked})
        check_order(*seen, {address(&looks), address(&resumes_inner), address(&resumes_first)});
}

BOOST_AUTO_TEST_CASE(to_the_thread_that_the_fiber_is_on_now) {
    witness w{address(&resumes_again), {}, {}};
    weft::fiber f{[&](weft::fiber_ref self) {
        self.suspend();
        looks(w);
    }};
    resumes_first(f);
    std::thread{[&] { resumes_again(f); }}.join();
    for (const functions* seen : {&w.unwound, &w.walked})
        check_order(*seen, {address(&looks), address(&resumes_again)});
}

BOOST_AUTO_TEST_CASE(an_exception_still_leaves_by_resume_and_not_along_the_link) {
    weft::fiber f{[] { throw std::runtime_error{"out"}; }};
    BOOST_CHECK_THROW(resumes_first(f), std::runtime_error);
    BOOST_TEST(f.done());
}

BOOST_AUTO_TEST_SUITE_END()
