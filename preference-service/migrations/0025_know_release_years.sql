-- The year of a movie's release, for exports in the layouts of other sites, which know movies by title and year.
alter table movie add column release_year smallint;

-- The years of the movies so far: the feed is read from its snapshot again.
delete from feed_cursor where source = 'movie-service';
