DROP VIEW charge_station_status, connector_status, firmware_update_status, diagnostics_status,
    publish_firmware_status, log_status;
