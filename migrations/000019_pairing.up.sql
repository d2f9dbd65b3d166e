-- Calls and results are paired by the program, near the new ones only; what is looked up for that
-- must not grow with what one station sends.

-- Of messages without a time of their own: copies within dedupe.window. Looked up in the key alone,
-- each would be compared with all that its station sent within that window.
CREATE INDEX ocpp_events_timeless ON ocpp_events (charge_station_id, digest, event_time)
    WHERE time_source = 'r';
CREATE INDEX authorizations_timeless ON authorizations (charge_station_id, digest, event_time)
    WHERE time_source = 'r';

-- A call and a result of one trace belong together however far apart they were received.
CREATE INDEX exchange_halves_trace ON exchange_halves (charge_station_id, message_id, trace_id,
    received_at) WHERE trace_id IS NOT NULL;

COMMENT ON COLUMN exchange_halves.half IS 'c = call of the station, r = its result; C = call of the CSMS that tells the store something, R = its result';
COMMENT ON COLUMN exchange_halves.digest IS 'Digest of its row';
COMMENT ON COLUMN exchange_halves.action IS 'OCPP action; empty in results that do not name it';
COMMENT ON COLUMN exchange_halves.event_time IS 'event_time of its row; NULL in results of older versions';
COMMENT ON COLUMN exchange_halves.evse_id IS 'evse_id of its row';
COMMENT ON COLUMN authorizations.result_rank IS 'How near the result is to the request, in microseconds and more';
COMMENT ON COLUMN authorizations.result_digest IS 'Decides between two results received at the same time; the result itself is in ocpp_events';
COMMENT ON TABLE transaction_starts IS '1.6: which start (transaction_events) got which transaction id, and the answer received last. A start that was retried may have several ids.';
