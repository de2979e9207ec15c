/* selftest_numbers.c - known answers of histogram, rank tests and clock; and
 * how each check is told. */
#include "selftest.h"

#include "clock.h"
#include "stats.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int lab_check(const char *name, int ok, const char *format, ...)
{
    va_list args;

    printf("CHECK %s: %s, ", name, ok ? "ok" : "FAILED");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    return ok ? 0 : 1;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

#define CNT 200000

/* Quantiles of a histogram against those of the sorted values. */
static int check_histogram(void)
{
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
    static struct lab_hist hist;
    uint64_t *values = calloc(CNT, sizeof(*values));
    uint64_t x = 88172645463325252u;
    double worst = 0.0;

    if (!values)
        return 1;
    lab_hist_reset(&hist);
    for (int i = 0; i < CNT; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        values[i] = 20000 + (x >> (24 + (x & 31)));
        lab_hist_record(&hist, values[i]);
    }
    qsort(values, CNT, sizeof(*values), ascending);
    for (int i = 0; i < 5; i++) {
        double exact = (double)values[(int)(quantiles[i] * CNT)];
        double off = fabs(lab_hist_quantile(&hist, quantiles[i]) / exact - 1.0);

        worst = fmax(worst, off);
    }
    free(values);
    return lab_check("histogram", worst < 0.005,
        "quantiles of %d values within %.3f %%", CNT, worst * 100.0);
}

/* Known probabilities of the rank tests: 5 against 5 without overlap is
 * 2/252; 8 differences of one sign are 2/256; 1, 2, -3: four of the eight
 * choices of signs sum up to 3 or less on one side, so 2 * 4/8. */
static int check_rank_test(void)
{
    static const double low[] = {1, 2, 3, 4, 5}, high[] = {6, 7, 8, 9, 10};
    static const double mixed[] = {1.5, 2.5, 3.5, 4.5, 0.5};
    double apart = lab_rank_test(low, 5, high, 5);
    double same = lab_rank_test(low, 5, mixed, 5);
    static const double up[] = {1, 2, 3, 4, 5, 6, 7, 8}, both[] = {1, 2, -3};
    double signs = lab_signed_rank_test(up, 8);
    double no_signs = lab_signed_rank_test(both, 3);

    return lab_check("rank-test",
        fabs(apart - 2.0 / 252.0) < 1e-9 && same > 0.5 &&
            fabs(signs - 2.0 / 256.0) < 1e-9 && fabs(no_signs - 1.0) < 1e-9,
        "p %.5f apart, %.3f mixed; signs %.5f one way, %.3f both", apart, same,
        signs, no_signs);
}

static int check_clock(void)
{
    const char *doubt;

    lab_clock_check();
    doubt = lab_clock_doubt();
    return lab_check("clock", doubt == NULL,
        "%s, drift %.2f ppm, skew %.0f ns (known to %.0f)%s%s",
        lab_clock.source, lab_clock.drift_ppm, lab_clock.skew_ns,
        lab_clock.skew_bound_ns, doubt ? ": " : "", doubt ? doubt : "");
}

int lab_selftest_numbers(void)
{
    return check_histogram() + check_rank_test() + check_clock();
}
