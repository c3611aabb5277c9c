//! `movie-service import`: each known layout, twice; invalid rows; compressed files; precedence of TMDB's data. Dumps
//! outside of the repository are skipped if they are missing.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use movie_service::import::{Format, Refusal, Report, import};
use serde_json::{Value, json};
use sqlx::PgPool;

const EXPORT: &str = r#"{"adult":false,"id":3924,"original_title":"Blondie","popularity":2.4,"video":false}
{"adult":false,"id":6124,"original_title":"Der Mann ohne Namen","popularity":0.6,"video":false}
"#;
const LIST: &str = ",genre_ids,id,original_language,original_title,popularity,release_date,title,vote_average,vote_count
0,\"[18, 35]\",3924,en,Blondie,3.5,1938-11-30,Blondie,7.1,21
1,[28],603,en,The Matrix,30.5,1999-03-31,\"The \"\"Matrix\"\"\",8.2,20000
2,[28],603,en,The Matrix,99.0,1999-03-31,Again,8.2,20000
";
const FACTS: &str = "tmdb_id,title,original_title,original_language,release_date,runtime_minutes,genres,popularity,vote_average,vote_count,keywords,directors,top_cast,korean_title
670,Oldboy,올드보이,ko,2003-11-21,120,Drama|Thriller,40.5,8.3,8000,revenge|hypnosis,Park Chan-wook,Choi Min-sik|Yoo Ji-tae,올드보이
603,The Matrix,The Matrix,en,1999-03-31,136,Action|Science Fiction,80,8.2,25000,hacker,Lana Wachowski,Keanu Reeves,매트릭스
";
const TMDB_5000: &str = r#"budget,genres,homepage,id,keywords,original_language,original_title,overview,popularity,production_companies,production_countries,release_date,revenue,runtime,spoken_languages,status,tagline,title,vote_average,vote_count
1,"[{""id"": 28, ""name"": ""Action""}, {""id"": 10769, ""name"": ""Foreign""}]",,603,"[{""id"": 83, ""name"": ""saving\u0000 the world""}]",en,The Matrix,"A	tab, a ""quote"" and
a new line \ N.",104.3,[],"[{""iso_3166_1"": ""US"", ""name"": ""United States of America""}]",1999-03-30,2,136.0,[],Released,,The Matrix,7.9,8907
"#;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!(
            "marquee-import-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let path = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn csv(pool: &PgPool, file: &Path) -> Report {
    import(pool, Format::TmdbCsv, file, false, None)
        .await
        .unwrap()
}

/// New, changed, unchanged, repeated, refused.
fn counts(report: &Report) -> [u64; 5] {
    let stored = report.stored;
    let sum = stored.new + stored.changed + stored.unchanged + report.repeated + report.refused;
    assert_eq!(report.rows, sum, "every row is counted once");
    [
        stored.new,
        stored.changed,
        stored.unchanged,
        report.repeated,
        report.refused,
    ]
}

async fn film(pool: &PgPool, id: i64) -> Value {
    sqlx::query_scalar("select to_jsonb(m) - 'document' from movie m where id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn count_records(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn a_row_of_tmdb_5000_is_stored_completely(pool: PgPool) {
    let folder = Folder::new();
    let file = folder.file("5000.csv", TMDB_5000.as_bytes());
    let report = csv(&pool, &file).await;
    assert_eq!(
        (report.layout, counts(&report)),
        ("tmdb-5000", [1, 0, 0, 0, 0])
    );
    let film = film(&pool, 603).await;
    for (field, value) in [
        ("title", json!("The Matrix")),
        (
            "overview",
            json!("A\ttab, a \"quote\" and\na new line \\ N."),
        ),
        ("runtime", json!(136)),
        ("genre_ids", json!([28, 10769])),
        ("countries", json!(["US"])),
        ("keywords", json!([{"id": 83, "name": "saving the world"}])),
        ("vote_count", json!(8907)),
        ("hydrated", json!(false)),
        ("version", json!(1)),
    ] {
        assert_eq!(film[field], value, "{field}");
    }
    let payload: Value = sqlx::query_scalar("select payload from outbox")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(
        payload["genres"],
        json!([{"id": 28, "name": "Action"}, {"id": 10769, "name": "Foreign"}])
    );
    assert_eq!(counts(&csv(&pool, &file).await), [0, 0, 1, 0, 0]);
    assert_eq!(count_records(&pool).await, 1);
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn dumps_complement_each_other_and_repeat_without_changes(pool: PgPool) {
    let folder = Folder::new();
    let export = folder.file("ids.json", EXPORT.as_bytes());
    let files = [LIST, FACTS, TMDB_5000]
        .iter()
        .enumerate()
        .map(|(place, text)| folder.file(&format!("{place}.csv"), text.as_bytes()))
        .collect::<Vec<_>>();
    let from_export = async || {
        import(&pool, Format::TmdbExport, &export, false, None)
            .await
            .unwrap()
    };
    let report = from_export().await;
    assert_eq!(
        (report.layout, counts(&report)),
        ("tmdb-export", [2, 0, 0, 0, 0])
    );
    let stub = film(&pool, 3924).await;
    assert_eq!(
        (&stub["title"], &stub["original_language"]),
        (&json!("Blondie"), &json!(""))
    );
    assert_eq!(counts(&csv(&pool, &files[0]).await), [1, 1, 0, 1, 0]);
    let filled = film(&pool, 3924).await;
    assert_eq!(
        (
            &filled["genre_ids"],
            &filled["popularity"],
            &filled["vote_count"]
        ),
        (&json!([18, 35]), &json!(2.4), &json!(21)),
        "what was known stays, what was not is filled in"
    );
    assert_eq!(
        film(&pool, 603).await["title"],
        "The \"Matrix\"",
        "the first row counts"
    );
    assert_eq!(counts(&csv(&pool, &files[1]).await), [1, 1, 0, 0, 0]);
    let film_603 = film(&pool, 603).await;
    assert_eq!(
        (&film_603["runtime"], &film_603["titles"]),
        (
            &json!(136),
            &json!([{"title": "매트릭스", "language": "ko", "country": null}])
        )
    );
    assert!(
        film_603["people"][0]["id"].as_i64() < Some(0),
        "a name without TMDB's id"
    );
    assert_eq!(counts(&csv(&pool, &files[2]).await), [0, 1, 0, 0, 0]);
    let (before, records) = (film(&pool, 603).await, count_records(&pool).await);
    for _ in 0..2 {
        for (file, films) in files.iter().zip([2, 2, 1]) {
            let [new, changed, unchanged, ..] = counts(&csv(&pool, file).await);
            assert_eq!([new, changed, unchanged], [0, 0, films]);
        }
        assert_eq!(counts(&from_export().await), [0, 0, 2, 0, 0]);
    }
    assert_eq!(
        (film(&pool, 603).await, count_records(&pool).await),
        (before, records)
    );
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn a_newer_dump_corrects_an_older_one(pool: PgPool) {
    let folder = Folder::new();
    let old = folder.file("old.csv", FACTS.as_bytes());
    csv(&pool, &old).await;
    let newer = FACTS.replace("40.5", "41.5").replace("Oldboy,", "Old Boy,");
    let newer = folder.file("new.csv", newer.as_bytes());
    assert_eq!(counts(&csv(&pool, &newer).await), [0, 1, 1, 0, 0]);
    let film = film(&pool, 670).await;
    assert_eq!(
        (&film["title"], &film["popularity"], &film["version"]),
        (&json!("Old Boy"), &json!(41.5), &json!(2))
    );
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn a_new_genre_changes_the_movies_that_have_it(pool: PgPool) {
    let folder = Folder::new();
    let list = LIST.replace("[28]", "[10769]");
    csv(&pool, &folder.file("list.csv", list.as_bytes())).await;
    assert_eq!(film(&pool, 603).await["version"], 1);
    let other = folder.file("5000.csv", TMDB_5000.replace("603", "604").as_bytes());
    assert_eq!(counts(&csv(&pool, &other).await), [1, 0, 0, 0, 0]);
    assert_eq!(film(&pool, 603).await["version"], 2);
    let payload: Value = sqlx::query_scalar(
        "select payload from outbox where key = '603' order by seq desc limit 1",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(payload["genres"], json!([{"id": 10769, "name": "Foreign"}]));
    let records = count_records(&pool).await;
    csv(&pool, &other).await;
    assert_eq!(count_records(&pool).await, records);
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn data_and_removals_of_tmdb_take_precedence(pool: PgPool) {
    let folder = Folder::new();
    let file = folder.file("facts.csv", FACTS.as_bytes());
    csv(&pool, &file).await;
    sqlx::query(
        "update movie set source_hash = 'x', title = 'From TMDB', popularity = 7, runtime = null,
             imports = '{}', removed_at = case when id = 670 then now() end",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(counts(&csv(&pool, &file).await), [0, 1, 1, 0, 0]);
    let kept = film(&pool, 603).await;
    assert_eq!(
        (&kept["title"], &kept["popularity"], &kept["hydrated"]),
        (&json!("From TMDB"), &json!(7), &json!(true))
    );
    assert_eq!(
        kept["runtime"], 136,
        "but what it does not know is filled in"
    );
    assert_ne!(film(&pool, 670).await["removed_at"], Value::Null);
    let newer = folder.file("newer.csv", FACTS.replace("25000", "26000").as_bytes());
    assert_eq!(counts(&csv(&pool, &newer).await), [0, 0, 2, 0, 0]);
    assert_eq!(counts(&csv(&pool, &file).await), [0, 0, 2, 0, 0]);
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn refused_rows_are_named_by_line(pool: PgPool) {
    let folder = Folder::new();
    let mut text = LIST.lines().next().unwrap().to_owned() + "\n";
    let long = "x".repeat(2000);
    for row in [
        "0,[18],x,en,A,1,2000-01-01,A,5,1",
        "1,[18],0,en,A,1,2000-01-01,A,5,1",
        "2,[18],3000000000,en,A,1,2000-01-01,A,5,1",
        "3,[18],1,en,,1,2000-01-01, ,5,1",
        "4,[18,2,en,A,1,2000-01-01,A,5,1",
        "5,\"[18,]\",2,en,A,1,2000-01-01,A,5,1",
        "6,[18],2,en,A,NaN,2000-01-01,A,5,1",
        "7,[18],2,en,A,1,31.12.2000,A,5,1",
        "8,[18],2,en,A,1,2000-02-30,A,5,1",
        "9,[18],2,en,A,1,2000-01-01,A,11,1",
        "10,[18],2,en,A,1,2000-01-01,A,5,1.5",
        "11,[18],2,en,A,1,2000-01-01,A,5",
        &format!("12,[18],2,en,A,1,2000-01-01,{long},5,1"),
        "13,[18],3,en,\"two\nlines\",1,,Good,5,",
        "14,[18],-1,en,A,1,2000-01-01,A,5,1",
    ] {
        text.push_str(row);
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(b"15,[18],4,en,\xff,1,,A,5,1\n");
    let report = csv(&pool, &folder.file("bad.csv", &bytes)).await;
    assert_eq!(counts(&report), [1, 0, 0, 0, 15]);
    let lines: Vec<u64> = report.refusals.iter().map(|refusal| refusal.line).collect();
    let expected: Vec<u64> = (2..=14).chain([17, 18]).collect();
    assert_eq!(lines, expected, "{:#?}", report.refusals);
    for (place, reason) in [
        (0, "id: \"x\" is not a number"),
        (3, "title: there is none"),
        (
            7,
            "release_date: \"31.12.2000\" is not a day such as 1999-03-31",
        ),
        (14, "original_title: it is not UTF-8"),
    ] {
        assert_eq!(report.refusals[place].reason, reason);
    }
    assert_eq!(film(&pool, 3).await["original_title"], "two\nlines");

    let lines = format!(
        "{EXPORT}\nnonsense\n{{\"id\":5,\"original_title\":\"\"}}\n{{\"id\":\"6\",\"original_title\":\"A\"}}\n{{\"id\":7,\"original_title\":\"A\",\"adult\":true}}\n{}\n",
        "x".repeat(2 * 1024 * 1024)
    );
    let file = folder.file("bad.json", lines.as_bytes());
    let report = import(&pool, Format::TmdbExport, &file, false, None)
        .await
        .unwrap();
    assert_eq!(counts(&report), [2, 0, 0, 0, 5]);
    let lines: Vec<u64> = report.refusals.iter().map(|refusal| refusal.line).collect();
    assert_eq!(lines, [4, 5, 6, 7, 8]);
    let report = import(&pool, Format::TmdbExport, &file, true, None)
        .await
        .unwrap();
    assert_eq!(
        counts(&report),
        [1, 0, 2, 0, 4],
        "admitted where the setting says so"
    );
    assert_eq!(film(&pool, 7).await["adult"], true);

    let adult = "id,title,genre_ids,adult\n8,A,[],True\n9,B,[],False\n10,C,[],perhaps\n";
    let file = folder.file("adult.csv", adult.as_bytes());
    let list = folder.0.join("refused.tsv");
    let out = std::sync::Arc::new(fs::File::create(&list).unwrap());
    let report = import(&pool, Format::TmdbCsv, &file, false, Some(out))
        .await
        .unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 2]);
    let written = fs::read_to_string(&list).unwrap();
    let expected = report.refusals.iter().map(|refusal| {
        let Refusal { line, reason } = refusal;
        format!("{}\t{line}\t{reason}\n", file.display())
    });
    assert_eq!(written, expected.collect::<String>());
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn compressed_files_are_read_and_unknown_headings_refused(pool: PgPool) {
    let folder = Folder::new();
    let gz = |text: &str| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let zst = |text: &str| {
        ruzstd::encoding::compress_to_vec(
            text.as_bytes(),
            ruzstd::encoding::CompressionLevel::Fastest,
        )
    };
    let (head, tail) = EXPORT.split_at(EXPORT.find('\n').unwrap() + 1);
    // A skippable frame, as some compressors write.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for (name, content) in [
        ("plain", EXPORT.as_bytes().to_vec()),
        ("one.gz", gz(EXPORT)),
        ("two.gz", [gz(head), gz(tail)].concat()),
        ("one.zst", zst(EXPORT)),
        ("two.zst", [&zst(head)[..], &skipped, &zst(tail)].concat()),
        ("skipped.zst", [&skipped[..], &zst(EXPORT)].concat()),
        ("named-wrongly.csv", gz(EXPORT)),
    ] {
        let file = folder.file(name, &content);
        let report = import(&pool, Format::TmdbExport, &file, false, None)
            .await
            .unwrap();
        assert_eq!((report.rows, report.refused), (2, 0), "{name}");
    }
    let whole = zst(&LIST.repeat(50));
    for (name, content, message) in [
        ("empty.csv", Vec::new(), "the file is empty"),
        ("other.csv", b"name,age\nx,1\n".to_vec(), "unknown heading"),
        ("cut.csv.zst", whole[..whole.len() - 9].to_vec(), ""),
        ("cut.csv.gz", gz(LIST)[..40].to_vec(), ""),
    ] {
        let file = folder.file(name, &content);
        let error = import(&pool, Format::TmdbCsv, &file, false, None)
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains(message), "{name}: {error:#}");
    }
    // The readable part of a truncated file is stored.
    let broken = format!("{LIST}3,[18],5,en,A,1,,\"{}", "x".repeat(2 * 1024 * 1024));
    let file = folder.file("broken.csv", broken.as_bytes());
    let error = import(&pool, Format::TmdbCsv, &file, false, None)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("line 5"), "{error:#}");
    assert_eq!(film(&pool, 603).await["vote_count"], 20_000);
    let missing = folder.0.join("missing.csv");
    assert!(
        import(&pool, Format::TmdbCsv, &missing, false, None)
            .await
            .is_err()
    );
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn public_dumps_are_imported_and_repeat_without_changes(pool: PgPool) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !data.is_dir() {
        eprintln!("skipped: {} is not there", data.display());
        return;
    }
    // Rows, distinct movies.
    let sets = [
        ("tmdb-5000/tmdb_5000_movies.csv.gz", "tmdb-5000", 4803, 4803),
        (
            "tmdb-2010s-list/tmdb.movies.csv.gz",
            "tmdb-list",
            26_517,
            25_497,
        ),
        ("tmdb-merged-facts/movies.csv.gz", "tmdb-facts", 5203, 5203),
        ("demo-facts/movies.csv", "tmdb-facts", 649, 649),
    ];
    for round in 0..2 {
        for (file, layout, rows, films) in sets {
            for again in [false, true] {
                let report = csv(&pool, &data.join(file)).await;
                let [new, changed, unchanged, repeated, refused] = counts(&report);
                eprintln!(
                    "{file}: {rows} rows: {new} new, {changed} changed, {unchanged} unchanged, {repeated} repeated, {refused} refused"
                );
                assert_eq!((report.layout, report.rows), (layout, rows), "{file}");
                assert_eq!(
                    (refused, repeated),
                    (0, rows - films),
                    "{:?}",
                    report.refusals
                );
                assert_eq!(new + changed + unchanged, films);
                if again || round == 1 {
                    assert_eq!(unchanged, films, "{file}");
                }
            }
        }
    }
}

#[test]
fn the_command_line_documents_the_import_and_refuses_invalid_arguments() {
    let run = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_movie-service");
        let mut command = std::process::Command::new(program);
        command.args(arguments.split(' ')).output().unwrap()
    };
    let help = |arguments| String::from_utf8(run(arguments).stdout).unwrap();
    assert!(help("--help").contains("import"));
    assert!(help("import --help").contains("--format <FORMAT>"));
    for arguments in ["a", "--format tmdb-csv", "--format csv a", "--dry-run a"] {
        let output = run(&format!("import {arguments}"));
        assert_eq!(output.status.code(), Some(64), "{arguments}");
    }
}
