//! The commands that train and export, as processes.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use chassis::testing::{eventually, free_port};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use recommendation_service::registry::repository::{self, ModelKind};
use recommender::model_file::{self, Manifest, ModelParts};
use sqlx::{ConnectOptions, PgPool};
use tokio::{io::AsyncReadExt, process::Command};

/// `recommendation-service` over `pool`.
pub(crate) fn program(pool: &PgPool) -> Command {
    let url = pool.connect_options().to_url_lossy();
    let mut command = Command::new(env!("CARGO_BIN_EXE_recommendation-service"));
    command
        .env("DATABASE_URL", url.as_str())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("marquee-{name}-{}", std::process::id()))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `recommendation-service train` over `pool`, small enough for an unoptimized program.
async fn train(pool: &PgPool, more: &[&str]) -> Output {
    program(pool)
        .arg("train")
        .args([
            "--set",
            "ials.dimensions=4",
            "--set",
            "ials.regularization=0.02",
        ])
        .args([
            "--set",
            "ease.regularization=20",
            "--set",
            "spectral.dimensions=4",
        ])
        .args(more)
        .output()
        .await
        .unwrap()
}

/// Adds users of two tastes, who like two movies of three of the even or the odd ones.
async fn add_tastes(pool: &PgPool, users: i64) {
    sqlx::query(
        "insert into user_movie (user_id, movie_id, version, reaction, bookmarked, watched,
             watched_seconds, occurred_at, created_at)
         select u, 100 + f, u * 1000 + f, 'like', false, false, 0,
                timestamptz '2025-01-01' + make_interval(mins => (u * 31 + f * 17)::int % 400),
                timestamptz '2025-01-01'
         from generate_series(1, $1::bigint) as u, generate_series(0, 59) as f
         where f % 2 = u % 2 and (f / 2 + u / 2) % 3 > 0
         on conflict do nothing",
    )
    .bind(users)
    .execute(pool)
    .await
    .unwrap();
}

async fn versions(pool: &PgPool) -> (Option<i64>, Vec<repository::ModelRow>) {
    let mut all = repository::list(pool).await.unwrap();
    all.reverse();
    (repository::live(pool, ModelKind::Own).await.unwrap(), all)
}

#[sqlx::test]
async fn training_goes_live_if_it_is_better_and_the_same_data_gives_the_same_bytes(pool: PgPool) {
    add_tastes(&pool, 40).await;
    let output = train(&pool, &[]).await;
    let stderr = stderr(&output);
    let (live, all) = versions(&pool).await;
    assert_eq!((live, all.len()), (Some(1), 1), "{stderr}");
    assert!(
        all[0].manifest.metrics["blend"]["ndcg@10"] > 0.3,
        "{stderr}"
    );
    assert_eq!(all[0].manifest.users, 40);

    // The same again is not better.
    train(&pool, &[]).await;
    let (live, all) = versions(&pool).await;
    assert_eq!((live, all.len()), (Some(1), 2));
    assert_eq!(all[0].sha256, all[1].sha256);
    train(&pool, &["--seed", "2"]).await;
    let (_, all) = versions(&pool).await;
    assert_ne!(all[0].sha256, all[2].sha256);
    train(&pool, &["--promote"]).await;
    assert_eq!(versions(&pool).await.0, Some(4));
}

#[sqlx::test]
async fn content_and_taste_are_weighed_if_the_catalogue_has_tags(pool: PgPool) {
    add_tastes(&pool, 40).await;
    train(&pool, &[]).await;
    sqlx::query(
        "insert into movie (id, version, payload)
         select 100 + f, 1, jsonb_build_object('id', 100 + f, 'version', 1, 'title', 'Film ' || f,
             'original_language', 'en', 'popularity', 1, 'vote_average', 5, 'vote_count', 1,
             'genres', json_build_array(json_build_object('id', f % 2, 'name', 'Genre ' || f % 2)),
             'countries', '[]'::json, 'keywords', '[]'::json, 'people', '[]'::json,
             'providers', '[]'::json)
         from generate_series(0, 59) as f",
    )
    .execute(&pool)
    .await
    .unwrap();
    let output = train(&pool, &[]).await;
    let (_, all) = versions(&pool).await;
    let with_tags = |at: usize| all[at].manifest.metrics.get("blend_and_tags");
    assert_eq!((all.len(), with_tags(0)), (2, None), "{}", stderr(&output));
    let (blend, with_tags) = (&all[1].manifest.metrics["blend"], with_tags(1).unwrap());
    assert!(
        with_tags["ndcg@10"] > blend["ndcg@10"] * 0.9,
        "{}",
        stderr(&output)
    );
    assert!(all[1].manifest.parameters.contains_key("blend.content"));
}

#[sqlx::test]
async fn a_version_worse_than_the_live_one_does_not_go_live(pool: PgPool) {
    add_tastes(&pool, 40).await;
    train(&pool, &[]).await;
    assert_eq!(versions(&pool).await.0, Some(1));
    let only_popular = ["blend.ease=0", "blend.ials=0", "blend.spectral=0"];
    let worse: Vec<&str> = only_popular
        .iter()
        .flat_map(|set| ["--set", *set])
        .collect();
    let output = train(&pool, &worse).await;
    assert!(output.status.success());
    let (live, all) = versions(&pool).await;
    assert_eq!((live, all.len()), (Some(1), 2));
}

#[sqlx::test]
async fn factors_fitted_elsewhere_become_a_version(pool: PgPool) {
    add_tastes(&pool, 40).await;
    let out = temporary("factors");
    let file = out.to_string_lossy().into_owned();
    let written = train(&pool, &["--out", &file]).await;
    assert!(written.status.success());
    assert!(versions(&pool).await.1.is_empty(), "only the file");
    let (_, parts) = model_file::decode(&std::fs::read(&out).unwrap()).unwrap();
    // As another trainer would write it: factors alone, and no manifest.
    let lone = ModelParts {
        films: parts.films,
        ials: parts.ials,
        ..ModelParts::default()
    };
    std::fs::write(
        &out,
        model_file::encode(&Manifest::default(), &lone).unwrap(),
    )
    .unwrap();
    let output = train(&pool, &["--from", &file]).await;
    let (live, all) = versions(&pool).await;
    let stderr = stderr(&output);
    assert_eq!((live, all.len()), (Some(1), 1), "{stderr}");
    assert!(all[0].manifest.metrics.contains_key("ials"));

    std::fs::write(&out, b"not models").unwrap();
    let refused = train(&pool, &["--from", &file]).await;
    std::fs::remove_file(&out).unwrap();
    assert!(!refused.status.success());
    assert_eq!(versions(&pool).await.1.len(), 1);
}

#[sqlx::test]
async fn too_little_to_measure_on_is_told_and_nothing_is_written(pool: PgPool) {
    add_tastes(&pool, 2).await;
    let output = train(&pool, &[]).await;
    assert!(!output.status.success());
    let stderr = stderr(&output);
    assert!(stderr.contains("too few to measure on"), "{stderr}");
    assert!(versions(&pool).await.1.is_empty());
}

#[sqlx::test]
async fn training_that_takes_more_memory_than_it_may_ends_itself_and_writes_nothing(pool: PgPool) {
    let data = temporary("ratings.csv");
    let mut lines = "userId,movieId,rating,timestamp\n".to_owned();
    for film in 0..30_000 {
        lines += &format!("{},{},5,{film}\n", film % 100, 1 + film);
    }
    std::fs::write(&data, lines).unwrap();
    let out = temporary("too-large.safetensors");
    let (data_path, out_path) = (data.to_string_lossy(), out.to_string_lossy());
    let limited = [
        "--data",
        &data_path,
        "--out",
        &out_path,
        "--memory-mib",
        "64",
    ];
    let size = [
        "--set",
        "ease.max_items=10",
        "--set",
        "ials.dimensions=2048",
    ];
    let refused = train(&pool, &[limited.as_slice(), &size].concat()).await;
    std::fs::remove_file(&data).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("MiB, more than 64; give --memory-mib"),
        "{}",
        stderr(&refused)
    );
    assert!(!out.exists());
    // A small training run stays within the same limit.
    add_tastes(&pool, 40).await;
    let small = train(&pool, &["--memory-mib", "64"]).await;
    assert!(small.status.success(), "{}", stderr(&small));
}

#[sqlx::test]
async fn what_training_would_be_fitted_to_is_exported(pool: PgPool) {
    add_tastes(&pool, 3).await;
    sqlx::query(
        "update user_movie set reaction = case user_id when 2 then 'dislike' else reaction end,
             rating = case user_id when 3 then 4.5 end",
    )
    .execute(&pool)
    .await
    .unwrap();
    let out = temporary("interactions.parquet");
    let exported = program(&pool).arg("export").arg("--out").arg(&out).output();
    let exported = exported.await.unwrap();
    assert!(exported.status.success(), "{}", stderr(&exported));
    let reader = SerializedFileReader::new(std::fs::File::open(&out).unwrap()).unwrap();
    std::fs::remove_file(&out).unwrap();
    let rows: Vec<(i64, i64, f32, i64)> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            let (user, movie) = (row.get_long(0).unwrap(), row.get_long(1).unwrap());
            let at = row.get_timestamp_micros(3).unwrap();
            (user, movie, row.get_float(2).unwrap(), at)
        })
        .collect();
    let kept: i64 = sqlx::query_scalar("select count(*) from user_movie where user_id <> 2")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), kept);
    assert!(rows.is_sorted());
    let epoch = 1_735_689_600_000_000;
    for (user, movie, weight, at) in rows {
        let minutes = (user * 31 + (movie - 100) * 17) % 400;
        assert_eq!(at, epoch + minutes * 60_000_000);
        match user {
            1 => assert_eq!(weight, 1.0),
            3 => assert_eq!(weight, 1.6),
            _ => panic!("user {user} likes nothing"),
        }
    }
}

#[sqlx::test]
async fn a_schedule_trains_in_a_process_of_its_own_and_ends_the_job(pool: PgPool) {
    add_tastes(&pool, 2).await;
    let mut service = program(&pool)
        .env("SERVER_PORT", free_port().to_string())
        .env("TRAINING_INTERVAL_HOURS", "1")
        .env("MOVIE_SERVICE_URL", "http://127.0.0.1:1")
        .env("USER_PREFERENCE_SERVICE_URL", "http://127.0.0.1:1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = service.stderr.take().unwrap();
    let mut said = Vec::new();
    // The training process reports too little data on the service's own standard error.
    let wanted = b"too few to measure on";
    let heard = tokio::time::timeout(Duration::from_secs(60), async {
        while !said.windows(wanted.len()).any(|part| part == wanted) {
            assert!(stderr.read_buf(&mut said).await.unwrap() > 0, "it ended");
        }
    });
    assert!(heard.await.is_ok(), "{}", String::from_utf8_lossy(&said));
    eventually("the training job has ended", async || {
        sqlx::query_scalar("select bool_and(status in ('succeeded', 'failed')) from job")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    service.kill().await.unwrap();
}
