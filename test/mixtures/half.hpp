// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/generator.hpp>
#include <weft/task.hpp>

#include <string>

/// What each of the two files of a program does for the other one. half.cpp is compiled once for each, with settings of
/// its own.
struct half {
    weft::fiber (*make_fiber)(const half& suspender, int kind, std::string& did);
    void (*resume)(weft::fiber& f);
    void (*suspend)(weft::fiber_ref f);
    void (*destroy)(weft::fiber f);

    weft::generator<int> (*make_generator)(const half& yielder, int kind);
    void (*yield)(weft::yielder<int>& out, int value);
    int (*sum)(weft::generator<int> g);

    weft::task<int> (*make_body)(const half& awaiter);
    int (*await)(weft::task<int> t);
    int (*wait)(weft::task<int> t);

    weft::fiber_context (*make_context)(const half& resumer, std::string& did);
    weft::fiber_context (*resume_context)(weft::fiber_context f);
};

extern const half first, second;

/// The kinds of fibers that make_fiber() makes.
enum fiber_kind { plain, with_options, on_a_stack_of_its_own, in_a_handler, around_another, kinds };
