-- An answer as an OCPP-J array does not name its action. From now on its row has that of its call, and
-- the digest of an answer does not cover the action. Rows that are there keep their digests, by which
-- they are recognised, and an empty action until a copy that names it or the call comes again.
COMMENT ON COLUMN ocpp_events.digest IS 'XXH3-64 of the content; with direction, action (not of results and errors) and message id where the message has no time of its own. Rows of versions before 000023 have the action in it where a result or error named it.';
COMMENT ON COLUMN ocpp_events.action IS 'OCPP action; of a result or error that did not name it, that of its call. Empty while neither the call nor a copy that names it is known.';
COMMENT ON TABLE exchange_halves IS 'Calls whose result matters, results that a call may wait for, and answers that do not name their action with the calls that do, until they are too old to be paired. Call and answer may come in either order, through different workers.';
COMMENT ON COLUMN exchange_halves.half IS 'c = call of the station, r = its result or error; C = call of the CSMS, R = its result or error';
