-- Lists are decided in memory, by an index that each replica keeps of its own; films of a page are then
-- read by their ids. These served the orders of lists, cost every write, and nobody reads them any more.
drop index movie_by_popularity;
drop index movie_by_title;
drop index movie_by_release_date;
drop index movie_by_release_date_nulls_high;

-- TMDB's terms: nothing is kept for longer than six months without asking again. What was asked for
-- longest ago is found here; a film of a dump counts from the day on which the dump was imported.
create index movie_by_age on movie (greatest(synced_at, created_at)) where removed_at is null;
