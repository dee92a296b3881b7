// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/generator.hpp.

#include "checked_contexts.hpp"
#include "recorded_stacks.hpp"
#include "thread_id.hpp"
#include "tracked.hpp"

#include <weft/generator.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using weft::generator;
using weft_test::at_exit_of_scope;
using weft_test::tracked;

namespace {

struct leak_check {
    int before = tracked::alive();
    ~leak_check() { BOOST_TEST(tracked::alive() == before); }
};

template <class T>
std::vector<std::remove_cvref_t<T>> all_of(generator<T> g) {
    std::vector<std::remove_cvref_t<T>> values;
    for (auto&& v : g) values.push_back(std::forward<decltype(v)>(v));
    return values;
}

generator<int> count_to(int n) {
    return generator<int>{[n](auto& out) {
        for (int i = 1; i <= n; ++i) out.yield(i);
    }};
}

// What the standard's algorithms and views ask of a range.
template <class G, class Reference, class Value>
constexpr bool models_its_concepts =
    std::ranges::input_range<G> && !std::ranges::forward_range<G> && std::ranges::view<G> && std::ranges::viewable_range<G> &&
    !std::ranges::borrowed_range<G> && !std::ranges::sized_range<G> && std::input_iterator<std::ranges::iterator_t<G>> &&
    std::same_as<std::ranges::range_reference_t<G>, Reference> && std::same_as<std::ranges::range_value_t<G>, Value> &&
    std::same_as<std::ranges::sentinel_t<G>, std::default_sentinel_t> && std::movable<G> && !std::copyable<G> &&
    std::is_nothrow_move_constructible_v<G> && !std::copyable<std::ranges::iterator_t<G>>;

static_assert(models_its_concepts<generator<int>, int&&, int>);
static_assert(models_its_concepts<generator<int&>, int&, int>);
static_assert(models_its_concepts<generator<const int&>, const int&, int>);
static_assert(models_its_concepts<generator<int&&>, int&&, int>);
static_assert(models_its_concepts<generator<std::unique_ptr<int>>, std::unique_ptr<int>&&, std::unique_ptr<int>>);
static_assert(models_its_concepts<generator<const std::string>, const std::string&&, std::string>);

template <class T, class V>
concept can_yield = requires(weft::yielder<T>& out, V&& v) { out.yield(std::forward<V>(v)); };

static_assert(can_yield<int, int> && can_yield<int, int&> && can_yield<int, const int&>);
static_assert(can_yield<int&, int&> && !can_yield<int&, int> && !can_yield<int&, const int&>);
static_assert(can_yield<const int&, int> && can_yield<const int&, const int&>);
static_assert(can_yield<std::unique_ptr<int>, std::unique_ptr<int>>);
static_assert(!can_yield<std::unique_ptr<int>, std::unique_ptr<int>&>);

static_assert(!std::is_constructible_v<generator<int>, int>);
static_assert(!std::is_constructible_v<generator<int>, void (*)()>);
static_assert(std::is_constructible_v<generator<int>, void (*)(weft::yielder<int>&)>);
static_assert(!std::is_convertible_v<void (*)(weft::yielder<int>&), generator<int>>);

} // namespace

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(elements, *boost::unit_test::fixture<leak_check>())

BOOST_AUTO_TEST_CASE(values_in_order) {
    BOOST_TEST(all_of(count_to(5)) == (std::vector{1, 2, 3, 4, 5}), boost::test_tools::per_element());
    BOOST_TEST(all_of(count_to(0)).empty());
    int sum = 0;
    for (int v : count_to(10000)) sum += v;
    BOOST_TEST(sum == 50005000);
}

// An lvalue given to a generator of values is copied: the consumer may do with the element what it likes.
BOOST_AUTO_TEST_CASE(an_lvalue_given_to_a_generator_of_values_is_copied) {
    std::string kept = "long enough to own its memory, so that a move would be seen";
    const std::string original = kept;
    const std::string* seen = nullptr;
    generator<std::string> g{[&](auto& out) {
        out.yield(kept);
        out.yield(std::as_const(kept));
    }};
    std::vector<std::string> taken;
    for (auto&& v : g) {
        seen = &v;
        BOOST_TEST(seen != &kept);
        taken.push_back(std::move(v));
    }
    BOOST_TEST(kept == original);
    BOOST_TEST(taken == (std::vector{original, original}), boost::test_tools::per_element());
}

enum class letter : char { a = 'a', z = 'z' };
struct point {
    int x;
    long double far;
    int twice() { return 2 * x; }
};

// Values in a register: of every size and kind, and beside them those that do not fit.
BOOST_AUTO_TEST_CASE(scalars_of_every_kind) {
    const auto check = []<class T>(std::type_identity<T>, auto... values) {
        generator<T> g{[=](auto& out) { (out.yield(values), ...); }};
        const std::array<std::remove_cv_t<T>, sizeof...(values)> expected{values...};
        std::size_t n = 0;
        for (auto&& v : g) BOOST_TEST((std::remove_cv_t<T>(v) == expected.at(n++)));
        BOOST_TEST(n == expected.size());
    };
    static const int object[2]{};
    check(std::type_identity<bool>{}, true, false, true);
    check(std::type_identity<char>{}, 'x', '\0', '\xff');
    check(std::type_identity<short>{}, short{-1}, short{2});
    check(std::type_identity<const int>{}, -1, 1 << 30);
    check(std::type_identity<volatile int>{}, -1, 1 << 30);
    check(std::type_identity<long long>{}, -1LL, 1LL << 62);
    check(std::type_identity<float>{}, -1.5f, 1e30f);
    check(std::type_identity<double>{}, -1.5, 1e300);
    check(std::type_identity<long double>{}, -1.5L, 1e300L);
    check(std::type_identity<letter>{}, letter::a, letter::z);
    check(std::type_identity<const int*>{}, &object[1], &object[0], static_cast<const int*>(nullptr));
    check(std::type_identity<std::nullptr_t>{}, nullptr);
    check(std::type_identity<int point::*>{}, &point::x, static_cast<int point::*>(nullptr));
    check(std::type_identity<int (point::*)()>{}, &point::twice, static_cast<int (point::*)()>(nullptr));
}

BOOST_AUTO_TEST_CASE(members_of_an_element_by_an_arrow) {
    generator<point> values{[](auto& out) { out.yield(point{4, 0}); }};
    auto i = values.begin();
    BOOST_TEST(i->twice() == 8);
    i->x = 5;
    BOOST_TEST((*i).x == 5);

    const point kept{6, 0};
    generator<const point&> references{[&](auto& out) { out.yield(kept); }};
    auto j = references.begin();
    BOOST_TEST(j.operator->() == &kept);

    generator<int> scalars{[](auto& out) { out.yield(7); }};
    auto k = scalars.begin();
    *k.operator->() = 8;
    BOOST_TEST(*k == 8);
    static_assert(std::same_as<decltype(std::declval<generator<const int>::iterator&>().operator->()), const int*>);
}

BOOST_AUTO_TEST_CASE(a_scalar_element_is_the_consumers_until_the_next) {
    generator<int> g{[](auto& out) {
        int mine = 1;
        out.yield(std::move(mine));
        out.yield(mine);
    }};
    auto i = g.begin();
    auto&& element = *i;
    element += 10;
    BOOST_TEST(*i == 11);
    auto moved = std::move(i);
    BOOST_TEST(*moved == 11);
    ++moved;
    BOOST_TEST(*moved == 1); // the body's own has not changed
}

// By each of the ways that resume() has; the plain one takes what is in the register, too.
BOOST_AUTO_TEST_CASE(elements_arrive_by_every_way) {
    const auto one_by_one = [](auto& g, auto&& around) {
        std::vector<long> seen;
        auto i = g.begin();
        while (i != g.end()) {
            seen.push_back(*i);
            around([&] { ++i; });
        }
        BOOST_TEST(seen == (std::vector{1L, 2L, -3L, 4L}), boost::test_tools::per_element());
    };
    const auto check = [&](auto&& around) {
        const auto body = [](auto& out) {
            out.yield(1);
            out.yield(2);
            try {
                throw 0;
            } catch (int) {
                out.yield(-3); // is then suspended with an exception of its own
            }
            weft::fiber{[&](weft::fiber_ref) { out.yield(4); }}.resume(); // and with a fiber inside
        };
        generator<long> plain{body};
        one_by_one(plain, around);
        generator<long> own_fp{weft::fiber_options{.floating_point = weft::fp_env::per_fiber}, body};
        one_by_one(own_fp, around);
    };
    const auto plainly = [](auto&& advance) { advance(); };
    const auto in_catch_block = [](auto&& advance) {
        try {
            throw 0;
        } catch (int) {
            advance();
        }
    };
    const auto on_a_new_thread = [](auto&& advance) { std::thread{advance}.join(); };
    check(plainly);
    check(in_catch_block);
    check(on_a_new_thread);
    weft::fiber inside{[&](weft::fiber_ref) {
        check(plainly);
        check(in_catch_block);
    }};
    inside.resume();
}

// Else the consumer would see an element that nobody has yielded.
BOOST_AUTO_TEST_CASE(a_body_suspended_without_a_value,
                     *boost::unit_test::precondition(weft_test::contexts_are_checked)) {
    std::string said;
    generator<int> g{[&](auto& out) {
        out.yield(1);
        try {
            weft::this_fiber::get().suspend();
        } catch (const weft::fiber_error& e) {
            said = e.what();
        }
        out.yield(2);
    }};
    BOOST_TEST(all_of(std::move(g)) == (std::vector{1, 2}), boost::test_tools::per_element());
    BOOST_TEST(said == "weft: a generator's body was suspended without a value: it suspends by yield() alone");
    weft::fiber next{[](weft::fiber_ref self) { self.suspend(); }}; // may be the same fiber once more
    next.resume();
    next.resume();
    BOOST_TEST(next.done());
}

BOOST_AUTO_TEST_CASE(an_rvalue_is_seen_itself) {
    const tracked* sent = nullptr;
    const int before = tracked::alive();
    const auto check = [&](auto g) {
        int count = 0;
        for (auto&& v : g) {
            static_assert(std::same_as<decltype(v), tracked&&>);
            BOOST_TEST(&v == sent);
            BOOST_TEST(tracked::alive() == before + 1);
            BOOST_TEST(v.value() == 3);
            ++count;
        }
        BOOST_TEST(count == 1);
    };
    const auto body = [&](auto& out) {
        tracked t{3};
        sent = &t;
        out.yield(std::move(t));
    };
    check(generator<tracked>{body});
    check(generator<tracked&&>{body});
}

BOOST_AUTO_TEST_CASE(references_are_to_the_bodys_own_object) {
    int seen_by_body = 0;
    generator<int&> g{[&](auto& out) {
        int mine = 1;
        out.yield(mine);
        seen_by_body = mine;
    }};
    for (int& v : g) v = 42;
    BOOST_TEST(seen_by_body == 42);
}

BOOST_AUTO_TEST_CASE(const_references_bind_to_anything_and_copy_nothing) {
    const int before = tracked::alive();
    const tracked* sent = nullptr;
    generator<const tracked&> g{[&](auto& out) {
        const tracked mine{1};
        sent = &mine;
        out.yield(mine);
        sent = nullptr;
        out.yield(tracked{2});
    }};
    std::vector<int> values;
    for (const tracked& t : g) {
        if (sent) BOOST_TEST(&t == sent);
        values.push_back(t.value());
        BOOST_TEST(tracked::alive() <= before + 2);
    }
    BOOST_TEST(values == (std::vector{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(move_only) {
    generator<std::unique_ptr<int>> g{[](auto& out) {
        for (int i = 0; i < 3; ++i) out.yield(std::make_unique<int>(i));
        auto named = std::make_unique<int>(3);
        out.yield(std::move(named));
        if (named) throw std::logic_error("the consumer took it");
    }};
    std::vector<std::unique_ptr<int>> taken;
    for (auto&& p : g) taken.push_back(std::move(p));
    BOOST_TEST(taken.size() == 4u);
    for (int i = 0; i < 4; ++i) BOOST_TEST(*taken[static_cast<std::size_t>(i)] == i);
}

struct node {
    int value;
    std::unique_ptr<node> left, right;
};

std::unique_ptr<node> tree(int first, int last) {
    if (first > last) return nullptr;
    const int middle = (first + last) / 2;
    return std::make_unique<node>(node{middle, tree(first, middle - 1), tree(middle + 1, last)});
}

void walk(const node* n, weft::yielder<const int&>& out) {
    if (!n) return;
    walk(n->left.get(), out);
    out.yield(n->value);
    walk(n->right.get(), out);
}

BOOST_AUTO_TEST_CASE(from_any_depth_of_recursion) {
    const auto root = tree(1, 1000);
    int expected = 0;
    for (const int& v : generator<const int&>{[&](auto& out) { walk(root.get(), out); }}) BOOST_TEST(v == ++expected);
    BOOST_TEST(expected == 1000);
}

// An element costs one resumption, however deep it comes from: no frame above it runs.
BOOST_AUTO_TEST_CASE(frames_between_the_yield_and_the_consumer_do_not_run) {
    int went_on = 0;
    const auto yield_below = [&](int depth, auto& out, const auto& self) -> void {
        if (depth == 0) {
            for (int i = 0; i < 100; ++i) out.yield(i + 0);
        } else {
            self(depth - 1, out, self);
            ++went_on;
        }
    };
    generator<int> g{[&](auto& out) { yield_below(200, out, yield_below); }};
    std::uintptr_t position = 0;
    int seen = 0;
    for (const int& v : g) {
        BOOST_TEST(v == seen++);
        BOOST_TEST(went_on == 0);
        const auto here = reinterpret_cast<std::uintptr_t>(&v);
        if (position) BOOST_TEST(position == here); // each is made in the same frame
        position = here;
    }
    BOOST_TEST(seen == 100);
    BOOST_TEST(went_on == 200);
}

BOOST_AUTO_TEST_CASE(from_below_a_function_that_knows_nothing_of_it) {
    generator<int> g{[](auto& out) {
        std::vector<int> values{3, 1, 2};
        std::ranges::for_each(values, [&](int v) { out.yield(v); });
        std::ranges::sort(values, [&](int a, int b) {
            if (a == b) out.yield(-1);
            return a < b;
        });
        out.yield(values[0]);
    }};
    const std::vector<int> seen = all_of(std::move(g));
    BOOST_TEST(seen.front() == 3);
    BOOST_TEST(seen.back() == 1);
}

BOOST_AUTO_TEST_CASE(nested_generators) {
    generator<int> g{[](auto& out) {
        for (int n : count_to(4))
            for (int m : count_to(n)) out.yield(10 * n + m);
    }};
    BOOST_TEST(all_of(std::move(g)) == (std::vector{11, 21, 22, 31, 32, 33, 41, 42, 43, 44}),
               boost::test_tools::per_element());
}

// The outer generator yields from a fiber, and from another generator's body, that run inside of its own.
BOOST_AUTO_TEST_CASE(from_inside_of_other_fibers) {
    generator<int> g{[](auto& out) {
        weft::fiber inner{[&](weft::fiber_ref self) {
            out.yield(1);
            self.suspend();
            out.yield(2);
        }};
        while (!inner.done()) inner.resume();
        generator<int> other{[&](auto& other_out) {
            out.yield(3);
            other_out.yield(4);
            out.yield(5);
        }};
        for (int v : other) out.yield(v);
    }};
    BOOST_TEST(all_of(std::move(g)) == (std::vector{1, 2, 3, 4, 5}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(iteration, *boost::unit_test::fixture<leak_check>())

BOOST_AUTO_TEST_CASE(the_body_begins_at_begin_and_is_lazy) {
    std::string trace;
    generator<int> g{[&](auto& out) {
        trace += "begins ";
        out.yield(1);
        trace += "goes on ";
        out.yield(2);
        trace += "ends";
    }};
    BOOST_TEST(trace == "");
    auto i = g.begin();
    BOOST_TEST(trace == "begins ");
    BOOST_TEST((i != g.end()));
    BOOST_TEST(*i == 1);
    BOOST_TEST(*i == 1); // looking changes nothing
    BOOST_TEST(&++i == &i);
    BOOST_TEST(trace == "begins goes on ");
    BOOST_TEST(*i == 2);
    i++;
    BOOST_TEST((i == g.end()));
    BOOST_TEST((std::default_sentinel == i));
    BOOST_TEST(trace == "begins goes on ends");
}

BOOST_AUTO_TEST_CASE(in_pipelines_of_views) {
    std::vector<int> seen;
    for (int v : count_to(1000000) | std::views::filter([](int n) { return n % 3 == 0; }) |
                     std::views::transform([](int n) { return n * n; }) | std::views::take(4))
        seen.push_back(v);
    BOOST_TEST(seen == (std::vector{9, 36, 81, 144}), boost::test_tools::per_element());

    generator<int> endless{[](auto& out) {
        for (int i = 0;; ++i) out.yield(i);
    }};
    int sum = 0;
    for (int v : std::views::all(std::move(endless)) | std::views::drop_while([](int n) { return n < 10; }) |
                     std::views::take_while([](int n) { return n < 13; }))
        sum += v;
    BOOST_TEST(sum == 33);
}

BOOST_AUTO_TEST_CASE(with_the_ranges_algorithms) {
    BOOST_TEST(std::ranges::distance(count_to(17)) == 17);
    std::vector<int> copy;
    std::ranges::copy(count_to(3), std::back_inserter(copy));
    BOOST_TEST(copy == (std::vector{1, 2, 3}), boost::test_tools::per_element());
    auto g = count_to(10);
    BOOST_TEST(*std::ranges::find(g, 7) == 7);
    BOOST_TEST(std::ranges::equal(count_to(4), std::vector{1, 2, 3, 4}));
}

BOOST_AUTO_TEST_CASE(on_a_stack_of_its_own_choice) {
    weft_test::recorded_stacks stacks;
    const void* where = nullptr;
    {
        generator<int> g{std::allocator_arg, stacks.get(), [&](auto& out) {
                             where = weft_test::here();
                             out.yield(1);
                         }};
        BOOST_TEST(stacks.out() == 1u);
        BOOST_TEST(*g.begin() == 1);
        BOOST_TEST(weft_test::lies_on(stacks.last(), where));
    }
    BOOST_TEST(stacks.out() == 0u);
    BOOST_TEST(stacks.sound());
}

BOOST_AUTO_TEST_CASE(the_body_runs_on_the_thread_that_advances) {
    std::vector<std::thread::id> seen;
    generator<int> g{[&](auto& out) {
        for (int i = 0;; ++i) {
            seen.push_back(weft_test::this_thread_id());
            out.yield(i);
        }
    }};
    auto i = g.begin();
    std::thread other{[&] { ++i; }};
    const std::thread::id expected = other.get_id();
    other.join();
    ++i;
    BOOST_TEST(*i == 2);
    BOOST_REQUIRE(seen.size() == 3u);
    BOOST_TEST((seen[0] == weft_test::this_thread_id()));
    BOOST_TEST((seen[1] == expected));
    BOOST_TEST((seen[2] == weft_test::this_thread_id()));
}

BOOST_AUTO_TEST_CASE(a_moved_generator_goes_on_with_its_iterator) {
    generator<int> g = count_to(5);
    auto i = g.begin();
    ++i;
    generator<int> h = std::move(g);
    BOOST_TEST(*i == 2);
    ++i;
    BOOST_TEST(*i == 3);
    BOOST_TEST((i != h.end()));
    auto j = std::move(i);
    ++j;
    BOOST_TEST(*j == 4);
    BOOST_CHECK_THROW(static_cast<void>(g.begin()), weft::fiber_error); // moved from

    const int before = tracked::alive();
    generator<int> replaced{[](auto& out) {
        const tracked local;
        out.yield(1);
    }};
    static_cast<void>(replaced.begin());
    BOOST_TEST(tracked::alive() == before + 1);
    replaced = count_to(2);
    BOOST_TEST(tracked::alive() == before);
    BOOST_TEST(all_of(std::move(replaced)) == (std::vector{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_body_may_own_what_cannot_be_copied) {
    generator<int> g{[p = std::make_unique<int>(8)](auto& out) { out.yield(*p); }};
    BOOST_TEST(all_of(std::move(g)) == std::vector{8}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
BOOST_AUTO_TEST_SUITE(ends, *boost::unit_test::fixture<leak_check>())

BOOST_AUTO_TEST_CASE(an_exception_comes_out_of_begin) {
    generator<int> g{[](auto&) { throw std::runtime_error("at once"); }};
    BOOST_CHECK_EXCEPTION(static_cast<void>(g.begin()), std::runtime_error,
                          [](const std::runtime_error& e) { return e.what() == std::string{"at once"}; });
    BOOST_CHECK_THROW(static_cast<void>(g.begin()), weft::fiber_error);
}

/// What a misuse says, in the words of a generator.
template <class Fn>
std::string misuse(Fn fn) {
    try {
        fn();
    } catch (const weft::fiber_error& e) {
        const std::string says = e.what();
        BOOST_TEST(says.find("fiber") == std::string::npos, says);
        return says;
    }
    return "nothing was thrown";
}
bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

BOOST_AUTO_TEST_CASE(misuse_is_told_in_the_words_of_a_generator) {
    generator<int> g = count_to(2);
    auto i = g.begin();
    BOOST_TEST(contains(misuse([&] { static_cast<void>(g.begin()); }), "begin() was called before"));
    BOOST_TEST(*i == 1); // no element is lost
    ++i;
    BOOST_TEST(*i == 2);
    ++i;
    BOOST_TEST((i == g.end()));
    BOOST_TEST(contains(misuse([&] { ++i; }), "++ of an iterator at the end"));
    BOOST_TEST(contains(misuse([&] { i++; }), "++ of an iterator at the end"));
    BOOST_TEST(contains(misuse([&] { static_cast<void>(g.begin()); }), "begin() was called before"));
    generator<int> moved = std::move(g);
    BOOST_TEST(contains(misuse([&] { static_cast<void>(g.begin()); }), "moved from"));

    weft::yielder<int>* kept = nullptr;
    generator<int>::iterator* own = nullptr;
    std::string inside;
    generator<int> h{[&](auto& out) {
        kept = &out;
        out.yield(1);
        inside = misuse([&] { ++*own; });
        out.yield(2);
    }};
    auto j = h.begin();
    own = &j;
    BOOST_TEST(contains(misuse([&] { kept->yield(7); }), "yield() while the body does not run"));
    ++j;
    BOOST_TEST(contains(inside, "++ while the body runs"));
    BOOST_TEST(*j == 2);
}

BOOST_AUTO_TEST_CASE(an_exception_comes_out_of_the_increment_and_ends_it) {
    generator<int> g{[](auto& out) {
        const tracked local;
        out.yield(1);
        throw tracked{9};
    }};
    auto i = g.begin();
    BOOST_TEST(*i == 1);
    BOOST_CHECK_EXCEPTION(++i, tracked, [](const tracked& t) { return t.value() == 9; });
    BOOST_TEST((i == g.end()));
}

BOOST_AUTO_TEST_CASE(one_that_was_never_begun_is_destroyed_without_running) {
    const int before = tracked::alive();
    bool ran = false;
    {
        const generator<int> g{[&ran, capture = tracked{}](auto&) { ran = true; }};
        BOOST_TEST(tracked::alive() == before + 1);
    }
    BOOST_TEST(!ran);
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(leaving_early_unwinds_the_body) {
    std::string trace;
    {
        generator<int> g{[&](auto& out) {
            const at_exit_of_scope last{[&] { trace += "outer "; }};
            const auto below = [&] {
                const at_exit_of_scope first{[&] { trace += "inner "; }};
                for (int i = 0;; ++i) out.yield(i);
            };
            below();
        }};
        for (int v : g)
            if (v == 3) break;
        BOOST_TEST(trace == "");
    }
    BOOST_TEST(trace == "inner outer ");
}

BOOST_AUTO_TEST_CASE(a_body_that_swallows_the_unwinding_meets_it_at_its_next_yield) {
    int met = 0;
    {
        generator<int> g{[&](auto& out) {
            for (int i = 0; i < 3; ++i) try {
                    out.yield(i);
                } catch (const weft::forced_unwind&) {
                    ++met;
                }
        }};
        static_cast<void>(g.begin());
    }
    BOOST_TEST(met == 3);
}

BOOST_AUTO_TEST_CASE(a_copy_made_for_the_consumer_dies_with_the_yield) {
    const int before = tracked::alive();
    {
        generator<tracked> g{[](auto& out) {
            tracked mine{1};
            out.yield(mine);
            out.yield(mine);
        }};
        auto i = g.begin();
        BOOST_TEST(tracked::alive() == before + 2);
        ++i;
        BOOST_TEST(tracked::alive() == before + 2);
    }
    BOOST_TEST(tracked::alive() == before);
}

BOOST_AUTO_TEST_CASE(an_exception_in_the_consumer_unwinds_the_body_while_it_passes) {
    bool unwound = false;
    try {
        for (int v : generator<int>{[&](auto& out) {
                 const at_exit_of_scope says{[&] { unwound = true; }};
                 for (;;) out.yield(1);
             }})
            if (v == 1) throw std::runtime_error("enough");
    } catch (const std::runtime_error& e) {
        BOOST_TEST(e.what() == std::string{"enough"});
    }
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_CASE(bodies_may_yield_inside_their_handlers) {
    const auto body = [](int base) {
        return [base](auto& out) {
            try {
                throw base;
            } catch (int) {
                out.yield(0);
                try {
                    throw;
                } catch (int mine) {
                    out.yield(+mine);
                }
            }
        };
    };
    generator<int> a{body(1)}, b{body(2)};
    auto i = a.begin();
    auto j = b.begin();
    ++i;
    ++j;
    BOOST_TEST(*i == 1);
    BOOST_TEST(*j == 2);
}

BOOST_AUTO_TEST_SUITE_END()
