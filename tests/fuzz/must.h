/* must.h - what holds for every input; says where it did not. */
#ifndef FUZZ_MUST_H
#define FUZZ_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define must(holds) \
    ((holds) ? (void)0 \
             : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds), \
                   abort()))

#endif
