-- The collection (series) of a movie as TMDB has it, {"id": 10, "name": "…"}; null if it belongs to none.
alter table movie add column collection jsonb;
-- TMDB's ids of the movies that it recommends beside this one, the best first.
alter table movie add column recommended bigint[] not null default '{}';

-- Recommendations were not requested so far; collections are in the stored documents.
update movie set collection = jsonb_build_object(
        'id', document #> '{belongs_to_collection,id}', 'name', document #> '{belongs_to_collection,name}')
where jsonb_typeof(document #> '{belongs_to_collection,id}') = 'number'
  and jsonb_typeof(document #> '{belongs_to_collection,name}') = 'string';

-- Changes carry both.
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
           'collection_id', m.collection -> 'id',
           'recommended', m.recommended,
           'providers', coalesce((select json_agg(json_build_object('region', p ->> 'region',
                                      'type', p ->> 'type', 'id', p -> 'provider_id',
                                      'name', p ->> 'provider_name'))
                                  from jsonb_array_elements(m.providers) p), '[]')
       ) as payload
from movie m
where m.removed_at is null;
