// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <cstdio>
#include <cstdlib>

weft::task<int> ask(int a, int b) {              // stands for a question to a server
    co_return a - b;
}

int compare(const void* a, const void* b) {      // called by C's qsort, some frames down
    return weft::await(ask(*(const int*)a, *(const int*)b));
}

weft::task<int> median() {                       // to its callers an ordinary coroutine
    return weft::stackful([](auto&) {            // whose body has a stack of its own
        int v[] = {5, 3, 9, 1, 7};
        std::qsort(v, 5, sizeof *v, compare);
        return v[2];
    });
}

int main() {
    std::printf("the median is %d\n", weft::sync_wait(median()));
}
