#ifndef BASE_SAY_H
#define BASE_SAY_H

/*
 * One line on stderr for a person, "what: text". Text may quote arguments, files and servers: what
 * looks like a password is struck out and what a terminal obeys is escaped. Any thread.
 */
void say_line(const char *what, const char *text);

#endif
