#ifndef BASE_SAY_H
#define BASE_SAY_H

/*
 * One line on stderr for a person, "what: text". text may quote arguments, files and servers:
 * passwords are struck out, and what a terminal would obey is escaped. Any thread.
 */
void say_line(const char *what, const char *text);

#endif
