ALTER TABLE connector_status DROP COLUMN flags;
COMMENT ON TABLE connector_status IS 'The newest StatusNotification of each connector, by the station''s own time; by the time of receipt where it gave none, or one that is invalid. All of them are in ocpp_events.';
COMMENT ON COLUMN connector_status.event_time IS 'The station''s own time; the time of receipt where it gave none, or one that is invalid';
