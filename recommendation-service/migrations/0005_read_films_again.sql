-- Films are also found by runtime, votes, countries, keywords, people and who shows them: what the feed says
-- of them is kept anew, from a snapshot.
update feed_cursor set cursor = null where source = 'movie-service';
