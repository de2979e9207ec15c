/* log_image.h - a small log in memory, changed as a fuzzer says.
 *
 * An input is a few bytes of settings and then changes of a good log of three
 * segments: bytes put somewhere, files cut, grown or left out, blocks copied to
 * other places. Checksums, places and chains are put right afterwards where the
 * settings say so, so that nonsense gets past them. */
#ifndef FUZZ_LOG_IMAGE_H
#define FUZZ_LOG_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_BLOCKS 6u /* of a file */
#define IMAGE_BYTES (IMAGE_BLOCKS * 4096u)

enum image_file {
    IMAGE_SEG1,
    IMAGE_SEG2,
    IMAGE_SEG3,
    IMAGE_SEG4, /* usually not there */
    IMAGE_CLEAN, /* usually not there */
    IMAGE_PREP,
    IMAGE_STORE,
    IMAGE_META,
    IMAGE_FILES
};

struct image {
    struct image_part {
        bool there;
        uint32_t size;
        uint8_t bytes[IMAGE_BYTES];
    } files[IMAGE_FILES];
};

/* What is left of an input for the target itself. */
struct image_settings {
    uint8_t limit; /* chooses what is believed to be acknowledged */
    uint8_t where; /* chooses a position or time that is sought */
    bool go_on; /* write on behind it */
    uint32_t fail_read; /* this read and all after it fail; 0: none */
};

extern const char *const image_names[IMAGE_FILES];
extern const uint8_t image_topic[16];

/* Where the good log ends; frames are as wide as the kind says. */
extern uint64_t image_end;

/* The good log of that kind (enum shmqi_log_kind). STORE and meta are left as
 * they are. */
void image_build(struct image *m, uint32_t kind, const uint8_t store_uuid[16]);

/* Applies an input. False: too short to be one. */
bool image_change(struct image *m, const uint8_t *data, size_t size,
    struct image_settings *ret);

#endif
