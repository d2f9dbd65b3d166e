DROP INDEX exchange_halves_trace, authorizations_timeless, ocpp_events_timeless;
DELETE FROM exchange_halves WHERE half IN ('C', 'R');
