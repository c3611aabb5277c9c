-- Texts in other languages.

-- Names of genres by language (ISO 639): {"ko": "드라마"}. People have theirs in movie.people: [{id, name, job, names}],
-- without names where none are known.
alter table genre add column names jsonb not null default '{}';

-- Titles and overviews as TMDB translates them, empty where they are not; those equal to the movie's own are left out.
create table movie_translation (
    movie_id bigint not null references movie on delete cascade,
    -- ISO 639.
    language text not null,
    -- ISO 3166-1; empty if there is none.
    region   text not null,
    title    text not null,
    overview text not null,
    primary key (movie_id, language, region)
);

insert into movie_translation (movie_id, language, region, title, overview)
select distinct on (m.id, t.language, t.region) m.id, t.language, t.region, t.title, t.overview
from movie m
cross join lateral (
    select lower(btrim(e ->> 'iso_639_1')) as language,
           coalesce(substring(upper(btrim(e ->> 'iso_3166_1')) from '^(?:[A-Z]{2}|[0-9]{3})$'), '') as region,
           btrim(coalesce(e #>> '{data,title}', '')) as title,
           btrim(coalesce(e #>> '{data,overview}', ''), E' \n\r\t') as overview,
           place
    from jsonb_array_elements(case jsonb_typeof(m.document #> '{translations,translations}')
                                   when 'array' then m.document #> '{translations,translations}'
                                   else '[]' end) with ordinality as list (e, place)
) t
where t.language ~ '^[a-z]{2,3}$'
  and (t.title not in ('', m.title) or t.overview not in ('', btrim(m.overview, E' \n\r\t')))
order by m.id, t.language, t.region, t.place;

-- Changes carry the names of genres in other languages, where known; those of people are in people.
create or replace view movie_change as
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
           'genres', coalesce((select json_agg(case g.names
                                          when '{}' then json_build_object('id', g.id, 'name', g.name)
                                          else json_build_object('id', g.id, 'name', g.name, 'names', g.names) end
                                      order by g.name)
                               from genre g where g.id = any (m.genre_ids)), '[]'),
           'countries', m.countries,
           'keywords', m.keywords,
           'people', m.people,
           'titles', m.titles,
           'providers', coalesce((select json_agg(json_build_object('region', p ->> 'region',
                                      'type', p ->> 'type', 'id', p -> 'provider_id',
                                      'name', p ->> 'provider_name'))
                                  from jsonb_array_elements(m.providers) p), '[]')
       ) as payload
from movie m
where m.removed_at is null;
