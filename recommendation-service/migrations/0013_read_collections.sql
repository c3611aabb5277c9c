-- Movies are stored with their collection and TMDB's recommendations: anew, from a snapshot.
update feed_cursor set cursor = null where source = 'movie-service';
