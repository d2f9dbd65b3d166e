-- Two more flags, and what a time that is invalid means where the newest counts.

CREATE OR REPLACE FUNCTION flag_names(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.name ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'time_zoneless'),
        (1, 'time_adjusted'),
        (2, 'time_invalid'),
        (3, 'time_future'),
        (4, 'text_replaced'),
        (5, 'value_not_number'),
        (6, 'multiplier_out_of_range'),
        (7, 'layout_in_row'),
        (8, 'duplicate_start'),
        (9, 'duplicate_stop'),
        (10, 'stop_before_start'),
        (11, 'meter_backwards'),
        (12, 'energy_implausible'),
        (13, 'shape'),
        (14, 'signed')
    ) AS f (bit, name)
    WHERE flags & (1 << f.bit) <> 0
$$;

CREATE OR REPLACE FUNCTION flag_meanings(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.meaning ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'the time had no zone and was taken as UTC'),
        (1, 'the time says more than an instant: 24:00, second 60, more than six decimals'),
        (2, 'the time is none, or outside 2010 to 2100'),
        (3, 'the time is later than the time of receipt'),
        (4, 'part of the message could not be stored as it was; payload_raw has the message as received'),
        (5, 'a sampled value is not a number'),
        (6, 'a multiplier beyond +-15, which views do not apply'),
        (7, 'the station sends too many different sets of samples; the row describes itself'),
        (8, 'several different starts'),
        (9, 'several different ends'),
        (10, 'the end is before the start'),
        (11, 'the meter at the end is below the meter at the start'),
        (12, 'more energy than 500 kW would give in the time'),
        (13, 'an object where OCPP has a list, taken as a list of one'),
        (14, 'a sampled value is signed data, kept as it was sent')
    ) AS f (bit, meaning)
    WHERE flags & (1 << f.bit) <> 0
$$;

COMMENT ON TABLE connector_status IS 'The newest StatusNotification of each connector, by the station''s own time; by the time of receipt where it gave none, or one that is invalid. All of them are in ocpp_events.';
COMMENT ON COLUMN connector_status.event_time IS 'The station''s own time; the time of receipt where it gave none, or one that is invalid';
