-- Reasons name directors and leading actors: the jobs of people are stored anew, from a snapshot.
update feed_cursor set cursor = null where source = 'movie-service';
