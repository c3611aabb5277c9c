-- Run once by the PostgreSQL image of docker-compose.yml, when its volume is empty: one database for each service
-- that owns data. The services make their tables themselves.
create database movie_service;
create database user_preference_service;
create database recommendation_service;
