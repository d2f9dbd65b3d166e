DROP VIEW local_list_entries, local_lists, event_streams, refused_results;
DROP INDEX ocpp_events_result_errors;
