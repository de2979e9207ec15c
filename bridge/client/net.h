/* net.h - the sockets of the client. net.c is its one file that sees libzmq. */
#ifndef SHMQR_NET_H
#define SHMQR_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shmqr_net; /* context of a connection */
struct shmqr_socket;

/* Keys in Z85, 40 characters each; NULL server_key: no encryption. */
struct shmqr_keys {
    const char *server_key, *public_key, *secret_key;
};

/* A received message: parts, owned until shmqr_parts_free(). */
enum { SHMQR_PARTS_MAX = 5 };
struct shmqr_parts {
    uint32_t cnt;
    void *data[SHMQR_PARTS_MAX];
    size_t len[SHMQR_PARTS_MAX];
    void *handle; /* net.c's own */
};

enum shmqr_event {
    SHMQR_LOST = 1, /* the connection is gone, or was refused */
    SHMQR_REFUSED = 2 /* the handshake failed: wrong keys */
};

/* 0 or an errno value. */
int shmqr_net_open(struct shmqr_net **ret);
void shmqr_net_close(struct shmqr_net *net);

/* 0 when all keys are well-formed; makes an own pair when there is none. */
int shmqr_keys_check(const struct shmqr_keys *keys);
int shmqr_keys_make(char public_key[41], char secret_key[41]);
int shmqr_keys_public(char public_key[41], const char *secret_key);

/* A DEALER that connects once and never again by itself; 0 or errno. */
int shmqr_dealer_open(struct shmqr_net *net, const char *endpoint,
    const struct shmqr_keys *keys, struct shmqr_socket **ret);
/* A SUB that connects again by itself. */
int shmqr_sub_open(struct shmqr_net *net, const char *endpoint,
    const struct shmqr_keys *keys, struct shmqr_socket **ret);
int shmqr_sub_add(struct shmqr_socket *s, const void *prefix, size_t len);
/* What was sent is given up after linger_ms. */
void shmqr_socket_close(struct shmqr_socket *s, int linger_ms);

/* Sends 1 or 2 parts (second may be NULL) without waiting: 0 or an errno. What
 * is sent before there is a connection waits for it. */
int shmqr_send(struct shmqr_socket *s, const void *head, size_t head_len,
    const void *payload, size_t payload_len);

/* The next message, without waiting: 0, EAGAIN, or an errno. Messages with
 * more than SHMQR_PARTS_MAX parts are dropped. */
int shmqr_receive(struct shmqr_socket *s, struct shmqr_parts *ret);
void shmqr_parts_free(struct shmqr_parts *parts);

/* What happened to a DEALER's connection since the last call: enum
 * shmqr_event or 0. */
int shmqr_event(struct shmqr_socket *s);

/* Whether something can be sent now. */
bool shmqr_writable(struct shmqr_socket *s);

/* Waits until one of the sockets (NULL: none) has something, at most
 * timeout_ns. want_write: also until the first can send. 0, EINTR. */
int shmqr_wait(struct shmqr_socket *a, bool want_write, struct shmqr_socket *b,
    uint64_t timeout_ns);

int shmqr_socket_fd(struct shmqr_socket *s, int *ret_fd);

#endif
