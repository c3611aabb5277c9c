-- Viewings: the times that a user saw a movie. One row a day; a row of 1970-01-01 is one whose day is unknown, which counts
-- only while there is no other. Nothing is copied here: a movie that was completed before this migration, or by a replica
-- of the release before, has `viewing_count` 0, and its one viewing is that of `completed_at` until the writer stores it.
-- As with `user_movie`, repository/erasure.rs deletes the rows.
create table viewing (
    user_id    bigint      not null,
    movie_id   bigint      not null,
    day        date        not null,
    -- Midnight where only the day is known.
    viewed_at  timestamptz not null,
    -- In half stars.
    rating     smallint,
    rated_at   timestamptz,
    source     text,
    -- The newest event that reports it, and the newest that removes it: events before a removal count no more.
    added_at   timestamptz not null,
    removed_at timestamptz,
    primary key (user_id, movie_id, day),
    constraint viewing_rating_range check (rating between 1 and 10),
    constraint viewing_rating_has_time check ((rating is null) = (rated_at is null)),
    constraint viewing_source_form check (source ~ '^[a-z0-9][a-z0-9_-]{0,19}$')
);

alter table user_movie
    -- The viewings that count, and the time of the last one.
    add column viewing_count int not null default 0,
    add column viewed_at     timestamptz,
    -- The newest report of a playback position, the one of the furthest position, the newest removal of the movie from
    -- the watch history, and the newest mark of a media server that it was not played: reports may arrive in any order.
    add column progressed_at timestamptz,
    add column furthest_at   timestamptz,
    add column forgotten_at  timestamptz,
    add column unplayed_at   timestamptz;

-- Of an entry about a single viewing, its time; 1970-01-01T00:00Z: unknown. Of one that another site or a media server
-- reports, its name.
alter table interaction
    add column viewed_at timestamptz,
    add column source    text;

-- The viewings that count.
create view counted_viewing as
select v.user_id, v.movie_id, v.day, v.viewed_at, v.rating, v.source
from viewing v
join user_movie s using (user_id, movie_id)
where s.viewing_count > 0 and s.completed_at is not null
  and (v.removed_at is null or v.removed_at <= v.added_at)
  and (v.day <> '1970-01-01'
       or not exists (select from viewing d
                      where d.user_id = v.user_id and d.movie_id = v.movie_id and d.day <> '1970-01-01'
                        and (d.removed_at is null or d.removed_at <= d.added_at)))
union all
select user_id, movie_id, (completed_at at time zone 'utc')::date, completed_at, null, null
from user_movie
where viewing_count = 0 and completed_at is not null;

-- The rows that the writer sends, of types of their own, so that replicas of the release before keep theirs.
create type user_movie_row_v2 as (
    user_id          bigint,
    movie_id         bigint,
    version          bigint,
    reaction         text,
    reacted_at       timestamptz,
    reaction_id      bigint,
    bookmarked       boolean,
    bookmarked_at    timestamptz,
    bookmark_id      bigint,
    rating           smallint,
    rated_at         timestamptz,
    rating_id        bigint,
    position_seconds int,
    duration_seconds int,
    watched_seconds  int,
    watched_at       timestamptz,
    watch_id         bigint,
    completed_at     timestamptz,
    completion_id    bigint,
    viewing_count    int,
    viewed_at        timestamptz,
    progressed_at    timestamptz,
    furthest_at      timestamptz,
    forgotten_at     timestamptz,
    unplayed_at      timestamptz
);

create type interaction_row_v2 as (
    user_id          bigint,
    id               bigint,
    movie_id         bigint,
    interaction_type text,
    created_at       timestamptz,
    occurred_at      timestamptz,
    rating           smallint,
    position_seconds int,
    duration_seconds int,
    viewed_at        timestamptz,
    source           text
);

create type viewing_row as (
    user_id    bigint,
    movie_id   bigint,
    day        date,
    viewed_at  timestamptz,
    rating     smallint,
    rated_at   timestamptz,
    source     text,
    added_at   timestamptz,
    removed_at timestamptz
);

-- The same as before with the number of viewings and the last one, of movies that were watched again.
create or replace view interaction_change as
select s.user_id,
       i.id,
       json_strip_nulls(json_build_object(
           'id', i.id,
           'user_id', i.user_id,
           'movie_id', i.movie_id,
           'interaction_type', i.interaction_type,
           'rating', i.rating * 0.5::float8,
           'position_seconds', i.position_seconds,
           'duration_seconds', i.duration_seconds,
           'occurred_at', to_char(i.occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'created_at', to_char(i.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'state', json_build_object(
               'reaction', s.reaction,
               'reacted_at', to_char(s.reacted_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'bookmarked', s.bookmarked,
               'bookmarked_at', to_char(s.bookmarked_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'rating', s.rating * 0.5::float8,
               'rated_at', to_char(s.rated_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'watched', s.position_seconds is not null or s.completed_at is not null,
               'watched_seconds', s.watched_seconds,
               'watched_at', to_char(s.watched_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'completed', s.completed_at is not null,
               'completed_at', to_char(s.completed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'viewings', case when s.viewing_count > 1 then s.viewing_count end,
               'viewed_at', case when s.viewing_count > 1
                                 then to_char(s.viewed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end
           )
       )) as payload
from user_movie s
join interaction i on i.user_id = s.user_id and i.id = s.version;
