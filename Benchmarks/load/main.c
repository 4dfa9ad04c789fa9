// SPDX-License-Identifier: MIT
//
// A load generator for the beanstalk protocol that believes nothing: every byte of every reply is checked, and the first
// wrong one ends the run with a message and exit status 1. See Benchmarks/README.md for what the workloads do.
//
//     cc -O2 -o load *.c
//     ./load --tcp 127.0.0.1:11300 --connections 50 --in-flight 1 --seconds 5

#include "load.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct options options = {.workload_name = "cycle", .connections = 1, .in_flight = 1, .size = 64, .timeout = 10};
struct figures figures;
bool measuring, stopping;

// MARK: Measuring

static double begin, own_cpu, server_cpu;
static uint64_t replies_before;

void measure_begin(void) {
    measuring = true;
    replies_before = reply_count;
    own_cpu = own_cpu_seconds();
    server_cpu = server_cpu_seconds();
    begin = now();
}

void measure_end(void) {
    figures.seconds = now() - begin;
    figures.server_cpu = server_cpu_seconds() - server_cpu;
    figures.own_cpu = own_cpu_seconds() - own_cpu;
    figures.requests = reply_count - replies_before;
    measuring = false;
    stopping = true;
}

static void report_distribution(const char *name, const struct histogram *h) {
    printf(", \"%s\": {\"count\": %" PRIu64 ", \"p50\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}", name, h->total,
        histogram_percentile(h, 0.5), histogram_percentile(h, 0.99), histogram_percentile(h, 0.999), h->longest);
}

static void report(void) {
    double seconds = figures.seconds > 0 ? figures.seconds : 1e-9, share = figures.own_cpu / seconds;
    double requests = (double)figures.requests;
    if (!options.json) {
        printf("%.0f requests/s: %" PRIu64 " in %.3f s; the generator used %.0f %% of a core%s\n", requests / seconds,
            figures.requests, seconds, share * 100, share > 0.95 ? " and may be what limits the figure" : "");
        return;
    }
    printf("{\"workload\": \"%s\", \"transport\": \"%s\", \"connections\": %" PRIu32 ", \"in_flight\": %" PRIu32
           ", \"size\": %" PRIu32 ", \"seconds\": %.6f, \"requests\": %" PRIu64 ", \"requests_per_second\": %.1f"
           ", \"jobs\": %" PRIu64 ", \"jobs_per_second\": %.1f, \"generator_cpu\": %.4f",
        options.workload_name, options.tcp ? "tcp" : "unix", options.connections, options.in_flight, options.size,
        seconds, figures.requests, requests / seconds, figures.jobs, (double)figures.jobs / seconds, share);
    if (options.server)
        printf(", \"server_cpu\": %.4f, \"server_ns_per_request\": %.1f", figures.server_cpu / seconds,
            requests > 0 ? figures.server_cpu * 1e9 / requests : 0);
    if (options.kick) printf(", \"kick_seconds\": %.6f", figures.kick_seconds);
    if (options.workload == HANDOFF) report_distribution("latency_us", &figures.latencies);
    else report_distribution("batch_us", &figures.batches);
    if (options.rate > 0) report_distribution("lateness_us", &figures.lateness);
    puts("}");
}

// MARK: Options

static const char usage[] =
    "usage: load (--tcp HOST:PORT | --unix PATH) [options]\n"
    "  --workload NAME    cycle: P puts, P reserves, P deletes, again; put: puts only; drain: reserve and delete\n"
    "                     until the tube is empty; handoff: producers put, workers wait in reserve; fill: only\n"
    "                     what --fill and --tubes say; hold: open --idle and --waiting connections, say \"ready\"\n"
    "                     and stay until the input ends (cycle)\n"
    "  --connections C    open connections, or producers (1)\n"
    "  --consumers N      workers of the handoff (as many as producers)\n"
    "  --in-flight P      requests sent together on each connection, or jobs of each producer (1)\n"
    "  --rate R           handoff: R puts a second, come what may, instead of one after the other\n"
    "  --size BYTES       of a body, 8 or more (64)\n"
    "  --seconds S        measure for so long (5, unless --requests is given; drain: until empty)\n"
    "  --requests N       measure so many requests, batches are completed\n"
    "  --warmup S         run so long before measuring (0)\n"
    "  --timeout S        give up when no reply comes for so long (10)\n"
    "  --text             bodies that compress about as JSON does, instead of ones that don't\n"
    "  --json             print one JSON object\n"
    "  --server PID       tell how much processor time this process used meanwhile\n"
    "  --floor            the server's replies are canned: check their form only\n"
    "what is there before:\n"
    "  --fill N           N jobs\n"
    "  --fill-as KIND     ready: the run takes them, the oldest first; last: it never gets to them; buried, delayed:\n"
    "                     in a tube of their own (ready)\n"
    "  --tubes T          T tubes with a job each, which the connections share; handoff: T tubes that jobs are put to\n"
    "  --watch L          handoff: each worker watches the first L tubes (all)\n"
    "  --scattered        handoff: each worker watches L tubes of its own\n"
    "  --prepared         all that is there already, from an earlier run\n"
    "  --idle N           hold: N connections that do nothing\n"
    "  --waiting N        hold: N connections that wait for a job of another tube, and get it at the end\n"
    "  --kick             handoff: half-way, kick all jobs of --fill by one command; latencies are those while it goes on\n";

__attribute__((noreturn)) static void refuse(const char *reason) {
    fprintf(stderr, "load: %s\n%s", reason, usage);
    exit(EXIT_USAGE);
}

static double number(const char *text, double least, double most, const char *what) {
    char *end, message[128];
    double value = strtod(text, &end);
    if (end != text && *end == 0 && value >= least && value <= most) return value;
    snprintf(message, sizeof message, "%s must be a number from %.15g to %.15g", what, least, most);
    refuse(message);
}

static uint32_t one_of(const char *text, const char *const *names, const char *message) {
    for (uint32_t i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0) return i;
    refuse(message);
}

static const struct option names[] = {
    {"tcp", 1, 0, 't'}, {"unix", 1, 0, 'u'}, {"workload", 1, 0, 'w'}, {"connections", 1, 0, 'c'},
    {"consumers", 1, 0, 'C'}, {"in-flight", 1, 0, 'p'}, {"rate", 1, 0, 'r'}, {"size", 1, 0, 's'}, {"seconds", 1, 0, 'd'},
    {"requests", 1, 0, 'n'}, {"warmup", 1, 0, 'a'}, {"timeout", 1, 0, 'o'}, {"text", 0, 0, 'x'}, {"json", 0, 0, 'j'},
    {"server", 1, 0, 'S'}, {"floor", 0, 0, 'F'}, {"fill", 1, 0, 'f'}, {"fill-as", 1, 0, 'k'}, {"tubes", 1, 0, 'T'},
    {"watch", 1, 0, 'W'}, {"scattered", 0, 0, 'R'}, {"idle", 1, 0, 'i'}, {"waiting", 1, 0, 'I'}, {"kick", 0, 0, 'K'},
    {"prepared", 0, 0, 'P'},
    {"help", 0, 0, 'h'}, {0, 0, 0, 0},
};
static const char *const workloads[] = {"cycle", "put", "drain", "handoff", "fill", "hold", NULL};
static const char *const fills[] = {"ready", "last", "buried", "delayed", NULL};

static void take_option(int option) {
    switch (option) {
    case 't': options.tcp = optarg; break;
    case 'u': options.unix_path = optarg; break;
    case 'w':
        options.workload_name = optarg;
        options.workload = one_of(optarg, workloads, "--workload must be cycle, put, drain, handoff, fill or hold");
        break;
    case 'c': options.connections = (uint32_t)number(optarg, 1, 100000, "--connections"); break;
    case 'C': options.consumers = (uint32_t)number(optarg, 1, 100000, "--consumers"); break;
    case 'p': options.in_flight = (uint32_t)number(optarg, 1, 10000, "--in-flight"); break;
    case 'r': options.rate = number(optarg, 1, 1e7, "--rate"); break;
    case 's': options.size = (uint32_t)number(optarg, BODY_MIN, 1 << 30, "--size"); break;
    case 'd': options.seconds = number(optarg, 0.001, 1e6, "--seconds"); break;
    case 'n': options.requests = (uint64_t)number(optarg, 1, 1e15, "--requests"); break;
    case 'a': options.warmup = number(optarg, 0, 1e6, "--warmup"); break;
    case 'o': options.timeout = number(optarg, 0.001, 1e6, "--timeout"); break;
    case 'x': options.text = true; break;
    case 'j': options.json = true; break;
    case 'S': options.server = (pid_t)number(optarg, 1, 1 << 30, "--server"); break;
    case 'F': options.floor = true; break;
    case 'f': options.fill = (uint64_t)number(optarg, 1, 1e9, "--fill"); break;
    case 'k':
        options.fill_as = (enum fill_as)one_of(optarg, fills, "--fill-as must be ready, last, buried or delayed");
        break;
    case 'T': options.tubes = (uint32_t)number(optarg, 1, 1e6, "--tubes"); break;
    case 'W': options.watch = (uint32_t)number(optarg, 1, 1e6, "--watch"); break;
    case 'R': options.scattered = true; break;
    case 'i': options.idle = (uint32_t)number(optarg, 1, 100000, "--idle"); break;
    case 'I': options.waiting = (uint32_t)number(optarg, 1, 100000, "--waiting"); break;
    case 'K': options.kick = true; break;
    case 'P': options.prepared = true; break;
    case 'h': fputs(usage, stdout); exit(0);
    default: refuse("unknown option");
    }
}

static void parse(int count, char **arguments) {
    int option;
    while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) take_option(option);
    bool is_handoff = options.workload == HANDOFF;
    if (optind < count) refuse("no other arguments are taken");
    if (!options.tcp == !options.unix_path) refuse("one of --tcp and --unix is needed");
    if (!is_handoff && (options.consumers || options.rate > 0 || options.watch || options.scattered || options.kick))
        refuse("--consumers, --rate, --watch, --scattered and --kick are of the handoff");
    if (is_handoff && (options.requests || options.prepared)) refuse("--requests and --prepared are not of the handoff");
    if (options.workload != HOLD && (options.idle || options.waiting)) refuse("--idle and --waiting are of hold");
    if (options.kick && (options.fill == 0 || options.fill_as < FILL_BURIED))
        refuse("--kick wants --fill, and --fill-as buried or delayed");
    if (options.floor && (options.fill || options.tubes || options.waiting || is_handoff))
        refuse("a floor holds no jobs");
    if (!options.seconds && !options.requests && options.workload != DRAIN) options.seconds = 5;
    if (is_handoff && !options.consumers) options.consumers = options.connections;
    if (!options.watch || options.watch > options.tubes) options.watch = options.tubes;
}

// A job is under way until both of its replies were seen: C x P at most wait for a reserve, as many for INSERTED.
static uint32_t most_jobs(void) {
    uint64_t jobs = (uint64_t)options.connections * options.in_flight * 2 + options.fill;
    // At a given rate there may be any number; beyond this the server cannot do it.
    if (options.rate > 0) jobs += 1 << 20;
    if (jobs >= 1 << 24) refuse("--fill, and twice --connections times --in-flight, must be less than 16777216 together");
    return (uint32_t)jobs;
}

// As many connections as may be.
static void allow_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **arguments) {
    parse(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    jobs_prepare(most_jobs());
    body_prepare();
    connections_prepare();
    if (options.workload == HOLD) {
        hold_run();
        return 0;
    }
    if (!options.prepared) fill_run();
    if (options.workload == FILL) return 0;
    if (options.workload == HANDOFF) handoff_run();
    else batch_run();
    report();
    return 0;
}
