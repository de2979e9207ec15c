/* ops.c - finding operations. */
#include <string.h>

#include "ops.h"

static const struct op *op_at(uint32_t i)
{
    if (i < producer_op_cnt)
        return &producer_ops[i];
    i -= producer_op_cnt;
    if (i < consumer_op_cnt)
        return &consumer_ops[i];
    i -= consumer_op_cnt;
    return i < group_op_cnt ? &group_ops[i] : NULL;
}

const struct op *op_next(const struct op *last)
{
    uint32_t i = 0;
    if (!last)
        return op_at(0);
    while (op_at(i) != last)
        i++;
    return op_at(i + 1);
}

const struct op *op_find(const char *name)
{
    const struct op *op = NULL;
    while ((op = op_next(op)) && strcmp(op->name, name) != 0)
        ;
    return op;
}

uint64_t op_bytes(const struct op *op)
{
    return op->flags & OP_PAYLOAD ? op->arg : 64;
}

bool config_has(const struct config *c, uint32_t flags)
{
    return ((c->op->flags | c->first->flags) & flags) != 0;
}
