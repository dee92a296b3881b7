// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "model.hpp"

#include <cstdint>
#include <span>

namespace fuzz {

/// What was run so far in this process.
struct totals {
    std::uint64_t programs = 0;
    coverage operations{};
};
totals& so_far();
void print(const totals&);

/// Runs a program on every backend and on the model. False, after telling on standard error where they part, if the
/// traces differ.
bool agree(std::span<const std::uint8_t> bytes);

} // namespace fuzz
