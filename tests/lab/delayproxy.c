/*
 * A TCP proxy that makes loopback look far away: what is read is passed on half a round trip later, in both
 * directions, without a limit on throughput unless one is given. A test tool: one process, one thread, epoll.
 *
 *   delayproxy [--rtt MS] [--rate BYTES] [--buffer BYTES] [--stats FILE] [--cut DIR:BYTES | --stall DIR:BYTES] [--times N]
 *              [--no-handshake] [LISTEN_HOST:]PORT=TARGET_HOST:PORT ...
 *
 * PORT 0 takes a free one. One line with the port is printed per listener, in their order.
 * A connection takes a round trip to open, as a real one does, unless --no-handshake is given: the client's kernel
 * thinks that it is connected at once, but its bytes are taken up only after that time, and the target sees the
 * connection half a round trip later still.
 * --rate makes each listener a line that carries so many bytes a second in each direction, all its connections together: they come
 * out evenly, a few at a time, and what is in front of a full line is not read.
 * DIR is "up" (client to server) or "down". --cut resets both ends when BYTES have passed that way, --stall passes nothing more in
 * any direction; both on the first --times connections (0, the default: on all).
 * SIGHUP writes the statistics; SIGUSR1 resets all connections; SIGUSR2 stalls everything until the next SIGUSR2;
 * SIGTERM writes the statistics and ends. The death of the parent ends it, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define LINE_PIECE_NS 2000000u          /* read at a time, with --rate: what the line carries in so long ... */
#define LINE_PIECE_MIN 1448u            /* ... or a segment */
#define LINE_QUEUE_NS 40000000u         /* what waits in front of a full line */

enum dir { UP, DOWN };                  /* client to server, server to client */
enum kind { LISTENER, END, SIGNALS };
enum what { DATA, FIN, RESET, OPEN_CLIENT, OPEN_SERVER };

/* Everything that waits for its time. One queue per length of wait, and with --rate one per line, so that each queue is in order of time. */
struct item {
    struct item *later, *sooner;        /* in the queue of waiting items */
    struct item *next;                  /* in the lane, behind this one */
    struct conn *conn;
    struct queue *queue;
    enum what what;
    enum dir dir;
    uint64_t due;
    size_t len, off;
    bool waiting;
    unsigned char data[];
};

struct queue {
    struct item *first, *last;
};

/* One direction of a connection: items in order, the first `ready` of which may be passed on. */
struct lane {
    struct item *first, *last;
    unsigned ready;
    size_t held;
    uint64_t passed, taken;
    bool source_done, target_done, blocked;
};

struct end {
    enum kind kind;
    struct conn *conn;
    int fd;
    uint32_t mask;
    bool added, gone;
};

struct conn {
    struct conn *prev, *next, *dead_next;
    struct end end[2];                  /* [UP]: the client's socket, [DOWN]: the server's; named by what is read there */
    struct lane lane[2];
    struct listener *listener;
    uint64_t opened, closed, turns;
    unsigned number;
    enum dir last;
    bool reading, connecting, dead, stalled;
};

/* One direction of what a listener stands for, with --rate. */
struct line {
    struct queue queue;
    uint64_t free_at;                   /* when all that was taken in will have gone out */
    bool full;
};

struct listener {
    enum kind kind;
    int fd;
    struct listener *next;
    struct line line[2];
    struct sockaddr_storage target;
    socklen_t target_len;
    int port;
};

static struct {
    int epoll, signals;
    uint64_t half, full, now, rate;
    struct listener *listeners;
    size_t buffer, buffered;
    const char *stats;
    int limit_dir;                      /* -1: none */
    bool limit_cuts, stalled, stop;
    uint64_t limit_bytes;
    unsigned times, count, dumps;
    struct queue halves, fulls;
    struct conn *open, *past, *dead;
} g = {.limit_dir = -1, .buffer = 64u << 20};

static unsigned char scratch[READ_SIZE];

static void die(const char *what) {
    fprintf(stderr, "delayproxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- waiting items ------------------------------------------------------------------------------------------------ */

static struct item *item_new(struct conn *c, enum what what, enum dir dir, const void *data, size_t len) {
    struct item *i = malloc(sizeof *i + len);
    if (!i)
        die("memory");
    memset(i, 0, sizeof *i);
    i->conn = c;
    i->what = what;
    i->dir = dir;
    i->len = len;
    if (len)
        memcpy(i->data, data, len);
    return i;
}

static void wait_until(struct item *i, struct queue *q, uint64_t due) {
    i->due = due;
    i->queue = q;
    i->waiting = true;
    i->sooner = q->last;
    i->later = NULL;
    if (q->last)
        q->last->later = i;
    else
        q->first = i;
    q->last = i;
}

static void wait_no_more(struct item *i) {
    struct queue *q = i->queue;
    if (!i->waiting)
        return;
    i->waiting = false;
    if (i->sooner)
        i->sooner->later = i->later;
    else
        q->first = i->later;
    if (i->later)
        i->later->sooner = i->sooner;
    else
        q->last = i->sooner;
}

/* --- connections --------------------------------------------------------------------------------------------------- */

static void watch(struct end *e, uint32_t mask) {
    struct epoll_event event = {.events = mask, .data.ptr = e};
    if (e->fd < 0 || e->gone || (e->added && e->mask == mask))
        return;
    if (epoll_ctl(g.epoll, e->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, e->fd, &event) != 0)
        die("epoll_ctl");
    e->added = true;
    e->mask = mask;
}

static bool is_stalled(const struct conn *c) {
    return c->stalled || g.stalled;
}

static void rewatch(struct conn *c) {
    for (int i = 0; i < 2; i++) {
        struct lane *in = &c->lane[i], *out = &c->lane[!i];
        uint32_t mask = 0;
        if (c->dead)
            return;
        if (c->reading && !in->source_done && in->held < g.buffer && !is_stalled(c) && !c->listener->line[i].full &&
            !(i == DOWN && c->connecting))
            mask |= EPOLLIN;
        if (out->blocked || (i == DOWN && c->connecting))
            mask |= EPOLLOUT;
        watch(&c->end[i], mask);
    }
}

static void lane_drop(struct lane *l) {
    struct item *i, *next;
    for (i = l->first; i; i = next) {
        next = i->next;
        wait_no_more(i);
        free(i);
    }
    l->first = l->last = NULL;
    l->ready = 0;
    l->held = 0;
}

static void conn_close(struct conn *c, bool reset) {
    struct linger abort_it = {.l_onoff = 1, .l_linger = 0};
    if (c->dead)
        return;
    c->dead = true;
    c->closed = g.now;
    for (int i = 0; i < 2; i++) {
        lane_drop(&c->lane[i]);
        if (c->end[i].fd < 0)
            continue;
        if (reset)
            setsockopt(c->end[i].fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it);
        close(c->end[i].fd);
        c->end[i].fd = -1;
    }
    for (struct item *i = g.fulls.first, *later; i; i = later) {
        later = i->later;
        if (i->conn == c) {
            wait_no_more(i);
            free(i);
        }
    }
    for (struct item *i = g.halves.first, *later; i; i = later) {
        later = i->later;
        if (i->conn == c) {
            wait_no_more(i);
            free(i);
        }
    }
    if (c->prev)
        c->prev->next = c->next;
    else
        g.open = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->dead_next = g.dead;
    g.dead = c;
}

/* How many more bytes may pass in this direction before the wanted fault; SIZE_MAX for all. */
static size_t allowance(const struct conn *c, enum dir dir) {
    if (g.limit_dir != (int)dir || (g.times && c->number > g.times))
        return SIZE_MAX;
    return g.limit_bytes > c->lane[dir].passed ? (size_t)(g.limit_bytes - c->lane[dir].passed) : 0;
}

/* Counts what went out; false when the connection is no more. */
static bool passed(struct conn *c, enum dir dir, size_t n) {
    c->lane[dir].passed += n;
    if (dir == DOWN && n)
        c->last = DOWN;                 /* seen from the client: it has got an answer */
    if (allowance(c, dir) > 0)
        return true;
    if (g.limit_cuts) {
        conn_close(c, true);
        return false;
    }
    c->stalled = true;
    return true;
}

static ssize_t put(struct conn *c, enum dir dir, const unsigned char *data, size_t len) {
    size_t most = allowance(c, dir);
    ssize_t n = send(c->end[!dir].fd, data, len < most ? len : most, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return n;
}

/* Passes on what is ready; false when the connection is no more. */
static bool flush(struct conn *c, enum dir dir) {
    struct lane *l = &c->lane[dir];
    l->blocked = false;
    if (dir == UP && (c->connecting || c->end[DOWN].fd < 0))
        return true;
    while (l->ready && !is_stalled(c)) {
        struct item *i = l->first;
        if (i->what == RESET) {
            conn_close(c, true);
            return false;
        }
        if (i->what == FIN) {
            shutdown(c->end[!dir].fd, SHUT_WR);
            l->target_done = true;
            if (c->lane[!dir].target_done) {
                conn_close(c, false);
                return false;
            }
        } else if (i->off < i->len) {
            ssize_t n = put(c, dir, i->data + i->off, i->len - i->off);
            if (n < 0) {
                conn_close(c, true);
                return false;
            }
            i->off += (size_t)n;
            l->held -= (size_t)n;
            if (!passed(c, dir, (size_t)n))
                return false;
            if (i->off < i->len) {
                l->blocked = !is_stalled(c);
                return true;
            }
        }
        l->first = i->next;
        if (!l->first)
            l->last = NULL;
        l->ready--;
        free(i);
    }
    return true;
}

static void rewatch_line(const struct listener *l) {
    for (struct conn *c = g.open; c; c = c->next)
        if (c->listener == l)
            rewatch(c);
}

/* Puts it in front of the line. */
static void queue_in_line(struct conn *c, struct item *i) {
    struct line *line = &c->listener->line[i->dir];
    uint64_t begin = line->free_at > g.now ? line->free_at : g.now;
    line->free_at = begin + (uint64_t)i->len * 1000000000u / g.rate;
    wait_until(i, &line->queue, line->free_at + g.half);
    if (!line->full && line->free_at > g.now + LINE_QUEUE_NS) {
        line->full = true;
        rewatch_line(c->listener);
    }
}

static void append(struct conn *c, enum dir dir, enum what what, const void *data, size_t len) {
    struct lane *l = &c->lane[dir];
    struct item *i = item_new(c, what, dir, data, len);
    if (l->last)
        l->last->next = i;
    else
        l->first = i;
    l->last = i;
    l->held += len;
    if (g.rate)
        queue_in_line(c, i);
    else if (g.half)
        wait_until(i, &g.halves, g.now + g.half);
    else
        l->ready++;
}

static size_t piece_size(void) {
    uint64_t piece = g.rate * LINE_PIECE_NS / 1000000000u;
    if (!g.rate || piece > sizeof scratch)
        return sizeof scratch;
    return piece > LINE_PIECE_MIN ? (size_t)piece : LINE_PIECE_MIN;
}

static void take(struct conn *c, enum dir dir) {
    struct lane *l = &c->lane[dir];
    ssize_t n = recv(c->end[dir].fd, scratch, piece_size(), 0);
    size_t done = 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        l->source_done = true;
        append(c, dir, n < 0 ? RESET : FIN, NULL, 0);
    } else {
        l->taken += (uint64_t)n;
        if (dir == UP && c->last == DOWN) {
            c->turns++;
            c->last = UP;
        }
        /* Without a delay most bytes need no place to wait. */
        if (!g.half && !g.rate && !l->first && !is_stalled(c) && !(dir == UP && (c->connecting || c->end[DOWN].fd < 0))) {
            ssize_t sent = put(c, dir, scratch, (size_t)n);
            if (sent < 0) {
                conn_close(c, true);
                return;
            }
            done = (size_t)sent;
            if (!passed(c, dir, done))
                return;
        }
        if (done < (size_t)n)
            append(c, dir, DATA, scratch + done, (size_t)n - done);
    }
    if (flush(c, dir))
        rewatch(c);
}

static void open_server(struct conn *c) {
    struct listener *l = c->listener;
    int one = 1;
    int fd = socket(l->target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->end[DOWN].fd = fd;
    if (connect(fd, (struct sockaddr *)&l->target, l->target_len) != 0) {
        if (errno != EINPROGRESS) {
            conn_close(c, true);
            return;
        }
        c->connecting = true;
    }
    rewatch(c);
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->end[DOWN].fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        conn_close(c, true);
        return;
    }
    c->connecting = false;
    if (flush(c, UP))
        rewatch(c);
}

static void accept_one(struct listener *l) {
    int one = 1;
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        die("memory");
    *c = (struct conn){.listener = l, .opened = g.now, .number = ++g.count, .last = DOWN, .next = g.open};
    c->end[UP] = (struct end){.kind = END, .conn = c, .fd = fd};
    c->end[DOWN] = (struct end){.kind = END, .conn = c, .fd = -1};
    if (g.open)
        g.open->prev = c;
    g.open = c;
    if (g.full) {
        wait_until(item_new(c, OPEN_CLIENT, UP, NULL, 0), &g.fulls, g.now + g.full);
        watch(&c->end[UP], 0);
    } else {
        c->reading = true;
        open_server(c);
    }
}

/* --- time ----------------------------------------------------------------------------------------------------------- */

static void run_due(struct queue *q) {
    struct item *i;
    while ((i = q->first) && i->due <= g.now) {
        struct conn *c = i->conn;
        enum what what = i->what;
        enum dir dir = i->dir;
        wait_no_more(i);
        if (what == OPEN_CLIENT) {
            free(i);
            c->reading = true;
            wait_until(item_new(c, OPEN_SERVER, UP, NULL, 0), &g.halves, g.now + g.half);
            rewatch(c);
        } else if (what == OPEN_SERVER) {
            free(i);
            open_server(c);
        } else {
            c->lane[dir].ready++;
            if (flush(c, dir))
                rewatch(c);
        }
    }
}

/* Takes up again what a full line had stopped. */
static void run_lines(void) {
    for (struct listener *l = g.listeners; l; l = l->next)
        for (int dir = 0; dir < 2; dir++) {
            struct line *line = &l->line[dir];
            run_due(&line->queue);
            if (line->full && line->free_at <= g.now + LINE_QUEUE_NS) {
                line->full = false;
                rewatch_line(l);
            }
        }
}

static uint64_t earliest(const struct queue *q, uint64_t due) {
    return q->first && q->first->due < due ? q->first->due : due;
}

static int next_due(struct timespec *t) {
    uint64_t due = earliest(&g.fulls, earliest(&g.halves, UINT64_MAX));
    for (struct listener *l = g.listeners; l; l = l->next)
        for (int dir = 0; dir < 2; dir++) {
            struct line *line = &l->line[dir];
            due = earliest(&line->queue, due);
            if (line->full && line->free_at - LINE_QUEUE_NS < due)
                due = line->free_at - LINE_QUEUE_NS;
        }
    if (due == UINT64_MAX)
        return 0;
    due = due > g.now ? due - g.now : 0;
    t->tv_sec = (time_t)(due / 1000000000u);
    t->tv_nsec = (long)(due % 1000000000u);
    return 1;
}

/* --- statistics and signals ----------------------------------------------------------------------------------------- */

static void write_list(FILE *f, const struct conn *c, bool open, bool *first, bool by_death) {
    for (; c; c = by_death ? c->dead_next : c->next) {
        fprintf(f, "%s\n  {\"connection\": %u, \"listener\": %d, \"open\": %s, \"up\": %llu, \"down\": %llu, "
                "\"turns\": %llu, \"seconds\": %.6f}", *first ? "" : ",", c->number, c->listener->port,
                open ? "true" : "false", (unsigned long long)c->lane[UP].passed,
                (unsigned long long)c->lane[DOWN].passed, (unsigned long long)c->turns,
                (double)((open ? g.now : c->closed) - c->opened) / 1e9);
        *first = false;
    }
}

static void write_stats(void) {
    char fresh[4096];
    bool first = true;
    if (!g.stats)
        return;
    snprintf(fresh, sizeof fresh, "%s.new", g.stats);
    FILE *f = fopen(fresh, "w");
    if (!f)
        return;
    fprintf(f, "{\"dump\": %u, \"rtt_ms\": %.3f, \"connections\": [", ++g.dumps, (double)g.half * 2 / 1e6);
    write_list(f, g.past, false, &first, true);
    write_list(f, g.open, true, &first, false);
    fprintf(f, "\n]}\n");
    fclose(f);
    rename(fresh, g.stats);
}

static void bury(void) {
    while (g.dead) {
        struct conn *c = g.dead;
        g.dead = c->dead_next;
        if (g.stats) {
            c->dead_next = g.past;
            g.past = c;
        } else {
            free(c);
        }
    }
}

static void on_signal(void) {
    struct signalfd_siginfo info;
    while (read(g.signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            write_stats();
        } else if (info.ssi_signo == SIGUSR1) {
            while (g.open)
                conn_close(g.open, true);
        } else if (info.ssi_signo == SIGUSR2) {
            g.stalled = !g.stalled;
            for (struct conn *c = g.open, *next; c; c = next) {
                next = c->next;
                if (flush(c, UP) && flush(c, DOWN))
                    rewatch(c);
            }
        } else {
            g.stop = true;
        }
    }
}

/* --- start ------------------------------------------------------------------------------------------------------------ */

static void resolve(char *text, struct sockaddr_storage *out, socklen_t *len, bool listen) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *found;
    char *colon = strrchr(text, ':');
    const char *host = "127.0.0.1", *port = text;
    if (colon) {
        *colon = 0;
        host = text;
        port = colon + 1;
    } else if (!listen) {
        fprintf(stderr, "delayproxy: target without a port: %s\n", text);
        exit(64);
    }
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        fprintf(stderr, "delayproxy: no such address: %s:%s\n", host, port);
        exit(64);
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
}

static void listen_on(char *text) {
    struct listener *l = calloc(1, sizeof *l);
    struct sockaddr_storage here;
    socklen_t len;
    int one = 1;
    char *equals = strchr(text, '=');
    if (!l || !equals) {
        fprintf(stderr, "delayproxy: not PORT=HOST:PORT: %s\n", text);
        exit(64);
    }
    *equals = 0;
    resolve(text, &here, &len, true);
    resolve(equals + 1, &l->target, &l->target_len, false);
    l->kind = LISTENER;
    l->next = g.listeners;
    g.listeners = l;
    l->fd = socket(here.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&here, len) != 0 || listen(l->fd, 4096) != 0)
        die("listen");
    len = sizeof here;
    getsockname(l->fd, (struct sockaddr *)&here, &len);
    l->port = ntohs(here.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&here)->sin6_port
                                               : ((struct sockaddr_in *)&here)->sin_port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
    if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, l->fd, &event) != 0)
        die("epoll_ctl");
    printf("%d\n", l->port);
}

static void limit(const char *text, bool cuts) {
    const char *colon = strchr(text, ':');
    g.limit_dir = strncmp(text, "down", 4) == 0 ? DOWN : UP;
    g.limit_bytes = colon ? strtoull(colon + 1, NULL, 10) : 0;
    g.limit_cuts = cuts;
}

static int options(int argc, char **argv) {
    int i;
    bool handshake = true;
    for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2, *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "no-handshake") == 0) {
            handshake = false;
            continue;
        }
        i++;
        if (strcmp(name, "rtt") == 0)
            g.half = (uint64_t)(strtod(value, NULL) * 1e6 / 2);
        else if (strcmp(name, "rate") == 0)
            g.rate = strtoull(value, NULL, 10);
        else if (strcmp(name, "buffer") == 0)
            g.buffer = strtoull(value, NULL, 10);
        else if (strcmp(name, "stats") == 0)
            g.stats = value;
        else if (strcmp(name, "cut") == 0 || strcmp(name, "stall") == 0)
            limit(value, name[0] == 'c');
        else if (strcmp(name, "times") == 0)
            g.times = (unsigned)strtoul(value, NULL, 10);
        else
            return argc;
    }
    g.full = handshake ? 2 * g.half : 0;
    return i;
}

static void prepare(void) {
    static struct end signals = {.kind = SIGNALS};
    struct rlimit files;
    sigset_t set;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &signals};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    sigemptyset(&set);
    for (size_t i = 0; i < 5; i++)
        sigaddset(&set, (int[]){SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGINT}[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    g.epoll = epoll_create1(EPOLL_CLOEXEC);
    g.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (g.epoll < 0 || g.signals < 0 || epoll_ctl(g.epoll, EPOLL_CTL_ADD, g.signals, &event) != 0)
        die("epoll");
}

static void on_event(const struct epoll_event *event) {
    struct end *e = event->data.ptr;
    if (e->kind == SIGNALS) {
        on_signal();
    } else if (e->kind == LISTENER) {
        accept_one(event->data.ptr);
    } else {
        struct conn *c = e->conn;
        enum dir in = e == &c->end[DOWN] ? DOWN : UP;
        bool trouble = event->events & (EPOLLERR | EPOLLHUP);
        if (c->dead)
            return;
        if (in == DOWN && c->connecting) {
            connected(c);
            return;
        }
        if ((event->events & EPOLLOUT) && flush(c, !in))
            rewatch(c);
        if (!c->dead && (event->events & EPOLLIN))
            take(c, in);
        else if (!c->dead && trouble && c->lane[in].source_done) {
            e->gone = true;             /* closed both ways; what it said last may still wait for its time */
            epoll_ctl(g.epoll, EPOLL_CTL_DEL, e->fd, NULL);
            if (!c->lane[in].first)
                conn_close(c, true);
        }
        else if (!c->dead && trouble && !(e->mask & EPOLLIN)) {
            if (is_stalled(c) || !c->reading)
                conn_close(c, true);
            else
                take(c, in);            /* paused, but gone: else epoll would tell again and again */
        }
    }
}

int main(int argc, char **argv) {
    int first = options(argc, argv);
    if (first >= argc) {
        fprintf(stderr, "usage: delayproxy [--rtt MS] [--rate BYTES] [--buffer BYTES] [--stats FILE] [--cut DIR:BYTES] "
                "[--stall DIR:BYTES] [--times N] [--no-handshake] [HOST:]PORT=HOST:PORT...\n");
        return 64;
    }
    if (!getenv("DELAYPROXY_DETACHED"))
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    prepare();
    for (int i = first; i < argc; i++)
        listen_on(argv[i]);
    fflush(stdout);
    while (!g.stop) {
        struct epoll_event events[256];
        struct timespec wait;
        g.now = clock_ns();
        int n = epoll_pwait2(g.epoll, events, 256, next_due(&wait) ? &wait : NULL, NULL);
        g.now = clock_ns();
        for (int i = 0; i < n; i++)
            on_event(&events[i]);
        run_due(&g.fulls);
        run_due(&g.halves);
        run_lines();
        bury();
    }
    write_stats();
    return 0;
}
