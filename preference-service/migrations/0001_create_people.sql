-- People: who they are, what they say they like, what they do. Every table of a user is keyed by the
-- user first, so that the tables can be spread over machines by user without another key.
create table user_account (
    id           bigint generated always as identity primary key,
    username     text not null,
    email        text not null,
    -- What makes a name or an address the same as another: Unicode form NFKC in lower case, made by
    -- the service, since how a database folds case depends on where it was installed.
    username_key text not null,
    email_key    text not null,
    -- Argon2id in PHC's string form; null: signed up without a password.
    password_hash text,
    -- Rises with every change of the profile, under this row's lock; consumers of the feed keep the
    -- higher one.
    version      bigint not null default 1,
    created_at   timestamptz not null default now(),
    constraint username_taken unique (username_key),
    constraint email_taken unique (email_key),
    constraint username_length check (char_length(username) between 1 and 100),
    constraint email_length check (char_length(email) between 3 and 255)
);

-- At most one row a user; none: nothing was ever set.
create table preference (
    user_id            bigint primary key references user_account on delete cascade,
    id                 bigint generated always as identity,
    preferred_genres   text[] not null,
    -- Null: not set. Clients are shown a default, but nothing is filtered by it.
    preferred_language text,
    min_rating         float8 not null,
    updated_at         timestamptz not null default now(),
    constraint preferred_genres_count check (cardinality(preferred_genres) <= 50),
    constraint preferred_language_form check (preferred_language ~ '^[a-z]{2}$'),
    constraint min_rating_range check (min_rating between 0 and 10)
);

-- What users did, as it came; nothing is ever changed here. Ids are drawn under the lock of the
-- user's row, so that for one user they rise in the order of the commits, and reading backwards from
-- an id never misses one. The key serves newest-first lists too. The film is another service's,
-- hence no foreign key.
create table interaction (
    user_id          bigint not null references user_account on delete cascade,
    id               bigint generated always as identity,
    movie_id         bigint not null,
    interaction_type text not null,
    -- The clock's time, not the transaction's: it is read after the lock, so that it rises with the id.
    created_at       timestamptz not null default clock_timestamp(),
    primary key (user_id, id),
    constraint interaction_movie_positive check (movie_id > 0),
    constraint interaction_type_known
        check (interaction_type in ('like', 'dislike', 'watchlist', 'watched', 'superlike'))
);

-- Which films there are, as movie-service's feed tells it. A film that went away stays as a mark, so
-- that an older change that comes later does not bring it back.
create table movie (
    id      bigint primary key,
    version bigint not null,
    -- Null where all that is known of the film is that it went away.
    title   text,
    removed boolean not null
);

-- How far each feed that this service follows has been taken over.
create table feed_cursor (
    source text primary key,
    cursor text not null
);

-- What the feed says of a profile and of an interaction. Change records, the snapshot and the
-- internal path all read these views, so that they cannot differ.
create view user_profile_change as
select u.id as user_id,
       json_build_object(
           'user_id', u.id,
           'version', u.version,
           'preferred_genres', coalesce(p.preferred_genres, '{}'),
           'preferred_language', p.preferred_language,
           'min_rating', coalesce(p.min_rating, 0),
           'created_at', to_char(u.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       ) as payload
from user_account u
left join preference p on p.user_id = u.id;

create view interaction_change as
select i.user_id,
       i.id,
       json_build_object(
           'id', i.id,
           'user_id', i.user_id,
           'movie_id', i.movie_id,
           'interaction_type', i.interaction_type,
           'created_at', to_char(i.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       ) as payload
from interaction i;

-- The change feed's table; see chassis/src/feed.rs. Copied into each service's own migrations,
-- since a service owns its schema.
create table outbox (
    seq        bigint generated always as identity primary key,
    -- Readers see a row only when every older transaction has ended.
    xid        xid8 not null default pg_current_xact_id(),
    name       text not null,
    key        text not null,
    payload    json not null,
    created_at timestamptz not null default now()
);
create index outbox_position on outbox (xid, seq);

-- One row: which life of the database this is, and up to where records have expired.
create table outbox_state (
    only_row    boolean primary key default true check (only_row),
    epoch       uuid not null default gen_random_uuid(),
    expired_xid xid8 not null default '0',
    expired_seq bigint not null default 0
);
insert into outbox_state default values;
