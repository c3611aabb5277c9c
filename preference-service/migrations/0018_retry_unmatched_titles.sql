-- Titles of imports that were not found are looked for again: when a movie of that id or title comes into the catalogue, and
-- from time to time. Those of earlier imports only for the first reason.
alter table import_unmatched
    -- The next time to look; null: only when a movie arrives.
    add column due_at   timestamptz,
    add column attempts smallint not null default 0;
create index import_unmatched_due on import_unmatched (due_at) where due_at is not null;
create index import_unmatched_by_movie on import_unmatched (tmdb_id) where movie_id is null and tmdb_id is not null;
create index import_unmatched_by_title on import_unmatched (lower(title)) where movie_id is null and title is not null;
