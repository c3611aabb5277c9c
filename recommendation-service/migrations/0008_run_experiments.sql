create table experiment (
    id             bigint generated always as identity primary key,
    name           text not null,
    description    text not null,
    -- What its variants may differ in. One experiment runs in a layer at a time; those of different
    -- layers are independent of each other, since each deals users out by a salt of its own.
    layer          text not null,
    salt           text not null default gen_random_uuid()::text,
    traffic        float8 not null,
    window_seconds bigint not null,
    outcome_cap    int not null,
    planned_users  int not null,
    alpha          float8 not null,
    variants       jsonb not null,
    created_by     text,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    stopped_at     timestamptz,
    constraint experiment_traffic_share check (traffic >= 0 and traffic <= 1)
);
create unique index experiment_running_name on experiment (name) where stopped_at is null;
create unique index experiment_running_layer on experiment (layer) where stopped_at is null;

-- A user's first list in an experiment. What they do with the films that they are shown from then until
-- due_at is their one outcome; once it is counted it stays, as sequential tests need it.
create table exposure (
    user_id         bigint not null,
    experiment_id   bigint not null references experiment (id),
    variant         int not null,
    exposed_at      timestamptz not null,
    due_at          timestamptz not null,
    settled_at      timestamptz,
    impressions     bigint not null default 0,
    outcomes        bigint not null default 0,
    -- Of films that were not shown to learn about them: Σ outcome ÷ propensity, and Σ 1 ÷ propensity.
    ranked_outcomes float8 not null default 0,
    ranked_weights  float8 not null default 0,
    primary key (user_id, experiment_id)
);
create index exposure_due on exposure (due_at) where settled_at is null;
create index exposure_order on exposure (experiment_id, due_at, user_id);

-- A film that a user was shown, once for each experiment that they were in then; of no experiment: 0,
-- which is counted for the film. Gone when it is counted.
create table impression (
    user_id       bigint not null,
    movie_id      bigint not null,
    experiment_id bigint not null,
    -- In the list, from 1.
    position      int not null,
    -- The chance that this film, and no other, stood there.
    propensity    float8 not null,
    is_explored   boolean not null,
    shown_at      timestamptz not null,
    due_at        timestamptz not null,
    primary key (user_id, movie_id, experiment_id),
    constraint impression_propensity_share check (propensity > 0 and propensity <= 1)
);
create index impression_due on impression (due_at) where experiment_id = 0;

-- How films did when they were shown.
create table film_trial (
    movie_id    bigint primary key,
    impressions bigint not null,
    outcomes    bigint not null,
    updated_at  timestamptz not null
);
create index film_trial_updated on film_trial (updated_at);
