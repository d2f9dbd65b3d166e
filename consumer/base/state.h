#ifndef BASE_STATE_H
#define BASE_STATE_H

/*
 * State machines. Each has an enum, a table of all transitions in the comment of its header,
 * x_next(), which has them as bits, and x_enter(), the only way from one state to another, which
 * checks them. tests/unit/test_states.c tries every pair.
 */
#define STATE(state) (1U << (unsigned)(state))

#endif
