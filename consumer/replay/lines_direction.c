#include "replay/lines_direction.h"

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

static uint64_t *direction_place(struct lines_calls *calls, uint64_t key)
{
	return &calls->keys[(key >> 1) % LINES_CALLS];
}

const char *lines_direction_of_frame(struct lines_calls *calls, struct slice station,
	struct slice frame)
{
	struct slice rest = frame, id = direction_text(&rest), action;
	uint64_t key = direction_key(station, id);
	uint8_t type = 0;

	for (size_t i = 0; i < frame.size && type == 0; i++) {
		if (isdigit(frame.data[i]))
			type = frame.data[i];
	}
	/* A refusal of a result goes the way of the call. */
	if (type != '2' && type != '6') {
		bool out = *direction_place(calls, key) == key;

		return out == (type == '5') ? "out" : "in";
	}
	action = direction_text(&rest);
	for (size_t i = 0; i < sizeof(direction_out) / sizeof(*direction_out); i++) {
		if (!slice_equal_cstr(action, direction_out[i]))
			continue;
		*direction_place(calls, key) = key;
		return "out";
	}
	/* Both sides may count from 1, a station again after each restart: the last call counts. */
	if (type == '2' && *direction_place(calls, key) == key)
		*direction_place(calls, key) = 0;
	return "in";
}
