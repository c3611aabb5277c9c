-- Where each user stands with each film, kept beside the log of what they did: the log tells how it
-- came to be, and can be replayed to it. A component (reaction, bookmark, rating, watch) that was
-- taken back keeps the time and the interaction that took it back, so that an older event that comes
-- later, from an import, does not bring it back.
alter table interaction drop constraint interaction_type_known;
alter table interaction
    -- When the user did it; earlier than created_at where it was told of later.
    add column occurred_at      timestamptz,
    -- In half stars.
    add column rating           smallint,
    add column position_seconds int,
    add column duration_seconds int;
update interaction set occurred_at = created_at;
alter table interaction
    alter column occurred_at set not null,
    alter column occurred_at set default clock_timestamp(),
    add constraint interaction_type_known
        check (interaction_type in ('like', 'dislike', 'superlike', 'reaction_removed', 'watchlist',
            'bookmark_removed', 'rating', 'rating_removed', 'progress', 'watched', 'watch_removed')),
    add constraint interaction_rating_range check (rating between 1 and 10);

-- An id that a component names is that of the interaction that made it what it is.
create table user_movie (
    user_id          bigint not null references user_account on delete cascade,
    movie_id         bigint not null,
    -- The id of the last interaction that changed anything; consumers of the feed keep the higher one.
    version          bigint not null,
    reaction         text,
    reacted_at       timestamptz,
    reaction_id      bigint,
    bookmarked       boolean not null,
    bookmarked_at    timestamptz,
    bookmark_id      bigint,
    -- In half stars.
    rating           smallint,
    rated_at         timestamptz,
    rating_id        bigint,
    -- Where the user stopped last, of how much; null where only the fact is known.
    position_seconds int,
    duration_seconds int,
    -- The furthest point reached: each minute counts once, however often it is watched.
    watched_seconds  int not null,
    watched_at       timestamptz,
    watch_id         bigint,
    completed_at     timestamptz,
    completion_id    bigint,
    primary key (user_id, movie_id),
    constraint user_movie_reaction_known check (reaction in ('like', 'dislike', 'superlike')),
    constraint user_movie_rating_range check (rating between 1 and 10),
    constraint user_movie_position_range check (position_seconds between 0 and duration_seconds),
    constraint user_movie_watched_positive check (watched_seconds >= 0)
-- Room for new versions of a row on its own page, so that no index needs to be touched.
) with (fillfactor = 80);

-- How many users stand so with a film; moved with every change of user_movie, in its transaction.
create table movie_stats (
    movie_id        bigint primary key,
    like_count      bigint not null,
    dislike_count   bigint not null,
    superlike_count bigint not null,
    bookmark_count  bigint not null,
    -- Who watched it to its end.
    view_count      bigint not null,
    rating_count    bigint not null,
    -- In half stars.
    rating_sum      bigint not null
) with (fillfactor = 50);

-- What was done so far. Of a reaction that was repeated the first counts, as it does from now on.
with reacted as (
    select distinct on (user_id, movie_id) user_id, movie_id, interaction_type, created_at, id
    from (select user_id, movie_id, interaction_type, created_at, id,
                 lag(interaction_type) over (partition by user_id, movie_id order by id) as before
          from interaction
          where interaction_type in ('like', 'dislike', 'superlike')) as reaction
    where before is distinct from interaction_type
    order by user_id, movie_id, id desc
), bookmarked as (
    select distinct on (user_id, movie_id) user_id, movie_id, created_at, id
    from interaction where interaction_type = 'watchlist' order by user_id, movie_id, id
), watched as (
    select distinct on (user_id, movie_id) user_id, movie_id, created_at, id
    from interaction where interaction_type = 'watched' order by user_id, movie_id, id
)
insert into user_movie (user_id, movie_id, version, reaction, reacted_at, reaction_id, bookmarked,
    bookmarked_at, bookmark_id, watched_seconds, watched_at, watch_id, completed_at, completion_id)
select user_id, movie_id, greatest(r.id, b.id, w.id), r.interaction_type, r.created_at, r.id,
       b.id is not null, b.created_at, b.id, 0, w.created_at, w.id, w.created_at, w.id
from reacted r
full join bookmarked b using (user_id, movie_id)
full join watched w using (user_id, movie_id);

insert into movie_stats (movie_id, like_count, dislike_count, superlike_count, bookmark_count,
    view_count, rating_count, rating_sum)
select movie_id, count(*) filter (where reaction = 'like'), count(*) filter (where reaction = 'dislike'),
       count(*) filter (where reaction = 'superlike'), count(*) filter (where bookmarked),
       count(completed_at), count(rating), coalesce(sum(rating), 0)
from user_movie
group by movie_id;

-- What a film is about, for what users like: by id, the names apart.
alter table movie
    add column genre_ids   bigint[] not null default '{}',
    add column keyword_ids bigint[] not null default '{}',
    -- Its directors and the first of its cast.
    add column person_ids  bigint[] not null default '{}',
    add column language    text;
create table tag (
    kind text not null,
    id   bigint not null,
    name text not null,
    primary key (kind, id),
    constraint tag_kind_known check (kind in ('genre', 'keyword', 'person'))
);
create index tag_by_name on tag (kind, lower(name));
-- The films that are known have no tags yet: their feed is read from a snapshot again.
delete from feed_cursor where source = 'movie-service';

-- What a user says of their own taste; stands until they take it back.
create table taste_edit (
    user_id   bigint not null references user_account on delete cascade,
    kind      text not null,
    -- The tag's id, or a language's code.
    tag       text not null,
    score     float8 not null,
    edited_at timestamptz not null default clock_timestamp(),
    primary key (user_id, kind, tag),
    constraint taste_edit_kind_known check (kind in ('genre', 'keyword', 'person', 'language')),
    constraint taste_edit_score_range check (score between -100 and 100)
);

-- The proof that somebody was erased, and all that is left of them.
create table erasure (
    user_id   bigint primary key,
    erased_at timestamptz not null default clock_timestamp()
);

-- Of whom a change record tells, so that those of somebody who is erased are found.
alter table outbox add column user_id bigint;
update outbox set user_id = (payload ->> 'user_id')::bigint;
create index outbox_by_user on outbox (user_id) where user_id is not null;

create or replace view user_profile_change as
select u.id as user_id,
       json_build_object(
           'user_id', u.id,
           'version', u.version,
           'preferred_genres', coalesce(p.preferred_genres, '{}'),
           'preferred_language', p.preferred_language,
           'min_rating', coalesce(p.min_rating, 0),
           'taste_edits', coalesce((select json_agg(json_build_object('kind', e.kind, 'tag', e.tag,
                                        'score', e.score) order by e.kind, e.tag)
                                    from taste_edit e where e.user_id = u.id), '[]'),
           'created_at', to_char(u.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       ) as payload
from user_account u
left join preference p on p.user_id = u.id;

-- What the feed says of where a user stands with a film: the last interaction, and what it led to.
-- The writer makes the same for the records as they come.
drop view interaction_change;
create view interaction_change as
select s.user_id,
       i.id,
       json_build_object(
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
               'completed_at', to_char(s.completed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           )
       ) as payload
from user_movie s
join interaction i on i.user_id = s.user_id and i.id = s.version;
