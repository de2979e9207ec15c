/* fio.h - what fio gets from a disk, as a reference. */
#ifndef LAB_FIO_H
#define LAB_FIO_H

#include <stdint.h>

/* The best rate in bytes a second of sequential direct reads or writes of a
 * file of so many bytes in `dir`, over blocks of 128 KiB and 1 MiB and depths
 * 1, 4 and 8. Writes: a new file each time, gone afterwards. 0, -1 with `error`
 * (192 bytes), or 1: fio is not installed, `error` names the package. */
int lab_fio_best(const char *dir, int write, uint64_t bytes, double *ret_rate,
    char error[192]);

#endif
