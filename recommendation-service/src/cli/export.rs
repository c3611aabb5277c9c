//! `recommendation-service export`: interactions as Parquet, for a trainer elsewhere: columns `user_id`, `movie_id`,
//! `weight` and `occurred_at`, a row per movie that a user likes, by user and movie.

use std::{fs::File, path::PathBuf, sync::Arc};

use anyhow::Context;
use chassis::shutdown::Shutdown;
use clap::Args;
use parquet::{
    data_type::{DataType, FloatType, Int64Type},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};
use recommender::evaluation::split::Event;

use super::{print, train::source};
use crate::{config::Config, database};

/// Writes interactions with the weights that training uses: user_id, movie_id (TMDB's), weight, occurred_at. Models that are
/// fitted to them are registered by `train --from FILE.safetensors`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The Parquet file that is written
    #[arg(long, value_name = "FILE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    out: String,
}

const SCHEMA: &str = "message interactions {
    required int64 user_id;
    required int64 movie_id;
    required float weight;
    required int64 occurred_at (timestamp(micros, true));
}";

/// Rows in a row group.
const GROUP: usize = 1 << 20;

/// Runs the command.
///
/// # Errors
/// Fails if Postgres is unreachable or the file cannot be written.
pub async fn export(arguments: Arguments, config: Config) -> anyhow::Result<()> {
    let out = PathBuf::from(arguments.out);
    let pool = database::open(&config, &Shutdown::default()).await?;
    let events = source::from_database(&pool, u64::MAX).await?;
    let write = || -> anyhow::Result<()> {
        let file = File::create(&out)?;
        write(file, &events)
    };
    write().with_context(|| out.display().to_string())?;
    print(&format!(
        "{} interactions written to {}",
        events.len(),
        out.display()
    ));
    Ok(())
}

fn write(file: File, events: &[Event]) -> anyhow::Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    for events in events.chunks(GROUP) {
        let mut group = writer.next_row_group()?;
        let longs = |value: fn(&Event) -> i64| events.iter().map(value).collect::<Vec<_>>();
        column::<Int64Type>(&mut group, &longs(|event| event.user as i64))?;
        column::<Int64Type>(&mut group, &longs(|event| event.item as i64))?;
        let weights: Vec<f32> = events.iter().map(|event| event.weight).collect();
        column::<FloatType>(&mut group, &weights)?;
        column::<Int64Type>(&mut group, &longs(|event| event.time.unwrap_or_default()))?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("there is no such column")?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()?;
    Ok(())
}
