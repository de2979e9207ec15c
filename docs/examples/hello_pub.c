#include <shmq.h>
int main(void)
{
    struct shmq_topic *topic;
    struct shmq_producer *pub;
    (void)shmq_topic_create(NULL, "hello", NULL); /* or it exists */
    return shmq_topic_open(NULL, "hello", &topic) ||
           shmq_producer_open(topic, NULL, &pub) ||
           shmq_producer_publish(pub, "hello, world", 12, NULL);
}
