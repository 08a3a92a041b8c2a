-- Whom the events that may still fire tell, and how.
CREATE INDEX events_client ON events ((action #>> '{params,client_name}'), (action #>> '{params,mode}'))
    WHERE action #>> '{params,client_name}' IS NOT NULL AND status IN ('active', 'paused');
