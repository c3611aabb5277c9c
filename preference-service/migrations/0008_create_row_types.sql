-- The rows that the writer sends and reads whole, as composite values. They are types of their own, not the row
-- types of the tables, so that a migration that adds a column does not break the replicas of the release before.
create type user_movie_row as (
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
    completion_id    bigint
);

create type interaction_row as (
    user_id          bigint,
    id               bigint,
    movie_id         bigint,
    interaction_type text,
    created_at       timestamptz,
    occurred_at      timestamptz,
    rating           smallint,
    position_seconds int,
    duration_seconds int
);

create type movie_counts_row as (
    like_count      bigint,
    dislike_count   bigint,
    superlike_count bigint,
    bookmark_count  bigint,
    view_count      bigint,
    rating_count    bigint,
    rating_sum      bigint
);

-- A change of one hour's count of a chart.
create type chart_shift_row as (
    movie_id bigint,
    metric   text,
    hour     timestamptz,
    by       bigint
);
