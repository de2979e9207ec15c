/* replay.c - runs a fuzz target over the files of folders, without libFuzzer,
 * and over each file cut short at every byte. Prints how many inputs that
 * were. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs, files;

static int replay_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file)
        return 1;
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    files++;
    for (size_t cut = len < 4096 ? 0 : len; cut <= len; cut++, inputs++)
        (void)LLVMFuzzerTestOneInput(bytes, cut);
    return 0;
}

static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    int failed = dir == NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        failed |= replay_file(path);
    }
    if (dir)
        closedir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay_folder(argv[i]);
    printf("%lu inputs of %lu files\n", inputs, files);
    return failed || files == 0;
}
