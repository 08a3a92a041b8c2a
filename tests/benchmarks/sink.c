// The receiver: one thread, one epoll, so that it is never what is measured. It prints its port, then answers for ever.
//
//   POST ...       200; if the body holds "item": N and "due_ms": N, they are kept with the instant of arrival
//   GET /count     how many it has kept, as text
//   GET /records   them all: item (int64), due and arrival (double, ms since 1970), in the machine's byte order
//   GET /reset     forget them
//
// Bodies have to have a length: none of the clients that are measured sends in chunks.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 16384, ROOM = 32768, MOST_KEPT = 4000000, EVENTS = 512 };

typedef struct { int64_t item; double due, arrived; } record;
typedef struct { char *bytes; size_t filled; } connection;

static record *records;
static size_t kept;
static connection connections[MOST_CONNECTIONS];
static const char TAKEN[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
static const char LENGTH_PLEASE[] = "HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\n\r\n";

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int send_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size) {
        ssize_t sent = write(fd, at, size);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, 5000) <= 0) return -1;
            continue;
        }
        if (sent <= 0) return -1;
        at += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static const char *value_of(const char *body, const char *name) {
    const char *at = strstr(body, name);
    if (!at) return NULL;
    at += strlen(name);
    while (*at == ' ' || *at == ':') at++;
    return at;
}

static void keep(const char *body) {
    const char *item = value_of(body, "\"item\""), *due = value_of(body, "\"due_ms\"");
    if (item && due && kept < MOST_KEPT) records[kept++] = (record){atoll(item), strtod(due, NULL), now()};
}

static int answer_get(int fd, const char *path) {
    char head[128], text[32] = "";
    const void *body = text;
    size_t size = 0;
    if (!strncmp(path, "/records", 8)) {
        body = records;
        size = kept * sizeof(record);
    } else if (!strncmp(path, "/count", 6)) {
        size = (size_t)snprintf(text, sizeof text, "%zu", kept);
    } else {
        kept = 0;
    }
    int length = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n", size);
    return send_all(fd, head, (size_t)length) || send_all(fd, body, size);
}

// Answers what is whole and moves the rest to the front. Not 0: the connection is to be closed.
static int answer(int fd, connection *c) {
    char *at = c->bytes, *end = c->bytes + c->filled, *head_end;
    while ((head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
        *head_end = 0;
        const char *length = strcasestr(at, "\r\ncontent-length:");
        int chunked = strcasestr(at, "\r\ntransfer-encoding:") != NULL;
        char *body = head_end + 4;
        size_t size = length ? strtoul(length + 17, NULL, 10) : 0;
        if (chunked || size >= ROOM) {
            send_all(fd, LENGTH_PLEASE, sizeof LENGTH_PLEASE - 1);
            return -1;
        }
        if ((size_t)(end - body) < size) {
            *head_end = '\r';
            break;
        }
        if (!strncmp(at, "GET ", 4)) {
            if (answer_get(fd, at + 4)) return -1;
        } else {
            char next = body[size];
            body[size] = 0;
            keep(body);
            body[size] = next;
            if (send_all(fd, TAKEN, sizeof TAKEN - 1)) return -1;
        }
        at = body + size;
    }
    c->filled = (size_t)(end - at);
    memmove(c->bytes, at, c->filled);
    return c->filled >= ROOM - 1;
}

static void accept_all(int listener, int epoll) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!connections[fd].bytes) connections[fd].bytes = malloc(ROOM);
        connections[fd].filled = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void serve(int fd) {
    connection *c = &connections[fd];
    ssize_t got = read(fd, c->bytes + c->filled, ROOM - 1 - c->filled);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) c->filled += (size_t)got;
    if (got <= 0 || answer(fd, c)) close(fd);
}

int main(void) {
    records = malloc(sizeof(record) * MOST_KEPT);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return 1;
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) accept_all(listener, epoll);
            else serve(events[i].data.fd);
        }
    }
}
