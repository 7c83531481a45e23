/* Socket addresses as text: "127.0.0.1:80", "[::1]:80". */

#ifndef STANDIN_ADDRESS_H
#define STANDIN_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/* Returns the size of *ss used, 0 if the text is none; port 0 is one. */
socklen_t address_parse(const char *text, struct sockaddr_storage *ss);
void address_text(const struct sockaddr_storage *ss, char *out, size_t size);

#endif
