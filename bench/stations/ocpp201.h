#ifndef STATIONS_OCPP201_H
#define STATIONS_OCPP201_H

#include "stations/exchange.h"

/* The exchanges of OCPP 2.0.1 that the fleet has. */
extern const struct exchange ocpp201_authorize;
extern const struct exchange ocpp201_boot_notification;
extern const struct exchange ocpp201_data_transfer;
extern const struct exchange ocpp201_firmware_status_notification;
extern const struct exchange ocpp201_heartbeat;
extern const struct exchange ocpp201_meter_values;
extern const struct exchange ocpp201_security_event_notification;
extern const struct exchange ocpp201_set_variables;
extern const struct exchange ocpp201_status_notification;
extern const struct exchange ocpp201_transaction_event;
extern const struct exchange ocpp201_trigger_message;

#endif
