#include "replay/readers/lines_direction.h"

#include "base/digest.h"

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

/* OCPP 1.6 (with the security whitepaper), 2.0.1, 2.1: calls of a central system alone. */
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

/* The next text in quotes, without them; escapes are not looked into. */
static struct slice direction_text(struct slice *rest)
{
	const uint8_t *begin = memchr(rest->data, '"', rest->size), *end;
	size_t before;

	if (begin == NULL)
		return slice_of("", 0);
	before = (size_t)(begin - rest->data) + 1;
	*rest = slice_skip(*rest, before);
	end = memchr(rest->data, '"', rest->size);
	if (end == NULL)
		return slice_of("", 0);
	before = (size_t)(end - rest->data);
	begin = rest->data;
	*rest = slice_skip(*rest, before + 1);
	return slice_of(begin, before);
}

static uint64_t direction_key(struct slice station, struct slice id)
{
	uint64_t parts[2] = {digest64(station.data, station.size), digest64(id.data, id.size)};

	return digest64(parts, sizeof(parts)) | 1;
}

static struct lines_call *direction_place(struct lines_call *calls, uint64_t key)
{
	return &calls[(key >> 1) % LINES_CALLS];
}

static bool direction_is_one(struct slice action, const char *const *actions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* Most differ in the first letter: that is all that is looked at. */
		if (action.size > 0 && *action.data == (uint8_t)*actions[i] &&
			slice_equal_cstr(action, actions[i]))
			return true;
	}
	return false;
}

static const char *direction_of_call(struct lines_calls *calls, uint64_t key, struct slice action)
{
	static const char *const with_status[] = {"BootNotification", "DataTransfer",
		"Get15118EVCertificate", "GetCertificateStatus", "GetCRL", "NotifyEVChargingNeeds",
		"NotifyEVChargingSchedule", "NotifyPriorityCharging", "NotifySettlement",
		"PullDynamicScheduleUpdate", "SignCertificate", "VatNumberValidation"};
	static const char *const perhaps_empty[] = {"CostUpdated", "GetDiagnostics",
		"UpdateDynamicSchedule", "UpdateFirmware"};
	bool out = direction_is_one(action, direction_out,
		sizeof(direction_out) / sizeof(*direction_out));

	*direction_place(out ? calls->out : calls->in, key) = (struct lines_call){
		.key = key,
		.number = ++calls->count,
		.odd_answer = out ? direction_is_one(action, perhaps_empty,
					    sizeof(perhaps_empty) / sizeof(*perhaps_empty))
				  : direction_is_one(action, with_status,
					    sizeof(with_status) / sizeof(*with_status)),
	};
	return out ? "out" : "in";
}

static bool direction_has(struct slice result, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (memmem(result.data, result.size, keys[i], strlen(keys[i])) != NULL)
			return true;
	}
	return false;
}

static bool direction_is_empty(struct slice result)
{
	const uint8_t *at = memchr(result.data, '{', result.size);
	const uint8_t *end = result.data + result.size;

	for (at = at == NULL ? end : at + 1; at < end && isspace(*at);)
		at++;
	return at < end && *at == '}';
}

/* Whose answer a result looks like: of the call that went in or out; NULL if of either. */
static const struct lines_call *direction_by_shape(const struct lines_call *in,
	const struct lines_call *out, struct slice result)
{
	static const char *const of_csms[] = {"\"currentTime\"", "\"idTagInfo\"", "\"idTokenInfo\"",
		"\"totalCost\"", "\"chargingPriority\""};
	static const char *const of_station[] = {"\"configurationKey\"", "\"unknownKey\"",
		"\"listVersion\"", "\"versionNumber\"", "\"getVariableResult\"",
		"\"setVariableResult\""};
	static const char *const status[] = {"\"status\""};

	if (direction_has(result, of_csms, sizeof(of_csms) / sizeof(*of_csms)))
		return in;
	if (direction_has(result, of_station, sizeof(of_station) / sizeof(*of_station)))
		return out;
	if (direction_is_empty(result))
		return out->odd_answer ? NULL : in;
	return direction_has(result, status, 1) && !in->odd_answer ? out : NULL;
}

static struct lines_call *direction_answered(struct lines_calls *calls, uint64_t key, uint8_t type,
	struct slice result)
{
	struct lines_call *in = direction_place(calls->in, key);
	struct lines_call *out = direction_place(calls->out, key);
	const struct lines_call *by_shape;

	if (out->key != key)
		return in;
	if (in->key != key)
		return out;
	if (type != '5' && in->answered != out->answered)
		return in->answered ? out : in;
	by_shape = type == '3' ? direction_by_shape(in, out, result) : NULL;
	if (by_shape != NULL)
		return by_shape == in ? in : out;
	return out->number > in->number ? out : in;
}

const char *lines_direction_of_frame(struct lines_calls *calls, struct slice station,
	struct slice frame)
{
	struct slice rest = frame, id = direction_text(&rest);
	uint64_t key = direction_key(station, id);
	struct lines_call *call;
	uint8_t type = 0;
	bool out;

	for (size_t i = 0; i < frame.size && type == 0; i++) {
		if (isdigit(frame.data[i]))
			type = frame.data[i];
	}
	if (type == '2')
		return direction_of_call(calls, key, direction_text(&rest));
	if (type == '6')
		return direction_is_one(direction_text(&rest), direction_out,
			       sizeof(direction_out) / sizeof(*direction_out))
			       ? "out"
			       : "in";
	call = direction_answered(calls, key, type, rest);
	out = call == direction_place(calls->out, key);
	if (type != '5' && call->key == key)
		call->answered = true;
	/* A refusal of a result goes the way of the call. */
	return out == (type == '5') ? "out" : "in";
}
