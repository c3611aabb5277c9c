-- The catalogue. Ids are TMDB's. What lists filter and sort by stands in columns; the document as
-- TMDB sent it stands beside them, so that a field we come to need is there already.
create table genre (
    id   int primary key,
    name text not null
);

create table movie (
    id                bigint primary key,
    title             text not null,
    original_title    text not null,
    original_language text not null,
    overview          text not null,
    release_date      date,
    -- Minutes; null where TMDB does not know.
    runtime           int,
    popularity        float8 not null,
    vote_average      float8 not null,
    vote_count        int not null,
    poster_path       text,
    backdrop_path     text,
    imdb_id           text,
    adult             boolean not null,
    genre_ids         int[] not null,
    -- Where it was produced, ISO 3166-1.
    countries         text[] not null,
    -- [{id, name}], and of credits the directors, writers and first ten of the cast:
    -- [{id, name, job}].
    keywords          jsonb not null,
    people            jsonb not null,
    -- Where to watch it: [{region, type, provider_id, provider_name, logo_path, display_priority, link}].
    providers         jsonb not null,
    -- Its other titles, translated and alternative: [{title, language, country}].
    titles            jsonb not null,
    document          jsonb not null,
    -- Of the document: a refresh that brings the same changes nothing and tells nobody.
    source_hash       text not null,
    -- Rises with every change; consumers of the feed keep the higher one.
    version           bigint not null default 1,
    synced_at         timestamptz not null default now(),
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    -- When TMDB no longer knew it. The row stays, so that its version goes on rising if it returns.
    removed_at        timestamptz,
    constraint movie_runtime_positive check (runtime > 0),
    constraint movie_popularity_finite check (popularity >= 0 and popularity < 'infinity'),
    constraint movie_vote_average_range check (vote_average between 0 and 10),
    constraint movie_vote_count_positive check (vote_count >= 0)
);

-- One index for each order that /movies offers; the id breaks ties, so that every order is total.
-- Films without a date come last both ways, hence two.
create index movie_by_popularity on movie (popularity, id);
create index movie_by_title on movie (title collate "und-x-icu", id);
create index movie_by_release_date on movie (coalesce(release_date, '-infinity'), id);
create index movie_by_release_date_nulls_high on movie (coalesce(release_date, 'infinity'), id);

-- For clients that know IMDb's id alone.
create index movie_by_imdb_id on movie (imdb_id) where imdb_id is not null;

-- What the feed says of a film; used for change records and for the snapshot alike, so that the
-- two cannot differ.
create view movie_change as
select m.id,
       json_build_object(
           'id', m.id,
           'version', m.version,
           'title', m.title,
           'original_title', m.original_title,
           'original_language', m.original_language,
           'release_date', m.release_date,
           'runtime', m.runtime,
           'popularity', m.popularity,
           'vote_average', m.vote_average,
           'vote_count', m.vote_count,
           'poster_path', m.poster_path,
           'genres', coalesce((select json_agg(json_build_object('id', g.id, 'name', g.name) order by g.name)
                               from genre g where g.id = any (m.genre_ids)), '[]'),
           'countries', m.countries,
           'keywords', m.keywords,
           'people', m.people,
           'titles', m.titles,
           'providers', coalesce((select json_agg(json_build_object('region', p ->> 'region',
                                      'type', p ->> 'type', 'id', p -> 'provider_id'))
                                  from jsonb_array_elements(m.providers) p), '[]')
       ) as payload
from movie m
where m.removed_at is null;

-- Long work. A job that runs holds a lease; a process that dies leaves one that runs out.
create table job (
    id          uuid primary key,
    kind        text not null,
    status      text not null,
    total       int not null default 0,
    processed   int not null default 0,
    succeeded   int not null default 0,
    failed      int not null default 0,
    failures    jsonb not null default '[]',
    lease_until timestamptz not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint job_status_known check (status in ('pending', 'running', 'succeeded', 'failed'))
);
create unique index job_one_running on job (kind) where status = 'running';

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
