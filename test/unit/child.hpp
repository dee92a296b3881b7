// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <ostream>
#include <string>

#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft_test {

/// How a child process ended, and what it wrote to its standard error.
struct child_end {
    int code = -1;  // of its exit, -1 if a signal ended it
    int signal = 0; // that ended it, 0 if it exited
    std::string said;

    bool faulted() const noexcept { return signal == SIGSEGV || signal == SIGBUS; }
    friend std::ostream& operator<<(std::ostream& out, const child_end& end) {
        return out << "exit code " << end.code << ", signal " << end.signal << ", said: " << end.said;
    }
};

/// Runs `fn` in a child process, with the system's own answer to every signal; it exits with what `fn` returns, or with
/// 125 if an exception leaves it. A child that hangs is ended by SIGALRM.
template <class Fn>
child_end in_child(Fn fn) {
    std::fflush(nullptr);
    int ends[2];
    if (::pipe(ends) != 0) return {};
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[1]);
        for (const int each : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGTRAP, SIGFPE, SIGALRM}) std::signal(each, SIG_DFL);
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::alarm(100);
        int code = 125;
        try {
            code = fn();
        } catch (const std::exception& e) {
            std::fprintf(stderr, "%s\n", e.what());
        } catch (...) {
            std::fprintf(stderr, "an exception of unknown type\n");
        }
        std::fflush(stderr);
        ::_exit(code);
    }
    ::close(ends[1]);
    child_end end;
    if (child < 0) {
        ::close(ends[0]);
        return end;
    }
    char piece[512];
    for (ssize_t n; (n = ::read(ends[0], piece, sizeof piece)) > 0;) end.said.append(piece, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    if (::waitpid(child, &status, 0) == child) {
        if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
        if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    }
    return end;
}

} // namespace weft_test
