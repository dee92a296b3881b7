// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft::task with stackful bodies, awaited by a coroutine, awaiting operands and each other.

#include "bodies.hpp"
#include "kinds.hpp"
#include "operands.hpp"

#include <weft/await.hpp>
#include <weft/stackful.hpp>
#include <weft/stop_token.hpp>
#include <weft/task.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

namespace soak {
namespace {

using number_task = weft::task<std::uint64_t>;
using body_ref = weft::coroutine_ref<number_task::promise_type>;

class task_object;

/// The coroutine that awaits the task of an object.
class root {
public:
    struct promise_type {
        token<thing::frame> counted;
        weft::detail::stop_provider* told = nullptr;
        root get_return_object() noexcept { return root{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        [[noreturn]] void unhandled_exception() const {
            try {
                throw;
            } catch (const std::exception& e) {
                fail("a task has ended by an exception that nobody threw: %s", e.what());
            } catch (...) {
                fail("a task has ended by an exception that nobody threw");
            }
        }
        weft::detail::stop_provider* stop() const noexcept { return told; }
    };

    root() noexcept = default;
    explicit root(std::coroutine_handle<promise_type> h) noexcept : handle_{h} {}
    root(root&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    root& operator=(root&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~root() {
        if (handle_) handle_.destroy();
    }
    std::coroutine_handle<promise_type> handle() const noexcept { return handle_; }

private:
    std::coroutine_handle<promise_type> handle_;
};

/// A body of a task: suspends by awaiting.
class task_host final : public body_host {
public:
    task_host(task_object& owner, body_ref& co) noexcept;

private:
    void leave(bool inside) override;
    std::uint64_t ask(std::uint64_t question, bool refused) override;
    bool swallows() const override;

    template <class Operand>
    auto await_somehow(Operand&& o) {
        happened(event::await);
        if (random().one_in(2)) return co_->await(std::forward<Operand>(o));
        happened(event::ambient_await);
        return weft::await(std::forward<Operand>(o));
    }
    std::uint64_t await_operand(std::uint64_t question, manner m);

    task_object* owner_;
    body_ref* co_;
};

class task_object final : public object {
public:
    task_object(crowd& home, std::uint64_t seed)
        : object{home, seed}, provider_{stop_.get_token()},
          stops_after_{lasts_ || !dice_.one_in(8) ? 0 : 1 + dice_.below(12)} {
        const failing_new fails{dice_};
        task_ = make();
        root_ = wait(*this);
        root_.handle().promise().told = &provider_;
        if (dice_.one_in(4)) {
            number_task elsewhere{std::move(task_)};
            task_.swap(elsewhere);
        }
    }

    /// A task inside of this one's: answers a question.
    number_task child(std::uint64_t question, bool refused) {
        const failing_new fails{dice_};
        if (dice_.one_in(2)) return relay(question, refused);
        return stackful_child(question, refused);
    }

    crowd& home() const noexcept { return home_; }
    random_source& random() noexcept { return dice_; }
    bool endures() const noexcept { return lasts_; }
    bool is_to_stop() noexcept { return stops_after_ != 0 && ++awaits_ == stops_after_; }
    bool will_stop() const noexcept { return stops_after_ != 0; }
    manner any_manner(bool refused) noexcept {
        return {static_cast<manner::way>(dice_.below(static_cast<unsigned>(manner::way::last))),
                refused ? static_cast<manner::ending>(1 + dice_.below(3)) : manner::ending::answer};
    }

private:
    number_task make() {
        const token<thing::body> captured;
        const auto body = [this, captured](body_ref& co) {
            return in_body([&] {
                task_host host{*this, co};
                if (rounding_) host.round(*rounding_);
                return run_program(host, program_);
            });
        };
        const weft::fiber_options own{.floating_point = weft::fp_env::per_fiber, .name = "task"};
        if (dice_.one_in(4)) rounding_ = any_rounding(dice_);
        const unsigned form = dice_.below(3);
        if (form == 0) return rounding_ ? number_task{weft::stackful(own, body)} : number_task{weft::stackful(body)};
        if (form == 1) return rounding_ ? weft::stackful<number_task>(own, body) : weft::stackful<number_task>(body);
        const stacks source{dice_};
        return rounding_ ? weft::stackful<number_task>(std::allocator_arg, source, own, body)
                         : weft::stackful<number_task>(std::allocator_arg, source, body);
    }

    number_task stackful_child(std::uint64_t question, bool refused) {
        const token<thing::body> captured;
        return weft::stackful<number_task, std::uint64_t, bool>(
            std::allocator_arg, stacks{dice_},
            [this, captured](body_ref& co, std::uint64_t asked, bool no) {
                return in_body([&] {
                    if (!weft::this_fiber::get_stop_token().stop_possible())
                        fail("a stop token did not reach a task's task");
                    task_host host{*this, co};
                    const token<thing::local> here;
                    host.pause();
                    if (no) throw fault{asked};
                    return answer_to(asked);
                });
            },
            question, refused);
    }

    /// An ordinary coroutine between two stackful bodies, or above an operand.
    number_task relay(std::uint64_t question, bool refused) {
        const token<thing::frame> counted;
        if (dice_.one_in(2)) co_return co_await operand<bool>{*this, home_, question, any_manner(refused)};
        const std::uint64_t answer = co_await stackful_child(question, refused);
        co_await operand<void>{*this, home_, answer, any_manner(false)};
        co_return answer;
    }

    struct at_the_end {
        task_object& self;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const { self.home_.put({&self, turn::kind::ended}); }
        void await_resume() const noexcept {}
    };
    static root wait(task_object& self) {
        try {
            self.result_ = {false, co_await self.task_};
        } catch (const fault& f) {
            self.result_ = {true, f.number()};
        } catch (const weft::operation_stopped&) {
            self.stopped_ = true;
        } catch (const std::bad_alloc&) {
            self.failed_ = true;
        }
        co_await at_the_end{self};
    }

    after step() override {
        happened(event::resume);
        root_.handle().resume();
        return after::leave;
    }
    void stop() override {
        std::stop_source source = stop_; // the object may be gone before request_stop() has returned
        source.request_stop();
    }
    void verify() override {
        if (stopped_ && !will_stop()) fail("a task was stopped that nobody had told to");
        if (!stopped_ && stops_after_ != 0 && awaits_ >= stops_after_) fail("a task was told to stop and went on");
        if (!stopped_ && !failed_ && result_ != expected(program_, rounding_))
            fail("a program in a task came to another result than without a body");
        happened(event::task);
    }

    std::stop_source stop_;
    weft::detail::given_stop_token provider_;
    unsigned stops_after_;
    unsigned awaits_ = 0;
    std::optional<int> rounding_;
    outcome result_;
    bool stopped_ = false;
    bool failed_ = false;
    number_task task_;
    root root_; // last: it awaits the task
};

task_host::task_host(task_object& owner, body_ref& co) noexcept
    : body_host{owner.random(), owner.endures()}, owner_{&owner}, co_{&co} {}

bool task_host::swallows() const {
    return !owner_->will_stop();
}

std::uint64_t task_host::await_operand(std::uint64_t question, manner m) {
    switch (random().below(3)) {
    case 0:
        return await_somehow(operand<void>{*owner_, owner_->home(), question, m});
    case 1:
        return await_somehow(operand<bool>{*owner_, owner_->home(), question, m});
    default:
        return await_somehow(operand<std::coroutine_handle<>>{*owner_, owner_->home(), question, m});
    }
}

void task_host::leave(bool) {
    if (owner_->is_to_stop()) await_somehow(until_stopped{*owner_, owner_->home(), random().one_in(2)});
    const std::uint64_t question = random()();
    if (await_operand(question, owner_->any_manner(false)) != answer_to(question))
        fail("an await gave another operand's answer");
}

std::uint64_t task_host::ask(std::uint64_t question, bool refused) {
    if (!random().one_in(3)) return await_operand(question, owner_->any_manner(refused));
    try {
        happened(event::child_task);
        return await_somehow(owner_->child(question, refused));
    } catch (const std::bad_alloc&) { // injected
        return await_operand(question, owner_->any_manner(refused));
    }
}

} // namespace

object* make_task(crowd& home, std::uint64_t seed) {
    return new task_object(home, seed);
}

} // namespace soak
