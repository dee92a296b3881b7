// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The matrix: every kind of awaiter and operand x who completes it and when x how it ends x where in the body it is
// awaited x the coroutine type, by co.await and by weft::await. Kinds are types and make one small function each; the
// rest is looped over. What differs from what [expr.await] says of an ordinary coroutine is a failure. Left out is what
// cannot be told apart or makes no sense:
// - how an await would be completed, if an exception comes first: the operator's, await_ready's and await_suspend's
//   exceptions run with one completion each;
// - `refused` where await_suspend returns void, and `transferred` where it returns no handle;
// - an exception that leaves a destructor in an unwinding: it is caught inside;
// - results that leave the body unhandled: they are those of `body`.

#include "allocations.hpp"
#include "matrix_run.hpp"

#include <boost/test/unit_test.hpp>

#include <exception>
#include <ostream>
#include <sstream>
#include <string>

extern "C" int call_from_c(void (*callback)(void*), void* argument);

namespace matrix {

helper::~helper() {
    wait();
    {
        const std::lock_guard lock{mutex_};
        ended_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void helper::resume(std::coroutine_handle<> h) {
    const std::lock_guard lock{mutex_};
    next_ = h;
    busy_ = true;
    changed_.notify_all();
}

void helper::wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return !busy_; });
}

void helper::work() {
    std::unique_lock lock{mutex_};
    number_ = thread_number();
    for (;;) {
        busy_ = false;
        changed_.notify_all();
        changed_.wait(lock, [this] { return busy_ || ended_; });
        if (ended_) return;
        const auto h = next_;
        lock.unlock();
        h.resume();
        lock.lock();
    }
}

namespace {

relay pass_on() {
    struct transfer {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<relay::promise_type> h) const noexcept {
            return h.promise().next;
        }
        void await_resume() const noexcept {}
    };
    for (;;) co_await transfer{};
}

/// What passes when something awaits in its way.
struct outer_exception {
    int number;
};

[[gnu::noinline]] bool below_frames(int depth, void (*fn)(void*), void* argument) {
    volatile int own = depth;
    const bool sound = depth == 0 || below_frames(depth - 1, fn, argument);
    if (depth == 0) fn(argument);
    return sound && own == depth;
}

struct awaits_in_its_constructor : counted_part {
    bool& destroyed;
    awaits_in_its_constructor(cell& c, bool& d, void (*fn)(void*), void* argument) : counted_part{c}, destroyed{d} {
        fn(argument);
    }
    ~awaits_in_its_constructor() { destroyed = true; }
};

struct awaits_in_its_destructor {
    cell& c;
    bool& sound;
    void (*fn)(void*);
    void* argument;
    ~awaits_in_its_destructor() {
        sound = std::uncaught_exceptions() == 1;
        try {
            fn(argument);
        } catch (const failure& f) {
            c.caught = &f;
        }
        sound = sound && std::uncaught_exceptions() == 1 && !std::current_exception();
    }
};

} // namespace

equipment::equipment() : passes_on{pass_on()} {
    other.wait();
}
equipment::~equipment() {
    passes_on.handle.destroy();
}

failure::failure(cell& c, ending e) : of{&c}, why{e} {
    c.thrown = this;
}

leaving::leaving(cell& c) noexcept : cell_{c}, before_{allocations.load(std::memory_order_relaxed)} {}
leaving::~leaving() {
    cell_.allocated = allocations.load(std::memory_order_relaxed) - before_;
    cell_.thread_after = thread_number();
    cell_.left_alive = cell_.alive;
}

int cell::body(void* co) {
    body_stack = stack_position();
    struct call {
        cell* self;
        void* co;
        static void run(void* argument) {
            const call& c = *static_cast<call*>(argument);
            c.self->kind.await(*c.self, c.co);
        }
    } c{this, co};
    if (where == place::leaving_the_body) {
        place_is_sound = true;
        call::run(&c);
        return answer;
    }
    try {
        at_the_place(&call::run, &c);
    } catch (const failure& f) {
        caught = &f;
    }
    place_is_sound = place_is_sound && std::uncaught_exceptions() == 0 && !std::current_exception();
    return answer;
}

void cell::at_the_place(void (*fn)(void*), void* argument) {
    place_is_sound = fails(); // then only what the exception passes can be looked at
    switch (where) {
    case place::below_ten_frames:
        place_is_sound = below_frames(10, fn, argument);
        break;
    case place::below_c:
        place_is_sound = call_from_c(fn, argument) == 12345;
        break;
    case place::catch_block:
        try {
            throw outer_exception{1};
        } catch (const outer_exception& first) {
            fn(argument);
            try {
                throw;
            } catch (const outer_exception& again) {
                place_is_sound = &again == &first && again.number == 1;
            }
        }
        break;
    case place::unwinding_destructor: {
        bool sound = false;
        try {
            const awaits_in_its_destructor awaits{*this, sound, fn, argument};
            throw outer_exception{2};
        } catch (const outer_exception& e) {
            place_is_sound = sound && e.number == 2;
        }
        break;
    }
    case place::constructor: {
        bool destroyed = false;
        const int before = alive;
        try {
            const awaits_in_its_constructor made{*this, destroyed, fn, argument};
            place_is_sound = alive == before + 1;
        } catch (...) {
            place_is_sound = !destroyed && alive == before;
            throw;
        }
        place_is_sound = place_is_sound && destroyed && alive == before;
        break;
    }
    default:
        fn(argument);
        place_is_sound = true;
    }
}

void cell::in_operator(bool lvalue) {
    ++operators;
    operator_was_for_lvalue = lvalue;
    if (ends == ending::operator_throws) throw failure{*this, ends};
}
bool cell::in_ready() {
    ++ready;
    ready_stack = stack_position();
    if (ends == ending::ready_throws) throw failure{*this, ends};
    return completes == completion::ready;
}
void cell::in_suspend() {
    ++suspend;
    suspend_stack = stack_position();
    if (ends == ending::suspend_throws) throw failure{*this, ends};
}
void cell::in_resume() {
    ++resume;
    resume_stack = stack_position();
    thread_of_resume = thread_number();
    if (ends == ending::resume_throws) throw failure{*this, ends};
}

void cell::complete(std::coroutine_handle<> h) {
    helper& other = with.other;
    switch (completes) {
    case completion::before_return:
        other.resume(h);
        other.wait();
        break;
    case completion::racing:
        other.resume(h);
        break;
    case completion::later:
    case completion::elsewhere:
        waits_ = h;
        break;
    default:
        h.resume();
    }
}

std::coroutine_handle<> cell::goes_on_with(std::coroutine_handle<> h) {
    if (completes == completion::refused) return h;
    if (completes == completion::transferred) {
        with.passes_on.handle.promise().next = h;
        return with.passes_on.handle;
    }
    complete(h);
    return std::noop_coroutine();
}

void cell::step() {
    if (const auto h = std::exchange(waits_, nullptr)) {
        if (completes == completion::later)
            h.resume();
        else
            with.other.resume(h);
    }
    with.other.wait();
}

bool cell::exists() const noexcept {
    if (where == place::leaving_the_body && !fails()) return false;
    switch (ends) {
    case ending::operator_throws:
        return kind.from != origin::itself && completes == completion::ready;
    case ending::ready_throws:
        return completes == completion::ready;
    case ending::suspend_throws:
        return completes == completion::later;
    default:
        if (completes == completion::refused) return kind.shape != form::returns_void;
        return completes != completion::transferred || kind.shape == form::returns_handle;
    }
}

std::string cell::complaints(bool resumed_here, bool may_allocate) const {
    std::string list;
    const auto check = [&](bool holds, const char* what) {
        if (!holds) list.append(list.empty() ? "" : ", ").append(what);
    };
    const bool calls_ready = ends != ending::operator_throws;
    const bool calls_suspend = calls_ready && ends != ending::ready_throws && completes != completion::ready;
    const bool calls_resume = !fails() || ends == ending::resume_throws;
    const bool elsewhere = completes == completion::before_return || completes == completion::racing ||
                           completes == completion::elsewhere;
    const unsigned goes_on = calls_resume && elsewhere && !resumed_here ? with.other.thread() : with.here;

    check(operators == (kind.from != origin::itself), "calls of operator co_await");
    if (operators) check(operator_was_for_lvalue == (kind.given == operand::lvalue), "which operator co_await");
    check(ready == calls_ready, "calls of await_ready");
    check(suspend == calls_suspend, "calls of await_suspend");
    check(resume == calls_resume, "calls of await_resume");
    if (ready) check(near(ready_stack, body_stack), "the stack of await_ready");
    if (suspend) check(!near(suspend_stack, body_stack), "the stack of await_suspend");
    if (resume) check(near(resume_stack, body_stack), "the stack of await_resume");
    if (resume) check(thread_of_resume == goes_on, "the thread of await_resume");
    check(thread_after == goes_on, "the thread on which the body goes on");
    check(right == !fails(), "the result");
    check((caught != nullptr) == fails() && caught == thrown, "the exception");
    check(place_is_sound, "what is around the await");
    check(left_alive == (where == place::constructor ? 2 : 1), "what the await leaves alive"); // `kept`, the object
    check(alive == 1, "what the body leaves alive");
    check(moved == 0, "moves");
    if (!may_allocate) check(allocated == 0, "allocations");
    return list;
}

std::ostream& operator<<(std::ostream& out, const cell& c) {
    static constexpr const char* shapes[] = {"void", "bool", "handle", "templated"};
    static constexpr const char* origins[] = {"no operator", "a member", "a free function"};
    static constexpr const char* operands[] = {"lvalue", "rvalue", "immovable"};
    static constexpr const char* completions[] = {"ready",         "refused", "transferred", "inside",
                                                  "before return", "racing",  "later",       "elsewhere"};
    static constexpr const char* endings[] = {"a value", "operator co_await throws", "await_ready throws",
                                              "await_suspend throws", "await_resume throws"};
    static constexpr const char* places[] = {"in the body",     "below ten frames", "below C",         "in a catch block",
                                             "in a destructor", "in a constructor", "leaving the body"};
    const auto name = [](const auto& names, auto value) { return names[static_cast<std::size_t>(value)]; };
    return out << "await_suspend: " << name(shapes, c.kind.shape)
               << ", operator co_await: " << name(origins, c.kind.from) << ", " << name(operands, c.kind.given)
               << ", completed: " << name(completions, c.completes) << ", " << name(endings, c.ends) << ", "
               << name(places, c.where);
}

const table ambient_awaits = all_awaits<by_weft_await>();

void run(subject& s, const table& awaits) {
    equipment with;
    int cells = 0, wrong = 0;
    for (const entry& e : awaits)
        for (const place where : all_places)
            for (const completion completes : all_completions)
                for (const ending ends : all_endings) {
                    cell c{with, e, completes, ends, where};
                    if (!c.exists()) continue;
                    ++cells;
                    ::outcome<int> result;
                    s.start(c, result);
                    bool resumed_here = s.poll();
                    c.step();
                    while (!result.done) {
                        resumed_here = s.poll();
                        c.step();
                    }
                    if (result.failure) {
                        try {
                            std::rethrow_exception(result.failure);
                        } catch (const failure& f) {
                            c.caught = &f;
                        }
                    }
                    std::string complaints = c.complaints(resumed_here, s.may_allocate());
                    const bool leaves = where == place::leaving_the_body;
                    if (leaves ? !result.failure : result.value != cell::answer) complaints += " the coroutine's result";
                    if (complaints.empty()) continue;
                    BOOST_ERROR(c << ": " << complaints);
                    BOOST_REQUIRE(++wrong < 20);
                }
    BOOST_TEST_MESSAGE(cells << " cells");
    BOOST_TEST(cells == 19'740);
}

} // namespace matrix
