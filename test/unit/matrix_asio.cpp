// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "matrix_run.hpp"

#include <weft/asio.hpp>

#include <boost/test/unit_test.hpp>

// An awaitable's own operands are tested in asio.cpp; here are those of others, by weft::await. Asio allocates the
// operation that the awaitable waits with, from its recycling allocator.

namespace net = boost::asio;

namespace {

template <class Executor>
class awaitable_subject final : public matrix::subject {
public:
    void start(matrix::cell& c, outcome<int>& result) override {
        net::co_spawn(context_.get_executor(),
                      weft::stackful<net::awaitable<int, Executor>>([&c](auto& co) { return c.body(&co); }),
                      [&result](std::exception_ptr failure, int value) {
                          result.failure = failure;
                          if (!failure) result.value = value;
                          result.done = true;
                      });
    }
    bool poll() override {
        context_.poll();
        return true;
    }
    bool may_allocate() const override { return true; }

private:
    net::io_context context_{1};
    net::executor_work_guard<net::io_context::executor_type> work_{context_.get_executor()};
};

} // namespace

BOOST_AUTO_TEST_CASE(an_asio_awaitable_of_any_executor_by_weft_await) {
    awaitable_subject<net::any_io_executor> s;
    matrix::run(s, matrix::ambient_awaits);
}

BOOST_AUTO_TEST_CASE(an_asio_awaitable_of_a_concrete_executor_by_weft_await) {
    awaitable_subject<net::io_context::executor_type> s;
    matrix::run(s, matrix::ambient_awaits);
}
