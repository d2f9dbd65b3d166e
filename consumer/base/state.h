#ifndef BASE_STATE_H
#define BASE_STATE_H

/*
 * State machines: what is done next depends on the state. Each has an enum, a table of all
 * transitions in its header's comment, x_next(), which has the same table as bits, and x_enter(),
 * which checks every transition and is the only way to make one. tests/unit/test_states.c tries
 * every pair. (That of copy/partitions.h is one per partition: its table also says who holds it.)
 *
 * What only says how far something is, a dialogue with a server (mqtt/mqtt.h, pg/session.c), a
 * place for a connection (pg/pool.c) or a reader (retention/copy_walk.h), is a plain enum, set
 * where it happens.
 */
#define STATE(state) (1U << (unsigned)(state))

#endif
