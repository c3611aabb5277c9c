//! Derived data agrees with the interaction log, and differences are found.

use futures_util::future::join_all;
use preference_service::{
    database::MIGRATOR,
    models::HalfLife,
    service::verification::{Findings, verify},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::TestApp;

async fn findings(pool: &PgPool) -> Findings {
    let half_life = HalfLife { days: 180.0 };
    verify(pool, chrono::Utc::now(), half_life)
        .await
        .expect("findings")
}

#[sqlx::test]
async fn derived_data_agrees_after_concurrent_writes_and_damage_is_found(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    for film in 700..706 {
        let genres = json!([{"id": film % 3, "name": "a genre"}]);
        let payload = json!({"id": film, "version": 1, "title": "a film", "genres": genres});
        movies.tell("movie.synced", film, payload);
    }
    app.knows_films(8).await;
    let mut users = Vec::new();
    for name in ["anna", "boris", "chloé"] {
        users.push(app.user(name).await);
    }
    join_all((0..240_i64).map(|number| {
        let (app, user) = (
            &app,
            users[usize::try_from(number).expect("small") % users.len()],
        );
        async move {
            let film = 700 + number * 7 % 6;
            let (list, body) = match number * 11 % 9 {
                0 => ("reactions", json!({"reaction": "like"})),
                1 => ("reactions", json!({"reaction": "dislike"})),
                2 => ("bookmarks", json!({})),
                3 => ("ratings", json!({"rating": (number % 10 + 1) as f64 / 2.0})),
                4 => (
                    "watch",
                    json!({"position_seconds": number, "duration_seconds": 240}),
                ),
                5 => ("reactions", Value::Null),
                6 => ("watch", Value::Null),
                7 => ("bookmarks", Value::Null),
                _ => ("ratings", Value::Null),
            };
            let path = format!("/api/v1/users/{user}/{list}/{film}");
            let response = if body.is_null() {
                app.delete(&path).await
            } else {
                app.put(&path, body).await
            };
            assert!(response.status.is_success(), "{}", response.text);
        }
    }))
    .await;
    let clean = findings(&pool).await;
    assert!(clean.is_clean(), "{clean}");
    assert_eq!(clean.users, 3);
    assert_eq!(
        clean.interactions,
        app.count("interaction").await.unsigned_abs()
    );

    let pairs: i64 = sqlx::query_scalar("select count(*) from user_movie")
        .fetch_one(&pool)
        .await
        .expect("a count");
    for (damage, states, counters) in [
        (
            "update movie_stats set like_count = like_count + 1 where movie_id = 700",
            0,
            1,
        ),
        (
            "update user_movie set reaction = 'superlike', reacted_at = now(), reaction_id = 1
             where (user_id, movie_id) = (select user_id, movie_id from user_movie
                                          where movie_id = 701 limit 1)",
            1,
            2,
        ),
        ("delete from user_movie; delete from movie_stats", pairs, 0),
    ] {
        sqlx::raw_sql(damage).execute(&pool).await.expect("damage");
        let found = findings(&pool).await;
        let differences = (found.state_differences, found.counter_differences);
        let expected = (states.unsigned_abs(), counters);
        assert_eq!(differences, expected, "{found}");
        assert_eq!(found.taste_differences > 0, states == 1, "{found}");
    }
}

#[sqlx::test(migrations = false)]
async fn the_migration_to_states_replays_the_log(pool: PgPool) {
    let mut connection = pool.acquire().await.expect("a connection");
    MIGRATOR
        .run_to(2, &mut *connection)
        .await
        .expect("the old schema");
    sqlx::raw_sql(
        "insert into user_account (username, email, username_key, email_key)
         select name, name, name, name from unnest('{anna,boris}'::text[]) name;
         insert into interaction (user_id, movie_id, interaction_type)
         select u.id, 603 + number % 2, (array['like', 'like', 'watchlist', 'dislike', 'like',
                'superlike', 'watched', 'superlike', 'watched', 'watchlist'])[1 + number * u.id % 10]
         from user_account u, generate_series(0, 30) number
         order by number",
    )
    .execute(&mut *connection)
    .await
    .expect("interactions");
    MIGRATOR
        .run(&mut *connection)
        .await
        .expect("the new schema");
    drop(connection);
    let found = findings(&pool).await;
    assert!(found.is_clean() && found.interactions == 62, "{found}");
    let states: i64 =
        sqlx::query_scalar("select count(*) from user_movie where reaction is not null")
            .fetch_one(&pool)
            .await
            .expect("a count");
    assert_eq!(states, 4);
}
