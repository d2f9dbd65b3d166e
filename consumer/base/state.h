#ifndef BASE_STATE_H
#define BASE_STATE_H

/*
 * State machines. Each has an enum, a table of all transitions in its header's comment, x_next(),
 * which has the same table as bits, and x_enter(), which checks every transition and is the only
 * way to make one. tests/unit/test_states.c tries every pair.
 */
#define STATE(state) (1U << (unsigned)(state))

#endif
