-- Rows of the service's own export: reactions besides likes, and playback positions. `liked_at` is still written, for
-- replicas of the release before.
alter table import_entry
    add column reaction          text,
    add column reacted_at        timestamptz,
    add column position_seconds  int,
    add column duration_seconds  int,
    add column progressed_at     timestamptz;
