COMMENT ON VIEW charge_station_runtime IS 'ocpp.all_runtime: told through the store, or by the station when it booted, whichever is newer';
COMMENT ON VIEW charge_station_certificates IS 'ocpp.charge_station_certificates; send_after 0001-01-01 = at once; created_at is when it was last told, as there, where rows are made anew each time';
COMMENT ON VIEW transaction_sources IS 'What transactions and transaction_meter_values are made of; none of MaEVE''s tables';
COMMENT ON VIEW transactions IS 'ocpp.transactions, and what was told through the store of others. Times, meters and reasons are the stations''; start_timestamp without a start is the first that is known. An insert or update tells the store, and shows where no station reported the transaction.';
COMMENT ON FUNCTION write_transaction IS 'For triggers: tells the store of a transaction';
COMMENT ON FUNCTION write_transaction_values IS 'For triggers: tells the store of meter values of a transaction';
COMMENT ON FUNCTION time_of IS 'A time as OCPP writes it, UTC where it names no zone; NULL for what is none';
COMMENT ON VIEW answered_calls IS 'What the views of charging profiles, local lists, monitors and display messages are made of; none of MaEVE''s tables';
COMMENT ON COLUMN local_auth_list_versions.version IS '0 = it has no list; -1 (1.6) = it knows none';
