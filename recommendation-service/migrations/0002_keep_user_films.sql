-- Where users stand with films, as the feed of preference-service tells it: the last state of each pair
-- takes the place of the log. What is recommended is read from it, and models are trained on it.
create table user_movie (
    user_id         bigint not null,
    movie_id        bigint not null,
    -- The id of the last interaction; the higher one wins.
    version         bigint not null,
    reaction        text,
    reacted_at      timestamptz,
    bookmarked      boolean not null,
    bookmarked_at   timestamptz,
    -- In stars, 0.5 to 5.
    rating          float4,
    rated_at        timestamptz,
    watched         boolean not null,
    watched_seconds int not null,
    watched_at      timestamptz,
    completed_at    timestamptz,
    -- When the last interaction happened, and when it was stored.
    occurred_at     timestamptz not null,
    created_at      timestamptz not null,
    primary key (user_id, movie_id)
);
drop table interaction;
-- What the feed says has changed: it is read from a snapshot again.
update feed_cursor set cursor = null where source = 'preference-service';
