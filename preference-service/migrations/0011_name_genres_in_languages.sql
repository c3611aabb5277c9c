-- The names of a genre in other languages, by ISO 639 code, as the feed of movies has them: preferences may be written in
-- any of them. Other tags have none.
alter table tag add column names jsonb not null default '{}';
-- The genres that are known have no such names yet: their feed is read from a snapshot again.
delete from feed_cursor where source = 'movie-service';
