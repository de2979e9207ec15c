/* ops.c - finding operations. */
#include <string.h>

#include "ops.h"

static const struct op *op_at(uint32_t i)
{
    const struct {
        const struct op *ops;
        uint32_t cnt;
    } all[] = {{producer_ops, producer_op_cnt}, {consumer_ops, consumer_op_cnt},
        {group_ops, group_op_cnt}, {retry_ops, retry_op_cnt},
        {request_ops, request_op_cnt}, {rest_ops, rest_op_cnt},
        {durable_ops, durable_op_cnt}, {more_ops, more_op_cnt}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        if (i < all[k].cnt)
            return &all[k].ops[i];
        i -= all[k].cnt;
    }
    return NULL;
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

uint32_t op_index(const struct op *op)
{
    uint32_t i = 0;
    while (op_at(i) != op)
        i++;
    return i < OPS_MAX ? i : OPS_MAX - 1;
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
