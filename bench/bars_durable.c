/* bars_durable.c - bars of durable topics. */
#include "bars.h"
#include "durable.h"
#include "durable_log.h"

#include <stdio.h>
#include <string.h>

enum { TRIP, IN_FLIGHT, CROWD, COST_P50, COST_CPU, BARS };

struct lab_bar lab_durable_bars[] = {
    [TRIP] = {.name = "durable-round-trip",
        .what = "p50, publish to durable / bare 4 KiB write + fdatasync",
        .sense = LAB_AT_MOST,
        .limit = 1.2,
        .unit = "ns"},
    [IN_FLIGHT] = {.name = "durable-in-flight-64",
        .what = "durable records/s, 64 in flight / one at a time",
        .sense = LAB_AT_LEAST,
        .limit = 20,
        .unit = "msg/s"},
    [CROWD] = {.name = "durable-processes-64",
        .what = "durable records/s, 64 waiting processes / one",
        .sense = LAB_AT_LEAST,
        .limit = 10,
        .unit = "msg/s"},
    [COST_P50] = {.name = "durable-publish-p50",
        .what = "p50 of a 1 KiB publish at half the disk's rate / in memory",
        .sense = LAB_AT_MOST,
        .limit = 1.1,
        .unit = "ns"},
    [COST_CPU] = {.name = "durable-publish-cpu",
        .what = "processor time of such a publish / in memory",
        .sense = LAB_AT_MOST,
        .limit = 1.1,
        .unit = "ns"},
    {0}};

static void fail(struct lab_bar *bars, const char *error)
{
    for (int i = 0; i < BARS; i++)
        snprintf(bars[i].failed, sizeof(bars[i].failed), "%s", error);
}

void lab_durable_measure(struct lab_bar *bars, uint32_t kills)
{
    struct lab_daemon daemon;
    struct lab_round_trip trip;
    struct lab_durable_rates rates;
    struct lab_durable_cost cost;
    char error[192] = "";

    (void)kills;
    if (lab_daemon_start(&daemon, error)) {
        for (int i = 0; i < BARS; i++)
            snprintf(bars[i].skipped, sizeof(bars[i].skipped), "%.150s", error);
        return;
    }
    if (lab_durable_round_trip(&daemon, &trip, error) ||
        lab_durable_rates(&daemon, &rates, error) ||
        lab_durable_cost(&daemon, &cost, error)) {
        fail(bars, error);
    } else {
        lab_bar_add(&bars[TRIP], trip.durable_ns, trip.bare_ns);
        lab_bar_add(&bars[IN_FLIGHT], rates.in_flight_64, rates.one);
        lab_bar_add(&bars[CROWD], rates.processes_64, rates.one);
        lab_bar_add(&bars[COST_P50], cost.p50_ns, cost.memory_p50_ns);
        lab_bar_add(&bars[COST_CPU], cost.cpu_ns, cost.memory_cpu_ns);
    }
    lab_daemon_stop(&daemon);
}

/* --- the log -------------------------------------------------------------- */

enum { DRAIN, SCAN, CATCH_UP, LOG_BARS };

struct lab_bar lab_durable_log_bars[] = {
    [DRAIN] = {.name = "durable-drain",
        .what = "1 KiB records to durable, bytes/s / fio's best direct write",
        .sense = LAB_AT_LEAST,
        .limit = 0.9,
        .unit = "B/s"},
    [SCAN] = {.name = "durable-recovery-scan",
        .what = "recovery's scan, bytes/s / fio's best direct read",
        .sense = LAB_AT_LEAST,
        .limit = 0.8,
        .unit = "B/s"},
    [CATCH_UP] = {.name = "durable-catch-up",
        .what = "history from the page cache, bytes/s / read + CRC-32C",
        .sense = LAB_AT_LEAST,
        .limit = 0.5,
        .unit = "B/s"},
    {0}};

void lab_durable_log_measure(struct lab_bar *bars, uint32_t kills)
{
    struct lab_daemon daemon;
    struct lab_log_rates rates;
    char error[192] = "";

    (void)kills;
    int rc = lab_daemon_start(&daemon, error) ? 1 : 0;
    if (!rc) {
        rc = lab_durable_log(&daemon, &rates, error);
        lab_daemon_stop(&daemon);
    }
    for (int i = 0; rc && i < LOG_BARS; i++) {
        struct lab_bar *bar = &bars[i];
        snprintf(rc > 0 ? bar->skipped : bar->failed, sizeof(bar->skipped),
            "%.150s", error);
    }
    if (rc)
        return;
    lab_bar_add(&bars[DRAIN], rates.drain, rates.fio_write);
    lab_bar_add(&bars[SCAN], rates.scan, rates.fio_read);
    lab_bar_add(&bars[CATCH_UP], rates.catch_up, rates.read_crc);
}
