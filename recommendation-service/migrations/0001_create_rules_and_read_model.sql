-- The rules by which films are scored, and their weights.
create table rule (
    id         bigint generated always as identity primary key,
    name       text not null,
    rule_type  text not null,
    weight     float8 not null,
    is_active  boolean not null default true,
    created_at timestamptz not null default now(),
    constraint rule_type_unique unique (rule_type),
    constraint rule_type_known check (rule_type in ('popularity', 'recency', 'genre_match')),
    constraint rule_weight_finite check (weight > '-infinity' and weight < 'infinity')
);
insert into rule (name, rule_type, weight) values
    ('Popularity Score', 'popularity', 0.4),
    ('Recency Bonus', 'recency', 0.3),
    ('Genre Match', 'genre_match', 0.3);

-- What the service knows of others' data, so that a process that starts need not ask for all of it.
-- The payloads are the feed's. A film that was removed stays as a tombstone, so that an older change
-- that is read again does not bring it back.
create table movie (
    id      bigint primary key,
    version bigint not null,
    payload jsonb
);
create table user_profile (
    user_id bigint primary key,
    version bigint not null,
    payload jsonb not null
);
create table interaction (
    user_id          bigint not null,
    id               bigint not null,
    movie_id         bigint not null,
    interaction_type text not null,
    created_at       timestamptz not null,
    primary key (user_id, id)
);

-- Up to where each feed is in those tables.
create table feed_cursor (
    source text primary key,
    cursor text
);
insert into feed_cursor (source) values ('movie-service'), ('preference-service');
