/* bars_bridge.c - bars of shmq-bridge. */
#include "bars.h"
#include "bridge_probe.h"

#include <stdio.h>

#define FEED(size_) \
    { \
        .name = "bridge-feed-" size_, \
        .what = \
            "live feed, " size_ " / plain XPUB/SUB sending the same frames", \
        .sense = LAB_AT_LEAST, .limit = 0.9, .unit = "msg/s" \
    }
#define DELIVER(size_, sense_) \
    { \
        .name = "bridge-deliver-" size_, \
        .what = "reliable delivery, records of " size_ \
                " / PUSH/PULL of such batches", \
        .sense = sense_, .limit = 0.9, .unit = "bytes/s" \
    }

static const uint32_t sizes[3] = {64, 1024, 65536};

struct lab_bar lab_bridge_feed_bars[] = {
    FEED("64"), FEED("1K"), FEED("64K"), {0}};
struct lab_bar lab_bridge_deliver_bars[] = {DELIVER("64", LAB_AT_LEAST),
    DELIVER("1K", LAB_AT_LEAST), DELIVER("64K", LAB_AT_LEAST), {0}};
struct lab_bar lab_bridge_publish_bars[] = {
    {.name = "bridge-publish",
        .what = "PUBLISH to PUBACK, 64 B, p50 / DEALER/ROUTER echo",
        .sense = LAB_AT_MOST,
        .limit = 1.2,
        .unit = "ns"},
    {.name = "bridge-curve-publish",
        .what = "the same encrypted / not encrypted",
        .sense = LAB_REPORT,
        .unit = "ns"},
    {.name = "bridge-curve-feed-1K",
        .what = "live feed encrypted, 1 KiB / not encrypted",
        .sense = LAB_REPORT,
        .unit = "msg/s"},
    {.name = "bridge-curve-feed-64K",
        .what = "live feed encrypted, 64 KiB / not encrypted",
        .sense = LAB_REPORT,
        .unit = "msg/s"},
    {0}};

static int usable(struct lab_bar *bars)
{
    const char *missing = lab_bridge_missing();

    for (struct lab_bar *bar = bars; missing && bar->name; bar++)
        snprintf(bar->skipped, sizeof(bar->skipped), "%s", missing);
    return missing == NULL;
}

static void add(struct lab_bar *bar, int rc, const char *error, double ours,
    double reference)
{
    if (rc)
        snprintf(bar->failed, sizeof(bar->failed), "%s", error);
    else
        lab_bar_add(bar, ours, reference);
}

static void feed(
    struct lab_bar *bar, uint32_t size, uint32_t flags, uint32_t against)
{
    char error[192] = "";
    double ours = 0, reference = 0;
    int rc = lab_bridge_feed(size, flags, &ours, error);

    if (rc == 0)
        rc = lab_bridge_feed(size, against, &reference, error);
    add(bar, rc, error, ours, reference);
}

void lab_bridge_feed_measure(struct lab_bar *bars, uint32_t kills)
{
    (void)kills;
    for (int i = 0; i < 3 && usable(bars); i++)
        feed(&bars[i], sizes[i], 0, LAB_BRIDGE_PLAIN);
}

void lab_bridge_deliver_measure(struct lab_bar *bars, uint32_t kills)
{
    (void)kills;
    for (int i = 0; i < 3 && usable(bars); i++) {
        char error[192] = "";
        double ours = 0, reference = 0, batch = 0;
        int rc = lab_bridge_deliver(sizes[i], &ours, &batch, error);

        if (rc == 0)
            rc = lab_bridge_push((uint64_t)batch, &reference, error);
        add(&bars[i], rc, error, ours, reference);
    }
}

void lab_bridge_publish_measure(struct lab_bar *bars, uint32_t kills)
{
    char error[192] = "";
    double ours = 0, plain = 0, curve = 0;
    int rc, rc_curve;

    (void)kills;
    if (!usable(bars))
        return;
    rc = lab_bridge_publish(64, 0, &ours, error);
    if (rc == 0)
        rc = lab_bridge_publish(64, LAB_BRIDGE_PLAIN, &plain, error);
    add(&bars[0], rc, error, ours, plain);
    rc_curve =
        rc ? rc : lab_bridge_publish(64, LAB_BRIDGE_CURVE, &curve, error);
    add(&bars[1], rc_curve, error, curve, ours);
    feed(&bars[2], 1024, LAB_BRIDGE_CURVE, 0);
    feed(&bars[3], 65536, LAB_BRIDGE_CURVE, 0);
}
