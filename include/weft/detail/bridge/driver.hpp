// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/fiber_record.hpp>

#include <concepts>
#include <cstdint>

namespace weft::detail {

struct await_request;
struct stop_answer; // a std::stop_token: see weft/stop_token.hpp, which not every program needs
class WEFT_API cancellable_wait;

/// Knows what may cancel a coroutine. Asked by the coroutine, or by what it awaits, while it runs.
class stop_provider {
public:
    virtual void answer(stop_answer& to) = 0;
    /// The wait of an outer coroutine that knows more of its cancellation than a stop token does: whatever awaits below it
    /// is cancelled with it. Null: the stop token says all.
    virtual cancellable_wait* waiting() noexcept { return nullptr; }

protected:
    ~stop_provider() = default;
};

/// A promise whose coroutines may be told to stop.
template <class P>
concept has_stop_provider = requires(P& p) {
    { p.stop() } -> std::same_as<stop_provider*>;
};

/// What a coroutine offers to those below its stackful body that know it only as a driver. `kind`, an await_request::kind,
/// says whose it is: its adapter derives from it.
struct driver_services {
    std::uint64_t kind;
};

/// A coroutine with a stackful body, as the body sees it.
struct WEFT_ABI_TAG driver {
    fiber_record* body = nullptr;
    await_request* request = nullptr; // set by the body while it is suspended in an await
    bool takes_foreign = false;       // weft::await may suspend it
    stop_provider* stop = nullptr;    // null: nothing will tell it to stop
    driver_services* services = nullptr; // null: it offers none
    unsigned nested = 0;              // how many operations in a row its adapter went on with inside of each other
};

/// The fiber, whose body has not begun, is the driver's body.
inline void own(driver& d, fiber_record& body) noexcept {
    d.body = &body;
    body.details->owner = &d;
}
/// The body of the driver has ended. Where it has not ended plainly, by an exception or unwound, run_out() has done it.
inline void disown(driver& d) noexcept { d.body->details->owner = nullptr; }

/// The driver of a fiber, if it has one.
inline driver* driver_of(const fiber_record& fiber) noexcept { return static_cast<driver*>(fiber.details->owner); }

} // namespace weft::detail
