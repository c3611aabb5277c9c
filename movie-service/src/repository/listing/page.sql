select m.id as "id: MovieId", m.version, m.title, m.original_title, m.original_language, m.release_date, m.runtime,
    m.popularity, m.vote_average, m.vote_count, m.poster_path, m.backdrop_path, m.imdb_id, m.countries, m.synced_at,
    case when $2 then m.overview else '' end as "overview!",
    case when $3 then array(select g.name from genre g where g.id = any (m.genre_ids) order by g.name)
        else '{}' end as "genres!",
    case when $4 then m.keywords else '[]' end as "keywords!: Json<Vec<Keyword>>",
    case when $5 then m.people else '[]' end as "people!: Json<Vec<Person>>",
    case when $6 then m.providers else '[]' end as "providers!: Json<Vec<Provider>>"
from movie m
where m.id = any ($1) and m.removed_at is null
