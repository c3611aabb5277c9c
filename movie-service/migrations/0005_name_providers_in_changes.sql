-- Who filters by providers may write their names: changes tell them, as they tell those of genres and people.
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
           'genres', coalesce((select json_agg(json_build_object('id', g.id, 'name', g.name) order by g.name)
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
