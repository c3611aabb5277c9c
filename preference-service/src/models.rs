//! What the service speaks of, and which of it is valid. No I/O, no SQL, no HTTP.

mod id;
mod interaction;
mod movie;
mod preferences;
mod text;
mod user;

pub use id::{InteractionId, MovieId, UserId};
pub use interaction::{Interaction, InteractionType, NewInteraction, UnknownInteractionType};
pub use movie::{MovieChange, MovieState};
pub use preferences::{NewPreferences, Preferences};
pub use user::{InvalidUser, NewUser, User};
