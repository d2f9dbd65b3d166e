COMMENT ON COLUMN ocpp_events.digest IS 'XXH3-64 of the content; with direction, action and message id where the message has no time of its own';
COMMENT ON COLUMN ocpp_events.action IS 'OCPP action; may be empty for results that were not paired';
COMMENT ON TABLE exchange_halves IS 'Calls whose result matters and results that a call may wait for, until they are too old to be paired. Call and result may come in either order, through different workers.';
COMMENT ON COLUMN exchange_halves.half IS 'c = call of the station, r = its result; C = call of the CSMS that tells the store something, R = its result';
