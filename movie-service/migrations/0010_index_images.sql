-- Only images that the catalogue names are fetched from TMDB: posters and backdrops of movies, and logos of watch providers.
create index movie_by_poster on movie using hash (poster_path) where removed_at is null;
create index movie_by_backdrop on movie using hash (backdrop_path) where removed_at is null;

-- There are few logos, and nearly all movies have them, so that they stay when a movie goes.
create table provider_logo (
    path text primary key
);

insert into provider_logo (path)
select distinct offer ->> 'logo_path'
from movie, jsonb_array_elements(providers) offer
where offer ->> 'logo_path' is not null;
