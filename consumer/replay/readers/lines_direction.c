#include "replay/readers/lines_direction.h"

#include "base/digest.h"
#include "replay/readers/json_scan.h"

#include <ctype.h>
#include <strings.h>

static const struct {
	const char *word;
	const char *direction;
} direction_words[] = {
	{"in", "in"},
	{"receive", "in"},
	{"received", "in"},
	{"receiving", "in"},
	{"recv", "in"},
	{"rx", "in"},
	{"incoming", "in"},
	{"<-", "in"},
	{"<=", "in"},
	{"<--", "in"},
	{"<", "in"},
	{"<<", "in"},
	{"out", "out"},
	{"send", "out"},
	{"sent", "out"},
	{"sending", "out"},
	{"tx", "out"},
	{"outgoing", "out"},
	{"->", "out"},
	{"=>", "out"},
	{"-->", "out"},
	{">", "out"},
	{">>", "out"},
};

const char *lines_direction_of_word(struct slice word)
{
	size_t size = 0;

	while (word.size > 0 && isspace(*word.data))
		word = slice_skip(word, 1);
	if (word.size > 0 && isalpha(*word.data)) {
		while (size < word.size && isalpha(word.data[size]))
			size++;
	} else {
		while (size < word.size && word.data[size] != '\0' &&
			strchr("<>-=", word.data[size]) != NULL)
			size++;
	}
	for (size_t i = 0; i < sizeof(direction_words) / sizeof(*direction_words); i++) {
		const char *known = direction_words[i].word;

		if (strlen(known) == size && strncasecmp(known, (const char *)word.data, size) == 0)
			return direction_words[i].direction;
	}
	return NULL;
}

/* OCPP 1.6 (with the security whitepaper), 2.0.1, 2.1: calls that only a central system makes. */
static const char *const direction_out[] = {
	"AFRRSignal",
	"AdjustPeriodicEventStream",
	"CancelReservation",
	"CertificateSigned",
	"ChangeAvailability",
	"ChangeConfiguration",
	"ChangeTransactionTariff",
	"ClearCache",
	"ClearChargingProfile",
	"ClearDERControl",
	"ClearDisplayMessage",
	"ClearTariffs",
	"ClearVariableMonitoring",
	"CostUpdated",
	"CustomerInformation",
	"DeleteCertificate",
	"ExtendedTriggerMessage",
	"GetBaseReport",
	"GetChargingProfiles",
	"GetCompositeSchedule",
	"GetConfiguration",
	"GetDERControl",
	"GetDiagnostics",
	"GetDisplayMessages",
	"GetInstalledCertificateIds",
	"GetLocalListVersion",
	"GetLog",
	"GetMonitoringReport",
	"GetPeriodicEventStream",
	"GetReport",
	"GetTariffs",
	"GetTransactionStatus",
	"GetVariables",
	"InstallCertificate",
	"NotifyAllowedEnergyTransfer",
	"PublishFirmware",
	"RemoteStartTransaction",
	"RemoteStopTransaction",
	"RequestBatterySwap",
	"RequestStartTransaction",
	"RequestStopTransaction",
	"ReserveNow",
	"Reset",
	"SendLocalList",
	"SetChargingProfile",
	"SetDERControl",
	"SetDefaultTariff",
	"SetDisplayMessage",
	"SetMonitoringBase",
	"SetMonitoringLevel",
	"SetNetworkProfile",
	"SetVariableMonitoring",
	"SetVariables",
	"SignedUpdateFirmware",
	"TriggerMessage",
	"UnlockConnector",
	"UnpublishFirmware",
	"UpdateDynamicSchedule",
	"UpdateFirmware",
	"UsePriorityCharging",
};

/* ---- frames ---- */

enum { FRAME_ID_BYTES = 256 };

/* The parts of a frame, whatever its shape. */
struct frame {
	uint8_t type; /* its digit; 0 = none */
	struct slice id;
	struct slice action; /* in an envelope, answers have it, too */
	struct slice content;
	uint8_t room[FRAME_ID_BYTES]; /* for an id with escapes */
};

/* Without quotes; a number is an id, too. Escapes are decoded if there is room. */
static struct slice frame_text(struct slice value, uint8_t *room, size_t room_size)
{
	int64_t size;

	if (value.size < 2 || *value.data != '"')
		return value;
	if (room_size < value.size || memchr(value.data, '\\', value.size) == NULL)
		return slice_of(value.data + 1, value.size - 2);
	size = json_scan_string(value, room);
	return size < 0 ? slice_of(value.data + 1, value.size - 2) : slice_of(room, (size_t)size);
}

static void frame_read_envelope(struct slice text, struct frame *out)
{
	struct slice rest = text, key, value;
	bool ok;

	while (json_scan_member(&rest, &key, &value, &ok)) {
		if (slice_equal_cstr(key, "\"type\""))
			out->type = *value.data;
		else if (slice_equal_cstr(key, "\"id\""))
			out->id = frame_text(value, out->room, sizeof(out->room));
		else if (slice_equal_cstr(key, "\"action\""))
			out->action = frame_text(value, NULL, 0);
		else if (slice_equal_cstr(key, "\"response\""))
			out->content = value;
	}
}

/* For an array of frames, the first. */
static void frame_read(struct slice text, struct frame *out)
{
	struct slice rest = text, value;
	bool is_call;

	out->type = 0;
	out->id = out->action = out->content = slice_of("", 0);
	while (json_scan_item(&rest, &value) && (*value.data == '[' || *value.data == '{'))
		rest = text = value;
	if (text.size > 0 && *text.data == '{') {
		frame_read_envelope(text, out);
		return;
	}
	rest = text;
	if (!json_scan_item(&rest, &value))
		return;
	out->type = *value.data;
	is_call = out->type == '2' || out->type == '6';
	if (json_scan_item(&rest, &value))
		out->id = frame_text(value, out->room, sizeof(out->room));
	out->content = rest;
	if (is_call && json_scan_item(&rest, &value))
		out->action = frame_text(value, NULL, 0);
}

/* ---- calls that wait for an answer ---- */

static uint64_t direction_key(struct slice station, struct slice id)
{
	uint64_t parts[2] = {digest64(station.data, station.size), digest64(id.data, id.size)};

	return digest64(parts, sizeof(parts)) | 1;
}

/* The set in which a call with this key may be. */
static struct lines_call *direction_set(struct lines_call *calls, uint64_t key)
{
	return &calls[(key >> 1) % (LINES_CALLS / LINES_CALLS_SET) * LINES_CALLS_SET];
}

/* NULL if there is no such call. */
static struct lines_call *direction_find(struct lines_call *calls, uint64_t key)
{
	struct lines_call *set = direction_set(calls, key);

	for (int i = 0; i < LINES_CALLS_SET; i++) {
		if (set[i].key == key)
			return &set[i];
	}
	return NULL;
}

/* The slot of an earlier call with this key, otherwise the least recently used one. */
static struct lines_call *direction_place(struct lines_call *calls, uint64_t key, uint32_t number)
{
	struct lines_call *found = direction_find(calls, key);
	struct lines_call *set = direction_set(calls, key);

	for (int i = 0; found == NULL && i < LINES_CALLS_SET; i++) {
		if (set[i].key == 0)
			found = &set[i];
	}
	if (found != NULL)
		return found;
	found = set;
	for (int i = 1; i < LINES_CALLS_SET; i++) {
		if (number - set[i].number > number - found->number)
			found = &set[i];
	}
	return found;
}

static bool direction_is_one(struct slice action, const char *const *actions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* Most differ in the first letter, so compare that first. */
		if (action.size > 0 && *action.data == (uint8_t)*actions[i] &&
			slice_equal_cstr(action, actions[i]))
			return true;
	}
	return false;
}

static bool direction_is_out(struct slice action)
{
	return direction_is_one(action, direction_out,
		sizeof(direction_out) / sizeof(*direction_out));
}

/* ---- the shape of answers ---- */

/* Calls with unusual answers (the usual ones: a status from a station, nothing from a central
 * system). Keys of which an answer has at least one, unless it may be empty. */
static const struct direction_shape {
	const char *action;
	bool may_be_empty;
	const char *keys[5];
} direction_shapes[] = {
	{"Authorize", false, {"idTagInfo", "idTokenInfo"}},
	{"BootNotification", false, {"currentTime", "interval"}},
	{"ClearTariffs", false, {"clearTariffsResult"}},
	{"ClearVariableMonitoring", false, {"clearMonitoringResult"}},
	{"CostUpdated", true, {NULL}},
	{"DataTransfer", false, {"status", "data"}},
	{"Get15118EVCertificate", false, {"exiResponse"}},
	{"GetCertificateChainStatus", false, {"certificateStatus"}},
	{"GetCertificateStatus", false, {"status", "ocspResult"}},
	{"GetConfiguration", true, {"configurationKey", "unknownKey"}},
	{"GetDiagnostics", true, {"fileName"}},
	{"GetLocalListVersion", false, {"listVersion", "versionNumber"}},
	{"GetPeriodicEventStream", true, {"constantStreamData"}},
	{"GetTransactionStatus", false, {"messagesInQueue", "ongoingIndicator"}},
	{"GetVariables", false, {"getVariableResult"}},
	{"Heartbeat", false, {"currentTime"}},
	{"NotifyEVChargingNeeds", false, {"status"}},
	{"NotifyEVChargingSchedule", false, {"status"}},
	{"NotifySettlement", true, {"receiptUrl", "receiptId"}},
	{"OpenPeriodicEventStream", false, {"status"}},
	{"PullDynamicScheduleUpdate", false, {"status", "scheduleUpdate"}},
	{"SetVariableMonitoring", false, {"setMonitoringResult"}},
	{"SetVariables", false, {"setVariableResult"}},
	{"SignCertificate", false, {"status"}},
	{"StartTransaction", false, {"idTagInfo", "transactionId"}},
	{"StopTransaction", true, {"idTagInfo"}},
	{"TransactionEvent", true,
		{"totalCost", "chargingPriority", "idTokenInfo", "updatedPersonalMessage",
			"transactionLimit"}},
	{"UpdateDynamicSchedule", true, {"status"}},
	{"UpdateFirmware", true, {"status"}},
	{"VatNumberValidation", false, {"vatNumber"}},
};

/* Calls from a station whose answers are empty. */
static const char *const direction_nothing[] = {
	"BatterySwap",
	"ClearedChargingLimit",
	"ClosePeriodicEventStream",
	"DiagnosticsStatusNotification",
	"FirmwareStatusNotification",
	"LogStatusNotification",
	"MeterValues",
	"NotifyChargingLimit",
	"NotifyCustomerInformation",
	"NotifyDERAlarm",
	"NotifyDERStartStop",
	"NotifyDisplayMessages",
	"NotifyEvent",
	"NotifyMonitoringReport",
	"NotifyPriorityCharging",
	"NotifyReport",
	"NotifyWebPaymentStarted",
	"PublishFirmwareStatusNotification",
	"ReportChargingProfiles",
	"ReportDERControl",
	"ReservationStatusUpdate",
	"SecurityEventNotification",
	"SignedFirmwareStatusNotification",
	"StatusNotification",
};

static const struct direction_shape direction_status = {NULL, false, {"status"}};
static const struct direction_shape direction_empty = {NULL, true, {NULL}};

/* NULL for an unknown action: its answers may have any shape. */
static const struct direction_shape *direction_shape_of(struct slice action, bool out)
{
	for (size_t i = 0; i < sizeof(direction_shapes) / sizeof(*direction_shapes); i++) {
		if (direction_is_one(action, &direction_shapes[i].action, 1))
			return &direction_shapes[i];
	}
	if (out)
		return &direction_status;
	return direction_is_one(action, direction_nothing,
		       sizeof(direction_nothing) / sizeof(*direction_nothing))
		       ? &direction_empty
		       : NULL;
}

static bool direction_is_empty(struct slice result)
{
	const uint8_t *at = memchr(result.data, '{', result.size);
	const uint8_t *end = result.data + result.size;

	for (at = at == NULL ? end : at + 1; at < end && isspace(*at);)
		at++;
	return at < end && *at == '}';
}

/* Whether a result has one of the shape's keys at the top level. */
static bool direction_has_key(const struct direction_shape *shape, struct slice result)
{
	enum { KEYS = sizeof(shape->keys) / sizeof(*shape->keys) };
	struct slice rest = result, key, value;
	bool ok;

	if (result.size > 0 && *result.data != '{' && !json_scan_item(&rest, &result))
		return false;
	rest = result;
	while (json_scan_member(&rest, &key, &value, &ok)) {
		struct slice name = frame_text(key, NULL, 0);

		for (int i = 0; i < KEYS && shape->keys[i] != NULL; i++) {
			if (slice_equal_cstr(name, shape->keys[i]))
				return true;
		}
	}
	return false;
}

/* Whether a result can be the answer to a call. */
static bool direction_fits(const struct lines_call *call, struct slice result)
{
	const struct direction_shape *shape = call->shape;

	return shape == NULL || (direction_is_empty(result) ? shape->may_be_empty
							    : direction_has_key(shape, result));
}

static const char *direction_of_call(struct lines_calls *calls, uint64_t key, struct slice action)
{
	bool out = direction_is_out(action);

	*direction_place(out ? calls->out : calls->in, key, ++calls->count) = (struct lines_call){
		.key = key,
		.number = calls->count,
		.shape = direction_shape_of(action, out),
	};
	return out ? "out" : "in";
}

/*
 * Of the two calls with an answer's key, either of which may be NULL, the one that it answers. NULL
 * if it cannot be the answer to the only one: then its own call was not seen. A central system that
 * answers everything with nothing is believed.
 */
static struct lines_call *direction_answered(struct lines_call *in, struct lines_call *out,
	const struct frame *frame)
{
	bool result = frame->type == '3', fits_in, fits_out;

	fits_in = in != NULL && (!result || direction_fits(in, frame->content) ||
					(out == NULL && direction_is_empty(frame->content)));
	fits_out = out != NULL && (!result || direction_fits(out, frame->content));
	if (fits_in != fits_out)
		return fits_in ? in : out;
	if (in == NULL || out == NULL)
		return NULL;
	if (frame->type != '5' && in->answered != out->answered)
		return in->answered ? out : in;
	return out->number > in->number ? out : in;
}

const char *lines_direction_of_frame(struct lines_calls *calls, struct slice station,
	struct slice text)
{
	struct lines_call *call, *in, *out;
	struct frame frame;
	uint64_t key;
	bool to_station;

	frame_read(text, &frame);
	key = direction_key(station, frame.id);
	if (frame.type == '2')
		return direction_of_call(calls, key, frame.action);
	if (frame.type == '6')
		return direction_is_out(frame.action) ? "out" : "in";
	out = direction_find(calls->out, key);
	in = direction_find(calls->in, key);
	call = direction_answered(in, out, &frame);
	if (frame.type != '5' && call != NULL)
		call->answered = true;
	/* If an answer's call was not seen, its action may decide, or whose call it cannot be. */
	if (call != NULL)
		to_station = call == out;
	else if (frame.action.size > 0 || (in == NULL && out == NULL))
		to_station = direction_is_out(frame.action);
	else
		to_station = in != NULL;
	/* A refused result goes the same way as the call. */
	return to_station == (frame.type == '5') ? "out" : "in";
}
