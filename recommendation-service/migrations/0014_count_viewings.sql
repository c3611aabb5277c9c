-- How often a user watched a movie to its end, if more than once, and the last time. Null in rows of the release before.
alter table user_movie
    add column viewings  int,
    add column viewed_at timestamptz;
