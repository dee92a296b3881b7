// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

/// weft and the standalone Asio (1.22 or later). See <weft/asio.hpp>.

#include <weft/detail/use_fiber.hpp>

#include <asio.hpp>

#include <system_error>

#define WEFT_ASIO asio
#define WEFT_ASIO_ERROR std
#include <weft/detail/asio_adapter.hpp>
#undef WEFT_ASIO
#undef WEFT_ASIO_ERROR
