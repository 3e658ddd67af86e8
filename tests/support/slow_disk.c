// A disk that is slow, for the program it is preloaded into: each write(2) to a file named slow.log
// sleeps first, in the thread that writes. Invariant: nothing else is changed. Thread: any.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char kName[] = "/slow.log";

static int is_slow(int fd) {
    char link[64];
    char path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(link, path, sizeof path);
    const ssize_t name = (ssize_t)sizeof kName - 1;
    return size >= name && memcmp(path + size - name, kName, (size_t)name) == 0;
}

ssize_t write(int fd, const void* data, size_t size) {
    if (is_slow(fd)) {
        const struct timespec delay = {0, 20 * 1000 * 1000};
        nanosleep(&delay, NULL);
    }
    return syscall(SYS_write, fd, data, size);
}
