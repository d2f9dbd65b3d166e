#ifndef STATIONS_EXCHANGE_H
#define STATIONS_EXCHANGE_H

#include "stations/message.h"
#include "stations/reading.h"
#include "stations/record.h"

/*
 * A call and its answer, as stations and CSMS say them: which payloads, and which facts they are.
 * The tables of ocpp16.c and ocpp201.c hold one struct exchange per action; struct content is
 * what their payloads are made of. Pure.
 */
enum action {
	ACTION_AUTHORIZE,
	ACTION_BOOT_NOTIFICATION,
	ACTION_CHANGE_CONFIGURATION,
	ACTION_DATA_TRANSFER,
	ACTION_FIRMWARE_STATUS_NOTIFICATION,
	ACTION_HEARTBEAT,
	ACTION_METER_VALUES,
	ACTION_SECURITY_EVENT_NOTIFICATION,
	ACTION_SET_VARIABLES,
	ACTION_START_TRANSACTION,
	ACTION_STATUS_NOTIFICATION,
	ACTION_STOP_TRANSACTION,
	ACTION_TRANSACTION_EVENT,
	ACTION_TRIGGER_MESSAGE,
	ACTIONS_COUNT,
};

const char *action_name(enum action action);

/* How messages are wrapped: MaEVE's map, the array of OCPP-J, or several maps in an array. */
enum shape { SHAPE_ENVELOPE, SHAPE_FRAME, SHAPE_BATCH };

/* NULL, 0 and sizes of 0 mean "not stated" everywhere. Borrows all it points to. */
struct content {
	const struct station *station;
	const struct evse *evse;       /* NULL = the station as a whole */
	const struct session *session; /* NULL = no transaction is stated */
	const struct token *token;
	struct stamp time; /* of the call: what makes a retry with a new id the same fact */
	int64_t answered_us;
	unsigned attempt; /* 1 in a retry with a new message id, and in its answer */
	struct slice id;  /* of the message */

	const char *status; /* or what else the message is about in a word */
	const char *reason;
	const char *text;
	const char *event, *trigger, *state; /* 2.0.1 TransactionEvent */
	bool states_evse;
	bool offline;
	int32_t seq;
	int32_t reservation, remote_start, lines_used, seconds_charging;
	struct amount cable_max;
	int64_t meter_wh;   /* 1.6 start and stop */
	int64_t numbers[2]; /* 1.6 start: transaction id in the answer to each attempt */
	struct amount cost; /* units 0 = none */
	const struct reading *readings;
	size_t readings_count;
	const char *error_code, *error_description; /* the answer is an error */

	struct record *record; /* of the session, if its line needs this call */
	bool record_answer;    /* ... and the answer */
	bool retried;          /* set by post_exchange(): there was a second attempt */
};

typedef void (*content_put)(struct writer *w, const struct content *c);

struct exchange {
	enum action action;
	bool from_csms;
	bool states_place;             /* the fact of the call names EVSE and connector */
	content_put request, response; /* members of the payloads; NULL = none */
	/* Objects for the array of facts. NULL = one of ocpp_events, unless a result is empty. */
	content_put request_facts, response_facts;
};

/* What is written by exchange_put(). */
struct envelope {
	enum shape shape;
	enum message_kind kind;
	const struct exchange *exchange;
	const struct content *content;
};

/* The whole message. *empty_out: it is a result without content. */
void exchange_put(struct writer *w, const struct envelope *e, bool *empty_out);

/* The array of its facts. w's format is JSON, or JSON_OF_MSGPACK if the message is msgpack. */
void exchange_put_facts(struct writer *w, const struct envelope *e, bool empty);

/* Parts of payloads that both versions have. */
void content_put_time(struct writer *w, const struct content *c);
void content_put_current_time(struct writer *w, const struct content *c); /* the CSMS's clock */
void content_put_status(struct writer *w, const struct content *c);
void content_put_accepted(struct writer *w, const struct content *c);
void content_put_trigger(struct writer *w, const struct content *c);

/* For the facts of the tables: open the object and say what it is about; writer_end() closes it. */
void fact_begin(struct writer *w, const char *table, const struct content *c);
void fact_place(struct writer *w, int64_t evse, int64_t connector); /* -1: not stated */
void fact_time(struct writer *w, const struct content *c);
void fact_message_id(struct writer *w, const struct content *c);
void fact_meter_values(struct writer *w, const struct content *c); /* of MeterValues */
void fact_readings(struct writer *w, const struct content *c, const char *source, bool states_place,
	bool states_seq);

#endif
