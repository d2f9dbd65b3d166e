#ifndef STATIONS_OCPP16_H
#define STATIONS_OCPP16_H

#include "stations/exchange.h"

/* The exchanges of OCPP 1.6 that the fleet has. */
extern const struct exchange ocpp16_authorize;
extern const struct exchange ocpp16_boot_notification;
extern const struct exchange ocpp16_change_configuration;
extern const struct exchange ocpp16_data_transfer;
extern const struct exchange ocpp16_firmware_status_notification;
extern const struct exchange ocpp16_heartbeat;
extern const struct exchange ocpp16_meter_values;
extern const struct exchange ocpp16_start_transaction;
extern const struct exchange ocpp16_status_notification;
extern const struct exchange ocpp16_stop_transaction;
extern const struct exchange ocpp16_trigger_message;

#endif
