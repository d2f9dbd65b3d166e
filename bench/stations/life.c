#include "base/clock.h"
#include "stations/ocpp16.h"
#include "stations/ocpp201.h"
#include "stations/session.h"

static void life_boot(struct post *p, struct station *s, const char *reason, int64_t now_us)
{
	bool is_16 = s->version == OCPP_16;
	struct content boot = {.reason = reason};

	post_exchange(p, s, is_16 ? &ocpp16_boot_notification : &ocpp201_boot_notification, &boot,
		station_turn_us(s, now_us));
	for (size_t i = is_16 ? 0 : 1; i <= s->evses_count; i++) {
		struct evse *e = i == 0 ? NULL : &s->evses[i - 1];
		int64_t at_us = station_turn_us(s, now_us);
		struct content c = {.evse = e, .status = "Available"};

		if (s->states_status_time)
			c.time = station_stamp(s, e, at_us);
		post_exchange(p, s,
			is_16 ? &ocpp16_status_notification : &ocpp201_status_notification, &c,
			at_us);
	}
	s->booted = true;
}

/* The CSMS sets something; now and then the station cannot. */
static void life_configure(struct post *p, struct station *s, int64_t at_us)
{
	static const char *const answers_16[] = {"Accepted", "Accepted", "RebootRequired",
		"Rejected", "NotSupported"};
	static const char *const answers_201[] = {"Accepted", "Accepted", "RebootRequired",
		"Rejected", "UnknownVariable"};
	static const char *const values[] = {"10", "60", "300", "900"};
	uint32_t answer = rng_below(&s->rng, 5);
	const char *value = values[rng_below(&s->rng, 4)];
	struct content c = {.status = answers_16[answer]};

	if (rng_permille(&s->rng, 100)) {
		c.error_code = "InternalError";
		c.error_description = "flash is busy & stays so";
	}
	if (s->version == OCPP_16) {
		c.text = "MeterValueSampleInterval";
		c.reason = value;
		post_exchange(p, s, &ocpp16_change_configuration, &c, at_us);
		return;
	}
	c.status = answers_201[answer];
	c.text = "SampledDataCtrlr";
	c.reason = "TxUpdatedInterval";
	c.event = value;
	post_exchange(p, s, &ocpp201_set_variables, &c, at_us);
}

static void life_trigger(struct post *p, struct station *s, int64_t at_us)
{
	static const char *const messages[] = {"Heartbeat", "StatusNotification", "MeterValues"};
	static const char *const answers[] = {"Accepted", "Accepted", "Rejected"};
	struct content c = {.text = messages[rng_below(&s->rng, 3)],
		.status = answers[rng_below(&s->rng, 3)]};

	post_exchange(p, s,
		s->version == OCPP_16 ? &ocpp16_trigger_message : &ocpp201_trigger_message, &c,
		at_us);
}

static void life_notify(struct post *p, struct station *s, int64_t at_us)
{
	static const char *const firmware[] = {"Downloading", "Downloaded", "Installing",
		"Installed", "DownloadFailed"};
	struct content c = {.status = firmware[rng_below(&s->rng, 5)], .text = "Düsseldorf/7"};
	bool is_16 = s->version == OCPP_16;

	if (rng_permille(&s->rng, 400)) {
		post_exchange(p, s, is_16 ? &ocpp16_data_transfer : &ocpp201_data_transfer, &c,
			at_us);
	} else if (is_16 || rng_permille(&s->rng, 500)) {
		post_exchange(p, s,
			is_16 ? &ocpp16_firmware_status_notification
			      : &ocpp201_firmware_status_notification,
			&c, at_us);
	} else {
		c.status = "MemoryExhaustion";
		c.time = station_stamp(s, NULL, at_us);
		post_exchange(p, s, &ocpp201_security_event_notification, &c, at_us);
	}
}

static void life_heartbeat(struct post *p, struct station *s, int64_t at_us)
{
	struct content c = {0};

	post_exchange(p, s, s->version == OCPP_16 ? &ocpp16_heartbeat : &ocpp201_heartbeat, &c,
		at_us);
}

static bool life_is_free(const struct station *s)
{
	for (size_t i = 0; i < s->evses_count; i++) {
		if (s->evses[i].phase != EVSE_FREE)
			return false;
	}
	return true;
}

int64_t life_step(struct post *p, struct station *s, int64_t now_us)
{
	int64_t at_us = station_turn_us(s, now_us);
	uint32_t luck = rng_below(&s->rng, 100);

	if (!s->booted)
		life_boot(p, s, "PowerUp", now_us);
	else if (luck < 70)
		life_heartbeat(p, s, at_us);
	else if (luck < 80)
		life_configure(p, s, at_us);
	else if (luck < 86)
		life_trigger(p, s, at_us);
	else if (luck < 96 || !life_is_free(s))
		life_notify(p, s, at_us);
	else
		life_boot(p, s, "Watchdog", now_us);
	if (s->mix == STATION_MIX_METER)
		return now_us + rng_between(&s->rng, 300, 900) * US_PER_SECOND;
	return now_us + rng_between(&s->rng, 30, 90) * US_PER_SECOND;
}
