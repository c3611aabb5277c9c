-- Films by their titles, for lists that know no better: what is compared is the title without accents,
-- case and punctuation. The search index finds what is like it; this finds what is the same.
create function movie_title_key(title text) returns text
language sql immutable parallel safe strict
return btrim(regexp_replace(
    replace(lower(regexp_replace(normalize(title, nfkd), U&'[\0300-\036F]', '', 'g') collate "und-x-icu"),
            '&', ' and '),
    '[[:punct:][:space:]]+', ' ', 'g'));

-- Of its title, of the one in its own language, and of all others.
create function movie_title_keys(title text, original_title text, titles jsonb) returns text[]
language sql immutable parallel safe strict
return array[movie_title_key(title)]
    || case when original_title = title then '{}' else array[movie_title_key(original_title)] end
    || case when titles = '[]' then '{}'
            else array(select movie_title_key(other ->> 'title') from jsonb_array_elements(titles) other) end;

create index movie_by_title_key on movie using gin (movie_title_keys(title, original_title, titles))
    where removed_at is null;
