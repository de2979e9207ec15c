/* feed.c - plays a small history into the checker, in order of time. */
#include <stdlib.h>

#include "history/checker/small.h"

struct point {
    uint64_t at;
    uint32_t op;
    bool end;
};

static int by_time(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (int)x->end - (int)y->end;
}

void small_check(const struct small *h, struct hist_verdict *ret)
{
    struct point points[2 * SMALL_OP_MAX];
    struct hist_open opens[SMALL_OP_MAX];
    struct hist_check *c = hist_check_new(&h->config);
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->cnt; i++) {
        const struct hist_op *op = &h->ops[i];
        points[cnt++] = (struct point){op->inv_ns, i, false};
        points[cnt++] = (struct point){
            op->result == HIST_UNKNOWN ? SMALL_NEVER : op->ret_ns, i, true};
    }
    qsort(points, cnt, sizeof(points[0]), by_time);
    for (uint32_t i = 0; i < cnt; i++) {
        const struct hist_op *op = &h->ops[points[i].op];
        if (points[i].end)
            hist_check_end(c, op, &opens[points[i].op]);
        else
            hist_check_begin(c, op, &opens[points[i].op]);
    }
    hist_check_finish(c, ret);
}
