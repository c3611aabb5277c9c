//! Paths of files within an upload, and the files that are skipped by them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The maximum length of a file name in reports, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The reason for which a file is skipped as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportSkipReason)]
pub enum SkipReason {
    /// Entries that the user deleted at the other site; they stay deleted.
    Deleted,
    /// Entries of movies that the other site no longer has.
    Orphaned,
    /// A list, other than the watchlist.
    List,
    /// The user's profile.
    Profile,
    /// Comments.
    Comments,
    /// Likes of lists or reviews.
    OtherLikes,
    /// Owned media.
    Collection,
    /// Tags.
    Tags,
    /// A file of an operating system, an image or a document.
    NoData,
    /// A file without rows.
    Empty,
    /// Other data that is not about a history.
    Other,
}

/// A file that was skipped as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SkippedImportFile, example = json!({"name": "deleted/diary.csv", "reason": "deleted"}))]
pub struct SkippedFile {
    /// The name of the file.
    pub name: String,
    /// The reason.
    pub reason: SkipReason,
}

/// The reason for which the file at `path` is skipped, by the path alone.
pub(crate) fn skip_reason(path: &str) -> Option<SkipReason> {
    let path = path.to_lowercase();
    let mut parts: Vec<&str> = path.split(['/', '\\']).collect();
    let base = parts.pop().unwrap_or_default();
    let has = |folder: &str| parts.contains(&folder);
    let is_metadata =
        base.starts_with("._") || matches!(base, ".ds_store" | "thumbs.db" | "desktop.ini");
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    let extension = base.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_document = matches!(
        extension,
        "txt"
            | "md"
            | "html"
            | "htm"
            | "pdf"
            | "jpg"
            | "jpeg"
            | "png"
            | "gif"
            | "webp"
            | "svg"
            | "ics"
    );
    match () {
        () if has("deleted") => Some(SkipReason::Deleted),
        () if has("orphaned") => Some(SkipReason::Orphaned),
        () if has("__macosx") || is_metadata => Some(SkipReason::NoData),
        () if has("lists") && !base.contains("watchlist") => Some(SkipReason::List),
        () if has("likes") && matches!(stem, "reviews" | "lists") => Some(SkipReason::OtherLikes),
        () if stem == "profile" || stem == "user-profile" => Some(SkipReason::Profile),
        () if stem == "comments" => Some(SkipReason::Comments),
        () if is_document && !parts.is_empty() => Some(SkipReason::NoData),
        () => None,
    }
}

/// The name of a file in reports: without control characters, shortened at its beginning, and never empty.
pub(crate) fn display_name(name: &str, index: usize) -> String {
    let name: Vec<char> = name
        .chars()
        .filter(|letter| !letter.is_control())
        .map(|letter| if letter == '\\' { '/' } else { letter })
        .collect();
    let name: String = name[name.len().saturating_sub(MAX_NAME_CHARS)..]
        .iter()
        .collect();
    match name.trim() {
        "" if index == 0 => "body".to_owned(),
        "" => format!("file {}", index + 1),
        name => name.to_owned(),
    }
}

/// The sentence about a path that leaves the folder, `None` for others.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    let parts = || path.split(['/', '\\']);
    let is_absolute = path.starts_with(['/', '\\']) || path.chars().nth(1) == Some(':');
    (is_absolute || path.contains('\0') || parts().any(|part| part == ".."))
        .then_some("has a path that leaves its folder")
}
