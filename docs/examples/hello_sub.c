#include <shmq.h>
#include <stdio.h>
struct shmq_consumer_options opt = {.struct_bytes = sizeof(opt), .group = "g"};
int main(void)
{
    struct shmq_topic *t; struct shmq_consumer *c; struct shmq_message msg;
    if (shmq_topic_open(NULL, "hello", &t) || shmq_consumer_open(t, &opt, &c) ||
        shmq_consumer_receive_wait(c, SHMQ_FOREVER, &msg)) return 1;
    return printf("%.*s\n", (int)msg.size, (const char *)msg.data) < 0;
}
