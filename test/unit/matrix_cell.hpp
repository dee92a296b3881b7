// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "awaiters.hpp"

#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>

// One await of the matrix (see matrix.cpp): what it is to do, and what was seen of it.

namespace matrix {

/// The shape of await_suspend. `templated` takes the handle of any promise, and wants one.
enum class form { returns_void, returns_bool, returns_handle, templated };
/// Where the awaiter comes from: the operand itself, or its operator co_await.
enum class origin { itself, member, free };
/// `immovable`: a temporary that can be neither copied nor moved.
enum class operand { lvalue, rvalue, immovable };

/// What makes the coroutine go on.
enum class completion {
    ready,         // await_ready says so
    refused,       // await_suspend says so: by false, or by the coroutine's own handle
    transferred,   // await_suspend names another coroutine, which goes on with this one
    inside,        // await_suspend resumes it
    before_return, // another thread resumes it, and has come back from that when await_suspend returns
    racing,        // another thread resumes it, while await_suspend returns
    later,         // the same thread resumes it, later
    elsewhere      // another thread resumes it, later
};
inline constexpr completion all_completions[] = {
    completion::ready,         completion::refused, completion::transferred, completion::inside,
    completion::before_return, completion::racing,  completion::later,       completion::elsewhere};

enum class ending { value, operator_throws, ready_throws, suspend_throws, resume_throws };
inline constexpr ending all_endings[] = {ending::value, ending::operator_throws, ending::ready_throws,
                                           ending::suspend_throws, ending::resume_throws};

enum class place { body, below_ten_frames, below_c, catch_block, unwinding_destructor, constructor, leaving_the_body };
inline constexpr place all_places[] = {place::body,        place::below_ten_frames,     place::below_c,
                                       place::catch_block, place::unwinding_destructor, place::constructor,
                                       place::leaving_the_body};

/// One more thread, which resumes what it is given, one coroutine at a time.
class helper {
public:
    helper() : thread_{[this] { work(); }} {}
    helper(const helper&) = delete;
    helper& operator=(const helper&) = delete;
    ~helper();

    void resume(std::coroutine_handle<> h);
    /// Until what was given has been resumed, and that call has returned.
    void wait();
    unsigned thread() const noexcept { return number_; }

private:
    void work();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::coroutine_handle<> next_;
    bool busy_ = true, ended_ = false;
    unsigned number_ = 0;
    std::thread thread_;
};

/// Goes on with a coroutine that it is told beforehand, each time that it is resumed.
struct relay {
    struct promise_type {
        std::coroutine_handle<> next;
        relay get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

/// What all cells need; made once.
struct equipment {
    helper other;
    relay passes_on;
    unsigned here = thread_number();
    int object = 0; // which results of int& name

    equipment();
    ~equipment();
};

class cell;

/// What an awaiter throws: it knows where it lies, and whose it is.
struct failure {
    cell* of;
    ending why;
    failure(cell& c, ending e);
};

/// Counts itself.
class counted_part {
public:
    explicit counted_part(cell& c) noexcept;
    counted_part(const counted_part& other) noexcept;
    counted_part& operator=(const counted_part&) = delete;
    ~counted_part();

protected:
    cell* cell_;
};

/// A result that can only be moved.
class box : counted_part {
public:
    explicit box(cell& c) noexcept : counted_part{c} {}
    box(box&&) noexcept = default;
    bool is_of(const cell& c) const noexcept { return cell_ == &c; }
};

/// A kind of await: the form of its operand, and the function that awaits one.
struct entry {
    void (*await)(cell& c, void* co); // co: the body's, for whoever knows its type
    form shape;
    origin from;
    operand given;
};

class cell {
public:
    cell(equipment& all, const entry& e, completion c, ending end, place p) noexcept
        : with{all}, kind{e}, completes{c}, ends{end}, where{p} {}

    equipment& with;
    const entry kind;
    const completion completes;
    const ending ends;
    const place where;

    int ready = 0, suspend = 0, resume = 0, operators = 0;
    std::uintptr_t ready_stack = 0, suspend_stack = 0, resume_stack = 0, body_stack = 0;
    unsigned thread_of_resume = 0, thread_after = 0;
    int alive = 0, moved = 0, left_alive = -1;
    const failure* thrown = nullptr;
    const failure* caught = nullptr;
    bool operator_was_for_lvalue = false;
    bool right = false;          // the result is what await_resume gave
    bool place_is_sound = false; // what is around the await is as it was before
    std::size_t allocated = 0;
    box kept{*this};

    /// The whole body of a coroutine; returns `answer`, or throws what the await threw.
    int body(void* co);
    static constexpr int answer = 7;

    // What awaiters and operands do.
    void in_operator(bool lvalue);
    bool in_ready();
    void in_suspend();
    void in_resume();
    bool refuses() const noexcept { return completes == completion::refused; }
    /// Resumes `h`, or has it resumed. The awaiter may be gone when it returns.
    void complete(std::coroutine_handle<> h);
    std::coroutine_handle<> goes_on_with(std::coroutine_handle<> h);

    /// Called on the first thread, when nothing runs on it: resumes what waits there.
    void step();

    /// Is there such a cell?
    bool exists() const noexcept;
    /// `resumed_here`: the coroutine type continues on an executor of this thread, whoever completes the await.
    /// Empty if all is as it has to be.
    std::string complaints(bool resumed_here, bool may_allocate) const;

private:
    bool fails() const noexcept { return ends != ending::value; }
    void at_the_place(void (*fn)(void*), void* argument);

    std::coroutine_handle<> waits_;
};

std::ostream& operator<<(std::ostream& out, const cell& c);

inline counted_part::counted_part(cell& c) noexcept : cell_{&c} {
    ++cell_->alive;
}
inline counted_part::counted_part(const counted_part& other) noexcept : cell_{other.cell_} {
    ++cell_->alive;
    ++cell_->moved;
}
inline counted_part::~counted_part() {
    --cell_->alive;
}

/// Notes how the await was left.
class leaving {
public:
    explicit leaving(cell& c) noexcept;
    ~leaving();

private:
    cell& cell_;
    std::size_t before_;
};

} // namespace matrix
