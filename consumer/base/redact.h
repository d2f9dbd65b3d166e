#ifndef BASE_REDACT_H
#define BASE_REDACT_H

/*
 * Text that may quote a setting or an argument, on its way to a terminal, the logging or the
 * process list: passwords in it become asterisks, in place. A password is whatever stands between
 * the user and the host of a URL, however malformed, and the value of anything named ...password,
 * passwd, passphrase, secret or pwd ("password=x", "password = 'x y'"). Where its end is unclear,
 * more is hidden rather than less. Any thread.
 */
void redact_passwords(char *text);

#endif
