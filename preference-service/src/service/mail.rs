//! Mail to users: by SMTP, or to the log in development. Called by [`super::email_verification`]. Sending takes place in the
//! background: a response neither waits for it nor shows whether it succeeds.

use std::time::Duration;

use chassis::{config::ConfigError, shutdown::Shutdown};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use secrecy::ExposeSecret;

use crate::config::Config;

/// The time limit of a delivery to the SMTP server.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Mails that failed (counter).
pub const MAILS_FAILED_TOTAL: &str = "mails_failed_total";

/// Sends mail; cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    /// `None`: to the log.
    smtp: Option<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
    shutdown: Shutdown,
}

impl Mailer {
    /// A mailer with the server of `config`.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if the URL of the server or the sender is invalid.
    pub fn new(config: &Config, shutdown: &Shutdown) -> Result<Self, ConfigError> {
        let invalid = |name: &str, error: String| ConfigError::Invalid(format!("{name}: {error}"));
        let url = config.smtp_url.expose_secret();
        let smtp = match url.is_empty() {
            true => None,
            false => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
                // The error could show the password.
                let builder = builder.map_err(|_| {
                    invalid(
                        "SMTP_URL",
                        "must be such as smtps://user:password@host:465 or smtp://host:587?tls=required"
                            .to_owned(),
                    )
                })?;
                Some(builder.timeout(Some(SEND_TIMEOUT)).build())
            }
        };
        let from = config.mail_from.parse();
        Ok(Self {
            smtp,
            from: from.map_err(|error: lettre::address::AddressError| {
                invalid("MAIL_FROM", error.to_string())
            })?,
            shutdown: shutdown.clone(),
        })
    }

    /// Sends `text` with a link to `to`.
    pub fn send(&self, to: &str, subject: &'static str, text: &str, link: &str) {
        let Some(smtp) = self.smtp.clone() else {
            tracing::info!(link, "mail: {subject}");
            return;
        };
        let message = to.parse().ok().and_then(|to: lettre::Address| {
            Message::builder()
                .from(self.from.clone())
                .to(Mailbox::new(None, to))
                .subject(subject)
                .header(ContentType::TEXT_PLAIN)
                .body(format!("{text}\n\n{link}\n"))
                .ok()
        });
        let Some(message) = message else {
            metrics::counter!(MAILS_FAILED_TOTAL).increment(1);
            tracing::debug!("an address cannot receive mail");
            return;
        };
        self.shutdown.spawn(async move {
            let sent = tokio::time::timeout(2 * SEND_TIMEOUT, smtp.send(message)).await;
            let failure = match sent {
                Ok(Ok(_)) => return,
                // The text of a permanent failure can name the recipient.
                Ok(Err(error)) if error.is_permanent() => "refused".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no response in time".to_owned(),
            };
            metrics::counter!(MAILS_FAILED_TOTAL).increment(1);
            tracing::warn!(failure, "cannot send a mail");
        });
    }
}
