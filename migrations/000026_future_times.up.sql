-- A status that is dated later than it was received would outlast all that the station says until
-- then. From now on it counts from its receipt; those that are there count from it at once.

ALTER TABLE connector_status ADD COLUMN flags integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN connector_status.flags IS 'What looks odd about its time; see flag_names()';
UPDATE connector_status SET event_time = received_at, flags = 8 -- time_future
WHERE event_time > received_at + interval '5 minutes';
COMMENT ON TABLE connector_status IS 'The newest StatusNotification of each connector, by the station''s own time; by the time of receipt where it gave none, one that is invalid, or one that is more than 5 minutes later. All of them are in ocpp_events.';
COMMENT ON COLUMN connector_status.event_time IS 'The station''s own time; the time of receipt where it gave none, one that is invalid, or one that is more than 5 minutes later';
